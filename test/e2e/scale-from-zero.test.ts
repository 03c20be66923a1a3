/**
 * Endpoints that scale to zero and back under traffic, which comes in bursts and around the moment in which a container
 * ends: each request is answered, once, and nothing of the containers stays.
 */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { setTimeout as delay } from "node:timers/promises";
import { APPS, type Gateway, startUp } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { Notes } from "../support/notes.ts";
import { openDescriptors } from "../support/processes.ts";

/** Containers that start from zero, all endpoints together; `SCALE_CYCLES=1000` takes a few minutes. */
const CYCLES = Number(process.env["SCALE_CYCLES"] ?? 100);
const ENDPOINTS = 10;
/** The shortest that there is. */
const WINDOW_S = 2;
/** Requests of a burst that finds no container, and of those after it. */
const BURST = 4;

/** The pause before a burst, against the window: from just before its end to well behind it. */
const AROUND_MS = [-40, 0, 5, 10, 20, 40, 80, 160, 320] as const;

const functions = Array.from({ length: ENDPOINTS }, (_, number) => `f${number}`);
const notes = new Notes();
let postern: Gateway;

beforeAll(async () => {
  postern = await startUp(
    functions.map((name) => ({
      function: name,
      web_server: ["node", join(APPS, "noting-server.ts")],
      env: { NOTES: notes.file, WORK_MS: "5" },
      max_inputs: 2,
      scaledown_window: WINDOW_S,
    })),
    { flags: ["--rate-limit", "0"] },
  );
});
afterAll(async () => await postern.stop());

const PATIENCE = { timeout: 30_000 };

/** Waits until no container is there. */
async function atZero(): Promise<void> {
  await expect.poll(() => notes.alive, PATIENCE).toEqual([]);
}

const descriptors = (): number[] =>
  [postern.process.pid, postern.workerdPid].map((pid) => openDescriptors(pid));

/** Bursts of requests at one endpoint, until it has started so many containers. @returns the paths that were sent */
async function traffic(name: string, starts: number): Promise<string[]> {
  const sent: string[] = [];
  const containers = new Set<string>();
  const ask = async (): Promise<void> => {
    const path = `/${name}/${sent.length}`;
    sent.push(path);
    const answer = await send(postern.address(name), path, { timeoutMs: 60_000 });
    expect([path, answer.status]).toEqual([path, 200]);
    containers.add(answer.text);
  };
  for (let burst = 0; containers.size < starts; burst += 1) {
    await Promise.all(Array.from({ length: BURST }, ask));
    await ask();
    await delay(WINDOW_S * 1000 + (AROUND_MS[burst % AROUND_MS.length] ?? 0));
  }
  return sent;
}

test(`endpoints that scale to zero and back ${CYCLES} times answer each request once`, async () => {
  // The first of each has shown that it starts.
  await expect.poll(() => notes.containers.length, PATIENCE).toBe(ENDPOINTS);
  await Promise.all(
    functions.map(async (name) => {
      expect((await send(postern.address(name), `/${name}/first`)).status).toBe(200);
    }),
  );
  await atZero();
  const before = descriptors();
  const startedBefore = notes.containers.length;

  const sent = await Promise.all(
    functions.map(async (name) => await traffic(name, Math.ceil(CYCLES / ENDPOINTS))),
  );
  await atZero();

  expect(notes.containers.length - startedBefore).toBeGreaterThanOrEqual(CYCLES);
  const first = functions.map((name) => `/${name}/first`);
  expect(notes.paths.toSorted()).toEqual([...first, ...sent.flat()].toSorted());
  expect(new Set(notes.begun).size).toBe(notes.begun.length);
  expect(notes.openPorts).toEqual([]);
  const grown = () => descriptors().map((count, process) => count - (before[process] ?? 0));
  await expect.poll(() => Math.max(...grown()), PATIENCE).toBeLessThanOrEqual(0);
}, 1_800_000);
