/**
 * What a warm request costs in a workspace of many endpoints, beside one in a workspace of a single one:
 * two gateways in turns, the same request, the CPU of each one's workerd. And what a cold name costs.
 *
 *   node test/bench/many-endpoints.ts [--endpoints 10000] [--rounds 20]
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { SILENT } from "../../base/observer.ts";
import { type RunningAgent, startAgent } from "../../origin-gpu/agent.ts";
import { parseConfig } from "../../origin-gpu/config/config.ts";
import { ownAccess } from "../../cli/access.ts";
import { enrolledBox } from "../../cli/box-identity.ts";
import { startBox } from "../support/box.ts";
import { type Gateway, startGateway } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { cpuSeconds, type ManagedProcess, memoryBytes } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { load, median } from "./small-requests.ts";

const { values: flags } = parseArgs({
  options: {
    endpoints: { type: "string", default: "10000" },
    rounds: { type: "string", default: "20" },
  },
});
const ENDPOINTS = Number(flags.endpoints);
const ROUNDS = Number(flags.rounds);
const ENDPOINTS_OF_A_BOX = 100;
const REQUESTS_OF_A_ROUND = 2_000;
const COLD_NAMES = 200;
const APP = fileURLToPath(new URL("app.ts", import.meta.url));

interface Site {
  readonly name: string;
  readonly gateway: Gateway;
  readonly requestsPerSecond: number[];
  cpuSeconds: number;
}

const agents: RunningAgent[] = [];
const gateways: Gateway[] = [];
const boxes: ManagedProcess[] = [];

async function startSite(name: string): Promise<Site> {
  const gateway = await startGateway({ flags: ["--rate-limit", "0"] });
  gateways.push(gateway);
  const endpoint = { function: "quick", web_server: ["node", APP], max_inputs: 1000 };
  boxes.push(await startBox({ gateway, throughPort: gateway.workerdPort }, [endpoint]));
  await send(gateway.address("quick"), "/", { timeoutMs: 30_000 });
  return { name, gateway, requestsPerSecond: [], cpuSeconds: 0 };
}

/** A box with an app of many endpoints, none of which is ever asked in the rounds. */
async function announceMany({ gateway }: Site, number: number): Promise<void> {
  const endpoints = Array.from(
    { length: ENDPOINTS_OF_A_BOX },
    (_, index) => `[[endpoint]]\nfunction = "f${index}"\nupstream = "http://127.0.0.1:9"\n`,
  );
  const parsed = parseConfig(
    `workspace = "tests"\napp = "many-${number}"\n${endpoints.join("")}`,
    "many.toml",
  );
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const enrolment = await enrolledBox({
    access: ownAccess(gateway.stateDirectory),
    directory: temporaryDirectory(),
    name: `many-${number}`,
  });
  const gatewayUrl = `http://localhost:${gateway.workerdPort}`;
  agents.push(
    await startAgent({ gatewayUrl, enrolment, announced: parsed.config, observer: SILENT }),
  );
}

async function measure(site: Site): Promise<void> {
  const { gateway } = site;
  const { host } = gateway.address("quick");
  const before = cpuSeconds([gateway.workerdPid]);
  const address = { port: gateway.workerdPort, host };
  const { elapsedMs } = await load(address, "/", REQUESTS_OF_A_ROUND, () => ({}), 200);
  site.cpuSeconds += cpuSeconds([gateway.workerdPid]) - before;
  site.requestsPerSecond.push((REQUESTS_OF_A_ROUND / elapsedMs) * 1000);
}

/** The first request to names that nobody has asked for, one after the other. */
async function coldNames({ gateway }: Site): Promise<number> {
  const timesMs: number[] = [];
  for (let index = 0; index < COLD_NAMES; index += 1) {
    const box = index % (ENDPOINTS / ENDPOINTS_OF_A_BOX);
    const label = `many-${box}-f${Math.floor(index / (ENDPOINTS / ENDPOINTS_OF_A_BOX))}`;
    const host = `tests--${label}.localhost:${gateway.port}`;
    const startedAt = performance.now();
    // The head of a preflight-like question that no box is asked for: nothing but the name is looked up.
    const { status } = await send({ port: gateway.workerdPort, host }, "/?__postern_call=none");
    if (status !== 404) throw new Error(`${label}: ${status}`);
    timesMs.push(performance.now() - startedAt);
  }
  return median(timesMs);
}

try {
  const few = await startSite("1 endpoint");
  const many = await startSite(`${ENDPOINTS + 1} endpoints`);
  const startedAt = performance.now();
  for (let number = 0; number < ENDPOINTS / ENDPOINTS_OF_A_BOX; number += 1) {
    await announceMany(many, number);
  }
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(`${ENDPOINTS} endpoints on ${agents.length} boxes were there after ${seconds} s`);
  for (const site of [few, many]) await measure(site);
  for (const site of [few, many]) {
    site.requestsPerSecond.length = 0;
    site.cpuSeconds = 0;
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const site of round % 2 === 0 ? [few, many] : [many, few]) await measure(site);
  }
  for (const { name, gateway, requestsPerSecond, cpuSeconds: cpu } of [few, many]) {
    const perRequest = (cpu / (ROUNDS * REQUESTS_OF_A_ROUND)) * 1e6;
    const mebibytes = memoryBytes([gateway.workerdPid]) / 1024 ** 2;
    console.log(
      `${name}: ${median(requestsPerSecond).toFixed(0)} a second, ${perRequest.toFixed(0)} µs of workerd's CPU, ${mebibytes.toFixed(0)} MiB`,
    );
  }
  const ratios = many.requestsPerSecond.map(
    (rate, round) => rate / (few.requestsPerSecond[round] as number),
  );
  console.log(
    `many to one: ${median(ratios).toFixed(2)} of the requests, ${(many.cpuSeconds / few.cpuSeconds).toFixed(2)} of the CPU`,
  );
  console.log(`a cold name: ${(await coldNames(many)).toFixed(2)} ms for its first request (p50)`);
} finally {
  await Promise.all(agents.map(async (agent) => await agent.close()));
  for (const process of [...boxes, ...gateways.map((gateway) => gateway.process)]) {
    process.killTree();
  }
}
