/**
 * One of two boxes vanishes silently: it stands still, and its connections stay open. Its running calls that may run
 * twice move to the other box, new ones go there, and those that may have run are answered so.
 */
import { expect, test } from "vitest";

import { DETACHED_MS, KEEPALIVE_TIMEOUT_MS, QUIET_MS } from "../../routing/wire/limits.ts";
import { type RequestOptions, send } from "../support/http-client.ts";
import { processTree, signalAll } from "../support/processes.ts";
import { startTwoOrigins } from "../support/two-origins.ts";

const PATIENCE = { timeout: 30_000 };
/** A call whose box does not come back is given up after KEEPALIVE_TIMEOUT_MS and DETACHED_MS. */
const CLIENT_TIMEOUT_MS = 90_000;
/** Calls at work on the other box, more than on the silent one. */
const HELD_ON_OTHER = 8;
/** A new call goes to the other box at once, and not when the link is declared dead. */
const AT_ONCE_MS = 3_000;

/**
 * Notes its box with each request, and answers with it. What is to be held on a box is answered there when the box goes
 * on, and elsewhere after two seconds: meanwhile the next such request goes to the other box, which has fewer.
 */
const SERVER = `import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
const box = process.env.POSTERN_BOX;
const held = [];
createServer((request, response) => {
  appendFileSync(process.env.NOTES, box + " " + request.method + " " + request.url + "\\n");
  if (request.url.startsWith("/held-on/" + box + "/")) held.push(response);
  else setTimeout(() => response.end(box), request.url.startsWith("/held-on/") ? 2_000 : 0);
}).listen(process.env.PORT, "127.0.0.1");
process.on("SIGCONT", () => {
  for (const response of held) response.end(box);
});
`;

test("when one of two boxes falls silent, the other one takes over what it may", async () => {
  const { boxes, address, noted } = await startTwoOrigins(SERVER);
  const [silent, other] = boxes;

  const ask = async (path: string, options: RequestOptions = {}): Promise<Outcome> => {
    const from = performance.now();
    const { status, text } = await send(address, path, {
      timeoutMs: CLIENT_TIMEOUT_MS,
      ...options,
    });
    return { ms: performance.now() - from, status, text };
  };
  const elsewhere: Promise<Outcome>[] = [];
  /** Sends such requests until one of them is at work on the box. */
  const running = async (box: string, options: (tried: number) => RequestOptions) => {
    for (let tried = 0; ; tried += 1) {
      const path = `/held-on/${box}/${crypto.randomUUID()}`;
      const given = options(tried);
      const line = `${given.method ?? "GET"} ${path}`;
      const outcome = ask(path, given);
      await expect.poll(() => noted().some((each) => each.endsWith(line)), PATIENCE).toBe(true);
      if (noted().includes(`${box} ${line}`)) return { path, given, outcome };
      elsewhere.push(outcome);
    }
  };
  const safe = await running("gpu-1", () => ({}));
  const unsafe = await running("gpu-1", () => ({ method: "POST" }));
  const keyed = await running("gpu-1", (tried) => ({
    method: "POST",
    headers: { "idempotency-key": `key-${tried}` },
  }));

  // The box that is to fall silent has fewer calls: new ones are for it.
  const heavy = [];
  for (let count = 0; count < HELD_ON_OTHER; count += 1) {
    heavy.push((await running("gpu-2", () => ({}))).outcome);
  }
  for (const outcome of elsewhere) expect((await outcome).status).toBe(200);

  const pids = processTree(silent.pid);
  signalAll(pids, "SIGSTOP");
  const silentAt = performance.now();
  const fresh: Promise<Outcome>[] = [];
  await pause(QUIET_MS + 500);
  while ((await Promise.race([safe.outcome, pause(100)])) === undefined) {
    fresh.push(ask("/new"), ask("/new", { method: "POST" }));
  }

  const { status, text } = await safe.outcome;
  expect({ status, text }).toEqual({ status: 200, text: "gpu-2" });
  expect(performance.now() - silentAt).toBeLessThan(KEEPALIVE_TIMEOUT_MS + DETACHED_MS / 2);
  expect(fresh.length).toBeGreaterThan(0);
  for (const each of await Promise.all(fresh)) {
    expect(each).toMatchObject({ status: 200, text: "gpu-2" });
    expect(each.ms).toBeLessThan(AT_ONCE_MS);
  }

  const lost = await unsafe.outcome;
  expect([lost.status, JSON.parse(lost.text)]).toMatchObject([502, { code: "call_lost" }]);
  const away = await keyed.outcome;
  expect([away.status, JSON.parse(away.text)]).toMatchObject([503, { code: "no_origin" }]);
  // With the box its response is back: the call under the key ran once.
  signalAll([...pids, ...processTree(other.pid)], "SIGCONT");
  await expect
    .poll(async () => {
      const again = await ask(keyed.path, keyed.given);
      return `${again.status} ${again.text}`;
    }, PATIENCE)
    .toBe("200 gpu-1");
  for (const outcome of heavy) expect(await outcome).toMatchObject({ status: 200, text: "gpu-2" });
  for (const { path } of [unsafe, keyed]) {
    expect(noted().filter((line) => line.endsWith(path))).toHaveLength(1);
  }
}, 180_000);

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

interface Outcome {
  readonly ms: number;
  readonly status: number;
  readonly text: string;
}
