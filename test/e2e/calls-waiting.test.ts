/** Calls whose client is not there: asynchronous ones that wait by the thousand, and those whose client left. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { memoryOf, startBox } from "../support/box.ts";
import { CallClient } from "../support/call-client.ts";
import { APPS, type Gateway, startGateway } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { RawConnection } from "../support/raw-http.ts";
import { Stages, answerOf } from "../support/stages.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const CALLS = 1500;
const AT_A_TIME = 16;
const MAX_BYTES_A_CALL = 4096;
const NOTICED_WITHIN_MS = 1_500;
const GRACE_SECONDS = 2;

let stages: Stages;
let gateway: Gateway;
let agent: ManagedProcess;
beforeAll(async () => {
  stages = await Stages.start();
  gateway = await startGateway({ flags: ["--request-timeout", "1", "--rate-limit", "0"] });
  const server = {
    web_server: ["node", `${APPS}/staged-server.ts`],
    env: { STAGES: stages.url },
  };
  const place = {
    gateway,
    stateDirectory: temporaryDirectory(),
    throughPort: gateway.workerdPort,
  };
  agent = await startBox(place, [
    { function: "one", ...server, max_inputs: 1, max_pending: 2, max_pending_async: CALLS },
    { function: "cancel", ...server },
    { function: "keep", ...server, on_disconnect: "keep" },
    { function: "grace", ...server, on_disconnect: GRACE_SECONDS },
  ]);
});
afterAll(async () => {
  await agent.stop();
  await gateway.stop();
  await stages.close();
});

test("a small body that does not come within the request timeout is refused, and its connection closed", async () => {
  const { port, host } = gateway.address("cancel");
  const connection = await RawConnection.connect(port);
  connection.send(`POST /work HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 100\r\n\r\nabc`);
  const { status, body } = await connection.response();
  expect(status).toBe(502);
  expect(JSON.parse(body.toString())).toMatchObject({ code: "upload_interrupted" });
  expect(await connection.ending()).toBe("end");
});

describe("behind a slot that is taken", () => {
  const pathOf = (key: string): string => `/work?key=${encodeURIComponent(key)}`;
  const ask = async (key: string, headers: Record<string, string> = {}) =>
    await send(gateway.address("one"), pathOf(key), { method: "POST", body: "question", headers });
  let first: CallClient;
  beforeAll(async () => {
    stages.hold("first", "running");
    first = new CallClient(gateway.address("one"), "first", { body: "question" });
    await stages.reached(["first"], "running", 60_000);
  });

  test(`${CALLS} asynchronous calls wait for little memory, the next is refused, and all run once`, async () => {
    const before = await memoryOf(agent, 1);
    const urls: string[] = [];
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let index = next++; index < CALLS; index = next++) {
        const answer = await ask(`waits/${index}`, { prefer: "respond-async" });
        expect(answer.status).toBe(202);
        urls[index] = answer.headers.location ?? "";
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, worker));
    const after = await memoryOf(agent, 2);
    const held = (memory: NodeJS.MemoryUsage): number => memory.heapUsed + memory.external;
    expect((held(after) - held(before)) / CALLS).toBeLessThan(MAX_BYTES_A_CALL);

    const refused = await ask("one too many", { prefer: "respond-async" });
    expect(refused.status).toBe(429);
    expect(refused.json()).toMatchObject({ code: "queue_full" });
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);

    stages.release("first");
    expect(await first.outcome).toBe("answer");
    const keys = urls.map((_, index) => `waits/${index}`);
    await stages.reached(keys, "streaming", 90_000);
    const last = await send(gateway.address("one"), urls.at(-1) ?? "");
    expect([last.status, last.text]).toEqual([200, answerOf(keys.at(-1) ?? "")]);
    expect(keys.filter((key) => stages.executions(key).length !== 1)).toEqual([]);
  });
});

describe("a client that leaves", () => {
  /** Asks, waits until the app has the request, and leaves. */
  async function leave(functionName: string): Promise<{ key: string; leftAtMs: number }> {
    const key = `leaves/${functionName}`;
    stages.hold(key, "running");
    const { port, host } = gateway.address(functionName);
    const connection = await RawConnection.connect(port);
    connection.send(`GET /work?key=${encodeURIComponent(key)} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    await stages.reached([key], "running", 60_000);
    connection.reset();
    return { key, leftAtMs: performance.now() };
  }

  test("ends its work, ends it after the grace, or does not, as the endpoint says", async () => {
    const kept = await leave("keep");
    const graced = await leave("grace");
    const cancelled = await leave("cancel");

    await stages.left(cancelled.key);
    expect(performance.now() - cancelled.leftAtMs).toBeLessThan(NOTICED_WITHIN_MS);

    await stages.left(graced.key);
    expect(performance.now() - graced.leftAtMs).toBeGreaterThan(GRACE_SECONDS * 1000 - 100);

    stages.release(kept.key);
    await stages.reached([kept.key], "streaming");
  });
});
