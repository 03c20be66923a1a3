/**
 * What calls cost that outlive their request: many asynchronous ones at one agent whose only slot is
 * taken, with the time to their 202, the agent's memory for each and the gateway's for all; then the same
 * small request as a passing, a keyed and an asynchronous call, in turns.
 *
 *   node test/bench/async-calls.ts [--calls 100000]
 */
import { Agent, request as httpRequest } from "node:http";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { memoryOf, startBox } from "../support/box.ts";
import { CallClient } from "../support/call-client.ts";
import { APPS, type Gateway, startGateway } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import { memoryBytes } from "../support/processes.ts";
import { Stages } from "../support/stages.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const { values: flags } = parseArgs({ options: { calls: { type: "string", default: "100000" } } });
const CALLS = Number(flags.calls);
const QUICK_APP = fileURLToPath(new URL("app.ts", import.meta.url));
const CONNECTIONS = 16;
const ROUNDS = 5;
const REQUESTS_OF_A_ROUND = 2000;

type Headers = Readonly<Record<string, string>>;

/** Posts over kept connections; the times are milliseconds from the request to its answer's last byte. */
async function load(
  { port, host }: Address,
  path: string,
  count: number,
  headersOf: (index: number) => Headers,
  expected: number,
): Promise<{ timesMs: number[]; elapsedMs: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const timesMs: number[] = [];
  let next = 0;
  const post = async (index: number): Promise<void> =>
    await new Promise((resolve, reject) => {
      const startedAt = performance.now();
      const headers = { ...headersOf(index), host, "content-length": "8" };
      const request = httpRequest(
        { agent, host: "127.0.0.1", port, path, method: "POST", headers },
        (response) => {
          if (response.statusCode !== expected) reject(new Error(`${response.statusCode}`));
          response.resume().once("end", () => {
            timesMs.push(performance.now() - startedAt);
            resolve();
          });
        },
      );
      request.once("error", reject).end("question");
    });
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await post(index);
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  agent.destroy();
  return { timesMs, elapsedMs: performance.now() - startedAt };
}

function shown({ timesMs, elapsedMs }: { timesMs: number[]; elapsedMs: number }): string {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (part: number): string => (sorted[Math.floor(sorted.length * part)] ?? 0).toFixed(2);
  const rate = Math.round((timesMs.length / elapsedMs) * 1000);
  return `${rate} a second, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`;
}

/** A keyed call's key belongs to it alone. */
let keys = 0;
const KINDS: Readonly<Record<string, { headersOf: () => Headers; expected: number }>> = {
  passing: { headersOf: () => ({}), expected: 200 },
  keyed: { headersOf: () => ({ "idempotency-key": `key-${keys++}` }), expected: 200 },
  asynchronous: { headersOf: () => ({ prefer: "respond-async" }), expected: 202 },
};

async function manyWaiting(
  gateway: Gateway,
  stages: Stages,
  agent: Parameters<typeof memoryOf>[0],
) {
  stages.hold("first", "running");
  const first = new CallClient(gateway.address("work"), "first", { body: "question" });
  await stages.reached(["first"], "running");
  const before = await memoryOf(agent, 1);
  const edgeBefore = memoryBytes([gateway.workerdPid]);
  const headersOf = (): Headers => ({ prefer: "respond-async" });
  const result = await load(gateway.address("work"), "/work?key=waits", CALLS, headersOf, 202);
  const after = await memoryOf(agent, 2);
  const edge = memoryBytes([gateway.workerdPid]) - edgeBefore;
  const each = (key: "heapUsed" | "external" | "rss"): string =>
    `${Math.round((after[key] - before[key]) / CALLS)} B ${key}`;
  console.log(`${CALLS} asynchronous calls, ${CONNECTIONS} connections: ${shown(result)}`);
  console.log(`agent, each call: ${each("heapUsed")}, ${each("external")}, ${each("rss")}`);
  console.log(`workerd, all calls: ${(edge / 1024 ** 2).toFixed(1)} MiB`);
  return first;
}

const stages = await Stages.start();
const gateway = await startGateway({ flags: ["--rate-limit", "0"] });
const place = { gateway, stateDirectory: temporaryDirectory(), throughPort: gateway.workerdPort };
const server = { web_server: ["node", `${APPS}/staged-server.ts`], env: { STAGES: stages.url } };
const agent = await startBox(place, [
  { function: "work", ...server, max_inputs: 1 },
  { function: "quick", web_server: ["node", QUICK_APP], max_inputs: 1000 },
]);
try {
  await send(gateway.address("quick"), "/", { method: "POST", body: "question" });
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, { headersOf, expected }] of Object.entries(KINDS)) {
      const count = REQUESTS_OF_A_ROUND;
      const result = await load(gateway.address("quick"), "/", count, headersOf, expected);
      console.log(`round ${round + 1}, ${name}: ${shown(result)}`);
    }
  }
  await manyWaiting(gateway, stages, agent);
} finally {
  agent.killTree();
  gateway.process.killTree();
  await stages.close();
}
