/**
 * kill -9 of one of two boxes under load. No call fails that was not on its way to that box. Of those that were, nobody
 * knows which had reached the app: the unsafe ones are answered so, and the others are repeated.
 */
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";

import { send } from "../support/http-client.ts";
import { startTwoOrigins } from "../support/two-origins.ts";

const REQUESTS_PER_SECOND = 200;
const BEFORE_MS = 2_000;
const AFTER_MS = 4_000;
/** A call whose box does not come back is given up after 30 s. */
const CLIENT_TIMEOUT_MS = 60_000;
const PATIENCE = { timeout: 30_000 };

/** Notes each request as it comes, and answers with its box. */
const SERVER = `import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
createServer((request, response) => {
  appendFileSync(process.env.NOTES, request.url + "\\n");
  setTimeout(() => response.end(process.env.POSTERN_BOX), 50);
}).listen(process.env.PORT, "127.0.0.1");
`;

interface Sent {
  readonly path: string;
  readonly method: string;
  /** The status, or the name of an error. */
  readonly outcome: number | string;
  /** Of the response: the name of its box, or an error. */
  readonly text: string;
  readonly sinceKillMs: number;
}

test("when one of two boxes is killed, only calls fail that its app may have had", async () => {
  const { boxes, address, noted } = await startTwoOrigins(SERVER);
  const boxOf = async () => (await send(address, "/warm", { method: "POST" })).text;
  const seen = new Set<string>();
  await expect.poll(async () => seen.add(await boxOf()).size, PATIENCE).toBe(2);

  let killedAt = Number.POSITIVE_INFINITY;
  const sent: Sent[] = [];
  const ask = async (number: number): Promise<void> => {
    const path = `/${number}`;
    const method = number % 2 === 0 ? "GET" : "POST";
    const sinceKillMs = performance.now() - killedAt;
    try {
      const { status, text } = await send(address, path, { method, timeoutMs: CLIENT_TIMEOUT_MS });
      sent.push({ path, method, outcome: status, text, sinceKillMs });
    } catch (error) {
      const outcome = error instanceof Error ? error.name : "error";
      sent.push({ path, method, outcome, text: "", sinceKillMs });
    }
  };
  const asked: Promise<void>[] = [];
  const began = performance.now();
  const load = setInterval(() => {
    // A timer that comes late sends what became due meanwhile.
    const due = ((performance.now() - began) * REQUESTS_PER_SECOND) / 1_000;
    while (asked.length < due) asked.push(ask(asked.length));
  }, 5);
  await delay(BEFORE_MS);
  boxes[0].killTree();
  killedAt = performance.now();
  await delay(AFTER_MS);
  clearInterval(load);
  await Promise.all(asked);

  const reached = new Set(noted());
  const failed = sent.filter(({ outcome }) => outcome !== 200);
  const unread = failed.filter(({ path }) => !reached.has(path));
  console.log(
    `${sent.length} requests at ${REQUESTS_PER_SECOND} a second, ${failed.length} failed: ` +
      `${failed.length - unread.length} had reached the app, and ${unread.length} the dead box`,
  );
  expect(sent.length).toBeGreaterThan(((BEFORE_MS + AFTER_MS) * REQUESTS_PER_SECOND) / 1_500);
  // "It may have run": nothing that the gateway knows not to have reached the app has failed, and no GET.
  for (const { method, text } of failed) {
    expect([method, JSON.parse(text)]).toMatchObject(["POST", { code: "call_lost" }]);
  }
  // Both served before, one alone does after.
  const before = new Set(sent.filter(({ sinceKillMs }) => sinceKillMs < 0).map(({ text }) => text));
  expect(before).toContain("gpu-1");
  expect(before).toContain("gpu-2");
  const late = sent.filter(({ sinceKillMs }) => sinceKillMs > 2_000);
  expect(late.length).toBeGreaterThan(0);
  expect(new Set(late.map(({ outcome, text }) => `${outcome} ${text}`))).toEqual(
    new Set(["200 gpu-2"]),
  );
}, 150_000);
