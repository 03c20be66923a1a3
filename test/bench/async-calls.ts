/**
 * What calls cost that outlive their request. First the same small request, in turns: as a call that
 * passes through an agent without a state directory, which can keep none; as one that passes through an
 * agent that could keep it; as a keyed and as an asynchronous one. Then many asynchronous calls at an
 * agent whose only slot is taken: the time to their 202, the agent's memory for each, the gateway's for
 * all.
 *
 *   npm run bench:async-calls -- [--calls 100000] [--rounds 30]
 *
 * With `--calls 0` it ends before the second part. docs/architecture.md has the figures.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { memoryOf, startBox } from "../support/box.ts";
import { CallClient } from "../support/call-client.ts";
import { APPS, type Gateway, startGateway } from "../support/harness.ts";
import { cpuSeconds, memoryBytes, type ManagedProcess } from "../support/processes.ts";
import { Stages } from "../support/stages.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { CONNECTIONS, type Headers, load, median } from "./small-requests.ts";

const { values: flags } = parseArgs({
  options: {
    calls: { type: "string", default: "100000" },
    rounds: { type: "string", default: "30" },
  },
});
const CALLS = Number(flags.calls);
const ROUNDS = Number(flags.rounds);
const QUICK_APP = fileURLToPath(new URL("app.ts", import.meta.url));
const REQUESTS_OF_A_ROUND = 1000;
const WARMING_REQUESTS = 500;

function shown({ timesMs, elapsedMs }: { timesMs: number[]; elapsedMs: number }): string {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (part: number): string => (sorted[Math.floor(sorted.length * part)] ?? 0).toFixed(2);
  const rate = Math.round((timesMs.length / elapsedMs) * 1000);
  return `${rate} a second, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`;
}

/** A gateway with a box of its own. */
interface Site {
  readonly gateway: Gateway;
  readonly agent: ManagedProcess;
}

async function startSite(stateDirectory?: string): Promise<Site> {
  const gateway = await startGateway({ flags: ["--rate-limit", "0"] });
  started.push(gateway.process);
  const place = { gateway, throughPort: gateway.workerdPort };
  const server = { web_server: ["node", `${APPS}/staged-server.ts`], env: { STAGES: stages.url } };
  const agent = await startBox(
    stateDirectory === undefined ? place : { ...place, stateDirectory },
    [
      { function: "work", ...server, max_inputs: 1 },
      { function: "quick", web_server: ["node", QUICK_APP], max_inputs: 1000 },
    ],
  );
  started.push(agent);
  return { gateway, agent };
}

/** One way to ask, and what was measured in each round. */
class Kind {
  readonly name: string;
  readonly site: Site;
  readonly expected: number;
  readonly headersOf: () => Headers;
  readonly requestsPerSecond: number[] = [];
  readonly p50Ms: number[] = [];
  /** Of all rounds: the system counts in steps of 10 ms. */
  agentCpuSeconds = 0;

  constructor(name: string, site: Site, expected: number, headersOf: () => Headers) {
    this.name = name;
    this.site = site;
    this.expected = expected;
    this.headersOf = headersOf;
  }
}

/** A keyed call's key belongs to it alone. */
let keys = 0;

/** Each kind has a site of its own: what one leaves in a process's memory is no other's advantage. */
async function startKinds(): Promise<[Kind, ...Kind[]]> {
  const key = (): Headers => ({ "idempotency-key": `key-${keys++}` });
  return [
    new Kind("passing, none can be kept", await startSite(), 200, () => ({})),
    new Kind("passing", await startSite(temporaryDirectory()), 200, () => ({})),
    new Kind("keyed", await startSite(temporaryDirectory()), 200, key),
    new Kind("asynchronous", await startSite(temporaryDirectory()), 202, () => ({
      prefer: "respond-async",
    })),
  ];
}

async function measure(kind: Kind): Promise<void> {
  const { gateway, agent } = kind.site;
  const before = cpuSeconds([agent.pid]);
  const count = REQUESTS_OF_A_ROUND;
  const result = await load(gateway.address("quick"), "/", count, kind.headersOf, kind.expected);
  kind.requestsPerSecond.push((count / result.elapsedMs) * 1000);
  kind.p50Ms.push(median(result.timesMs));
  kind.agentCpuSeconds += cpuSeconds([agent.pid]) - before;
}

/** Every kind in turns; the medians of the rounds, and their ratio to the first kind's. */
async function inTurns(kinds: readonly [Kind, ...Kind[]]): Promise<void> {
  for (let round = 0; round < ROUNDS; round += 1) {
    // The other way round every other time: neighbours are alike for all.
    for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) await measure(kind);
  }
  const [first] = kinds;
  console.log(`medians of ${ROUNDS} rounds (in brackets, of the ratios to the first line's round)`);
  for (const kind of kinds) {
    const rate = shownMedian(kind.requestsPerSecond, first.requestsPerSecond, 0);
    const p50 = shownMedian(kind.p50Ms, first.p50Ms, 2);
    const cpu = Math.round((kind.agentCpuSeconds / (ROUNDS * REQUESTS_OF_A_ROUND)) * 1e6);
    const cpuRatio = (kind.agentCpuSeconds / first.agentCpuSeconds).toFixed(2);
    console.log(
      `${kind.name}: ${rate} a second, p50 ${p50} ms, ${cpu} (${cpuRatio}) µs of the agent's CPU`,
    );
  }
}

/** Round by round, since what else the machine does changes from round to round. */
function shownMedian(rounds: readonly number[], first: readonly number[], digits: number): string {
  const ratios = rounds.map((value, round) => value / (first[round] as number));
  return `${median(rounds).toFixed(digits)} (${median(ratios).toFixed(2)})`;
}

/** A queue of calls that nobody waits for, behind one that has the slot. */
async function manyWaiting({ gateway, agent }: Site): Promise<void> {
  stages.hold("first", "running");
  const first = new CallClient(gateway.address("work"), "first", { body: "question" });
  await stages.reached([first.key], "running");
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
}

const stages = await Stages.start();
/** What is to be ended, whatever happens. */
const started: ManagedProcess[] = [];
try {
  const kinds = await startKinds();
  for (const { site, headersOf, expected } of kinds) {
    // Warm, and with its container started.
    await load(site.gateway.address("quick"), "/", WARMING_REQUESTS, headersOf, expected);
  }
  await inTurns(kinds);
  if (CALLS > 0) await manyWaiting(await startSite(temporaryDirectory()));
} finally {
  for (const process of started.toReversed()) process.killTree();
  await stages.close();
}
