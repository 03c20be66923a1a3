/** What a stranger guesses costs no object, no file, no memory, and no known host its answer. */
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type Gateway, startUp, webServer } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { memoryBytes, openDescriptors } from "../support/processes.ts";
import { RawConnection } from "../support/raw-http.ts";

const GUESSES = 20_000;
/** So many fill what workerd's heap and caches grow to, some 120 MiB, and stay at. */
const FIRST_GUESSES = 80_000;
const CONNECTIONS = 16;
const DESCRIPTORS = 1_024;
const MIB = 1024 * 1024;

let postern: Gateway;
beforeAll(async () => {
  postern = await startUp([webServer()], {
    descriptors: DESCRIPTORS,
    flags: ["--rate-limit", "0"],
  });
  await send(postern.address(), "/json", { timeoutMs: 60_000 });
});
afterAll(async () => await postern.stop());

const random = (bytes: number) => randomBytes(bytes).toString("hex");

/** The kinds of guess, taken in turn. Each is a whole request. */
const GUESS: readonly (() => string)[] = [
  () => `GET / HTTP/1.1\r\nHost: ${random(6)}--${random(8)}.localhost:${postern.port}\r\n\r\n`,
  () => `GET / HTTP/1.1\r\nHost: ${random(4)}.${random(6)}.example\r\n\r\n`,
  () => `GET / HTTP/1.1\r\nHost: tests--e2e-${random(4)}.localhost:${postern.port}\r\n\r\n`,
  () =>
    `GET / HTTP/1.1\r\nHost: ${random(4)}--x.localhost:${postern.port}\r\n` +
    `Authorization: Bearer wk-${random(16)}.ws-${random(16)}\r\n\r\n`,
  () =>
    `GET /_postern/dial/0/${random(16)} HTTP/1.1\r\nHost: ${postern.base.host}\r\n` +
    `Authorization: Bearer ${random(32)}\r\nPostern-Box: ${random(8)}\r\n\r\n`,
  () =>
    `GET /_postern/link/0 HTTP/1.1\r\nHost: ${postern.base.host}\r\nConnection: Upgrade\r\n` +
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
    `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n` +
    `Authorization: Bearer ${random(32)}\r\nPostern-Box: ${random(8)}\r\n` +
    `Postern-Incarnation: ${random(16)}\r\n\r\n`,
];

/** Sends guesses one after another over one connection, opening a new one where it was closed. */
async function guess(count: number, offset: number, statuses: Map<number, number>): Promise<void> {
  let connection = await RawConnection.connect(postern.port);
  for (let index = 0; index < count; index++) {
    connection.send(GUESS[(index + offset) % GUESS.length]?.() ?? "");
    const { status, headers } = await connection.response();
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    const closes = headers.some(
      ([name, value]) => name.toLowerCase() === "connection" && value.toLowerCase() === "close",
    );
    if (closes) {
      connection.reset();
      connection = await RawConnection.connect(postern.port);
    }
  }
  connection.reset();
}

const stateFiles = () =>
  (readdirSync(postern.stateDirectory, { recursive: true }) as string[])
    // A write-ahead log comes and goes with the database that it belongs to.
    .filter((file) => !/-(?:wal|shm|journal)$/.test(file))
    .toSorted();

test("20,000 guesses at hostnames and credentials leave no file and cost no known host its answer", async () => {
  const statuses = new Map<number, number>();
  const round = async (guesses: number) =>
    await Promise.all(
      Array.from(
        { length: CONNECTIONS },
        async (_, offset) => await guess(Math.ceil(guesses / CONNECTIONS), offset, statuses),
      ),
    );
  // What caches and heaps take once, they take here.
  await round(FIRST_GUESSES);
  const pids = [postern.workerdPid, postern.process.pid];
  const before = { files: stateFiles(), memory: pids.map((pid) => memoryBytes([pid])) };

  let known = 0;
  const guessed = new AbortController();
  const knownHosts = (async () => {
    while (!guessed.signal.aborted) {
      const answer = await send(postern.address(), "/json", { timeoutMs: 5_000 });
      expect(answer.status).toBe(200);
      known += 1;
    }
  })();
  await round(GUESSES);
  guessed.abort();
  await knownHosts;

  console.log(
    `answers to guesses: ${JSON.stringify(Object.fromEntries(statuses))}; known host asked ${known} times; ` +
      `descriptors of workerd ${openDescriptors(postern.workerdPid)}`,
  );
  expect([...statuses.keys()].every((status) => status >= 400 && status < 500)).toBe(true);
  expect(known).toBeGreaterThan(50);
  expect(stateFiles()).toEqual(before.files);
  expect(openDescriptors(postern.workerdPid)).toBeLessThan(DESCRIPTORS / 2);
  const growth = () => pids.map((pid, index) => memoryBytes([pid]) - (before.memory[index] ?? 0));
  // Garbage is collected sooner or later. What leaks stays, and grows with further guesses.
  const afterMore = async () => {
    await round(GUESSES / 2);
    return Math.max(...growth());
  };
  await expect.poll(afterMore, { timeout: 60_000 }).toBeLessThan(48 * MIB);
}, 180_000);
