/**
 * What a warm request costs in a workspace of many endpoints, all of which are asked in rotation, beside one in a
 * workspace of a single one, and one in a workspace of as many boxes with an endpoint each: three gateways in turns, the
 * same request, the CPU of each one's workerd. And what a cold name costs.
 *
 *   node test/bench/many-endpoints.ts [--endpoints 10000] [--of-a-box 100] [--rounds 20]
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { SILENT } from "../../base/observer.ts";
import { type RunningAgent, startAgent } from "../../origin-gpu/agent.ts";
import { parseConfig } from "../../origin-gpu/config/config.ts";
import { ownAccess } from "../../cli/access.ts";
import { enrolledBox } from "../../cli/box-identity.ts";
import { type Gateway, startGateway } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { cpuSeconds, ManagedProcess, memoryBytes } from "../support/processes.ts";
import { freePort, temporaryDirectory } from "../support/temporary.ts";
import { load, median } from "./small-requests.ts";

const { values: flags } = parseArgs({
  options: {
    endpoints: { type: "string", default: "10000" },
    "of-a-box": { type: "string", default: "100" },
    rounds: { type: "string", default: "20" },
  },
});
const ENDPOINTS = Number(flags.endpoints);
const ENDPOINTS_OF_A_BOX = Number(flags["of-a-box"]);
const ROUNDS = Number(flags.rounds);
const REQUESTS_OF_A_ROUND = 2_000;
const COLD_NAMES = 200;
const APP = fileURLToPath(new URL("app.ts", import.meta.url));

interface Site {
  readonly name: string;
  readonly gateway: Gateway;
  /** Its endpoints, which are asked in rotation. */
  readonly hosts: readonly string[];
  asked: number;
  readonly requestsPerSecond: number[];
  cpuSeconds: number;
}

const agents: RunningAgent[] = [];
const gateways: Gateway[] = [];

async function startSite(
  name: string,
  endpoints: number,
  ofABox = ENDPOINTS_OF_A_BOX,
): Promise<Site> {
  const gateway = await startGateway({ flags: ["--rate-limit", "0"] });
  gateways.push(gateway);
  const hosts: string[] = [];
  for (let number = 0; hosts.length < endpoints; number += 1) {
    const count = Math.min(ofABox, endpoints - hosts.length);
    hosts.push(...(await announce(gateway, number, count)));
  }
  return { name, gateway, hosts, asked: 0, requestsPerSecond: [], cpuSeconds: 0 };
}

/** A box with an app of so many endpoints; all are the same server's. */
async function announce(gateway: Gateway, number: number, count: number): Promise<string[]> {
  const endpoints = Array.from(
    { length: count },
    (_, index) =>
      `[[endpoint]]\nfunction = "f${index}"\nupstream = "http://127.0.0.1:${appPort}"\nmax_inputs = 1000\n`,
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
  const agent = await startAgent({
    gatewayUrl,
    enrolment,
    announced: parsed.config,
    observer: SILENT,
  });
  agents.push(agent);
  return agent.urls.map(({ url }) => new URL(url).host);
}

/** So many requests, to one endpoint after the other, from where the last ones ended. */
async function ask(site: Site, requests: number): Promise<number> {
  const { gateway, hosts, asked } = site;
  site.asked += requests;
  const address = { port: gateway.workerdPort, host: "" };
  const hostOf = (index: number) => ({ host: hosts[(asked + index) % hosts.length] as string });
  return (await load(address, "/", requests, hostOf, 200)).elapsedMs;
}

async function measure(site: Site): Promise<void> {
  const { workerdPid } = site.gateway;
  const before = cpuSeconds([workerdPid]);
  const elapsedMs = await ask(site, REQUESTS_OF_A_ROUND);
  site.cpuSeconds += cpuSeconds([workerdPid]) - before;
  site.requestsPerSecond.push((REQUESTS_OF_A_ROUND / elapsedMs) * 1000);
}

/** The first request to names that nobody has asked for, one after the other. */
async function coldNames({ gateway, hosts }: Site): Promise<number> {
  const timesMs: number[] = [];
  const step = Math.max(1, Math.floor(hosts.length / COLD_NAMES));
  for (let index = 0; index < hosts.length; index += step) {
    const host = hosts[index] as string;
    const startedAt = performance.now();
    // The head of a preflight-like question that no box is asked for: nothing but the name is looked up.
    const { status } = await send({ port: gateway.workerdPort, host }, "/?__postern_call=none");
    if (status !== 404) throw new Error(`${host}: ${status}`);
    timesMs.push(performance.now() - startedAt);
  }
  return median(timesMs);
}

const appPort = await freePort();
const app = new ManagedProcess([process.execPath, APP], {
  env: { ...process.env, PORT: String(appPort) },
});
try {
  await app.waitForOutput(/listening/);
  const few = await startSite("1 endpoint", 1);
  const startedAt = performance.now();
  const many = await startSite(`${ENDPOINTS} endpoints`, ENDPOINTS);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(`${ENDPOINTS} endpoints on ${agents.length - 1} boxes were there after ${seconds} s`);
  const boxes = agents.length - 1;
  const apart = await startSite(`${boxes} boxes with an endpoint each`, boxes, 1);
  const sites = [few, apart, many];
  console.log(`a cold name: ${(await coldNames(many)).toFixed(2)} ms for its first request (p50)`);
  // Code that has not run much yet is slower.
  for (const site of sites) await ask(site, Math.max(ENDPOINTS, 2 * REQUESTS_OF_A_ROUND));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const site of round % 2 === 0 ? sites : sites.toReversed()) await measure(site);
  }
  for (const { name, gateway, requestsPerSecond, cpuSeconds: cpu } of sites) {
    const perRequest = (cpu / (ROUNDS * REQUESTS_OF_A_ROUND)) * 1e6;
    const mebibytes = memoryBytes([gateway.workerdPid]) / 1024 ** 2;
    console.log(
      `${name}: ${median(requestsPerSecond).toFixed(0)} a second, ${perRequest.toFixed(0)} µs of workerd's CPU, ${mebibytes.toFixed(0)} MiB`,
    );
  }
  for (const site of [apart, many]) {
    const ratios = site.requestsPerSecond.map(
      (rate, round) => rate / (few.requestsPerSecond[round] as number),
    );
    console.log(
      `${site.name} to one: ${median(ratios).toFixed(2)} of the requests, ${(site.cpuSeconds / few.cpuSeconds).toFixed(2)} of the CPU`,
    );
  }
} finally {
  await Promise.all(agents.map(async (agent) => await agent.close()));
  for (const process of [app, ...gateways.map((gateway) => gateway.process)]) process.killTree();
}
