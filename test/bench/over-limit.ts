/**
 * The latency of a running service while 1,000 requests a second come that a limit refuses: past an endpoint's rate, and
 * past a token's budget. Rounds without them and with them take turns, and each is compared with the one before it.
 * Two more kinds of rounds show what of it is not Postern's. In one a bare workerd passes the service on, and refuses by
 * a constant of the same headers and bytes. In the other a workerd besides the gateway refuses, so that the two share
 * nothing but the machine.
 *
 *   node test/bench/over-limit.ts [--per-second 1000] [--seconds 10] [--rounds 5]
 *
 * The flood comes from a thread of its own, so that it delays no measurement. workerd serves both on one thread. Before
 * it, `chrt -r 1` keeps the other work of a shared machine from the cores.
 *
 * The exit code is 1 where a flood that Postern refuses makes the p50 of its service more than a quarter longer. The p99 is
 * shown alone: a bare workerd's own one doubles, and more.
 */
import { Agent, get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

import { startBareWorkerd } from "../support/bare-workerd.ts";
import { startCommand, startUp } from "../support/harness.ts";
import { cpuSeconds, ManagedProcess } from "../support/processes.ts";
import { freePort } from "../support/temporary.ts";
import { percentile } from "./load/usage.ts";
import { median } from "./report.ts";

const TICK_MS = 5;
/** Of the service that is measured. */
const SERVICE_PER_SECOND = 50;
/** Of its p50 with a flood and without. */
const MOST_SLOWER = 1.25;

const REFUSING_HOST = "refused.localhost";
/** As long as Postern's for an endpoint's rate. */
const REFUSAL = {
  body: '{"title":"Too many requests","status":429,"detail":"the limit of this endpoint is 1 requests a second, and 1 at once","code":"rate_limited"}\n',
  status: 429,
  headers: {
    "cache-control": "no-store",
    "content-type": "application/problem+json",
    ratelimit: '"endpoint";r=0;t=1',
    "ratelimit-policy": '"endpoint";q=1;w=1',
    "retry-after": "1",
    "x-content-type-options": "nosniff",
    "x-request-id": "00000000-0000-4000-8000-000000000000",
  },
};
const PASS_OR_REFUSE = `const { body, ...rest } = ${JSON.stringify(REFUSAL)};
export default { fetch: (request) =>
  new URL(request.url).hostname === "${REFUSING_HOST}" ? new Response(body, rest) : fetch(request) };`;

interface Target {
  readonly port: number;
  readonly host: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Of latencies with the flood and without, one of each round. */
interface Ratios {
  readonly p50: number[];
  readonly p99: number[];
}

interface Flood {
  readonly target: Target;
  readonly perSecond: number;
  readonly seconds: number;
}

/** Sends requests evenly, whatever becomes of those before. @returns status and milliseconds of each */
async function load(
  { port, host, headers }: Target,
  perSecond: number,
  seconds: number,
): Promise<{ status: number; tookMs: number }[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  const ask = async (): Promise<{ status: number; tookMs: number }> => {
    const begun = performance.now();
    const { promise, resolve } = Promise.withResolvers<number>();
    const options = { port, path: "/wait?0", agent, headers: { ...headers, host } };
    get(options, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
    }).once("error", () => resolve(0));
    return { status: await promise, tookMs: performance.now() - begun };
  };
  const asked: ReturnType<typeof ask>[] = [];
  const began = performance.now();
  while (performance.now() - began < seconds * 1_000) {
    const due = ((performance.now() - began) / 1_000) * perSecond;
    while (asked.length < due) asked.push(ask());
    await sleep(TICK_MS);
  }
  const answers = await Promise.all(asked);
  agent.destroy();
  return answers;
}

/** Floods from another thread. @returns how many were refused, and how many were not */
async function floodElsewhere(flood: Flood): Promise<{ refused: number; others: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ refused: number; others: number }>();
  new Worker(fileURLToPath(import.meta.url), { workerData: flood })
    .once("message", resolve)
    .once("error", reject);
  return await promise;
}

async function measure(): Promise<void> {
  const { values: flags } = parseArgs({
    options: {
      "per-second": { type: "string", default: "1000" },
      seconds: { type: "string", default: "10" },
      rounds: { type: "string", default: "5" },
    },
  });
  const [perSecond, seconds] = [Number(flags["per-second"]), Number(flags.seconds)];
  const command: [string, string] = ["node", fileURLToPath(new URL("app.ts", import.meta.url))];
  const app = { web_server: command, max_inputs: 1_000 };
  const postern = await startUp(
    [
      { function: "limited", ...app, rate_limit: "1/1" },
      { function: "budgeted", ...app, requires_proxy_auth: true },
      { function: "work", ...app },
    ],
    { flags: ["--rate-limit", "0"] },
  );
  const appPort = await freePort();
  const bareApp = new ManagedProcess(command, {
    env: { ...process.env, PORT: String(appPort) },
  });
  await bareApp.waitForOutput(/listening/);
  const bare = await startBareWorkerd(appPort, PASS_OR_REFUSE);
  try {
    const made = startCommand(
      ["proxy-token", "create", "--budget", "1req/day", "--state", postern.stateDirectory],
      {},
    );
    await made.exited;
    const key = made.stdout.trim().split("\n").join(".");
    const targetOf = (name: string, headers = {}): Target => ({
      ...postern.address(name),
      headers,
    });
    const bareTarget = (host: string): Target => ({ port: bare.port, host, headers: {} });
    const own = { service: targetOf("work"), pid: postern.workerdPid };
    const budgeted = targetOf("budgeted", { authorization: `Bearer ${key}` });
    const floods = [
      {
        what: "refused by a bare workerd",
        service: bareTarget("app.localhost"),
        pid: bare.process.pid,
        target: bareTarget(REFUSING_HOST),
        isPosterns: false,
      },
      {
        what: "refused by a workerd besides",
        ...own,
        target: bareTarget(REFUSING_HOST),
        isPosterns: false,
      },
      {
        what: "past an endpoint's rate",
        ...own,
        target: targetOf("limited"),
        isPosterns: true,
      },
      { what: "past a token's budget", ...own, target: budgeted, isPosterns: true },
    ];
    const latency = async (service: Target) => {
      const answers = await load(service, SERVICE_PER_SECOND, seconds);
      const failed = answers.filter(({ status }) => status !== 200).length;
      const sorted = answers.map(({ tookMs }) => tookMs).toSorted((one, other) => one - other);
      return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), failed };
    };
    for (const { service } of floods) await load(service, SERVICE_PER_SECOND, 2);
    const ratios = new Map<string, Ratios>(floods.map(({ what }) => [what, { p50: [], p99: [] }]));
    for (let round = 0; round < Number(flags.rounds); round += 1) {
      for (const { what, service, pid, target } of floods) {
        const begun = cpuSeconds([pid]);
        const quiet = await latency(service);
        const alone = cpuSeconds([pid]);
        const flooding = floodElsewhere({ target, perSecond, seconds: seconds + 1 });
        const flooded = await latency(service);
        const { refused, others } = await flooding;
        const cpuSecondsMore = cpuSeconds([pid]) - alone - (alone - begun);
        const cpu = ((cpuSecondsMore * 1e6) / refused).toFixed(0);
        ratios.get(what)?.p50.push(flooded.p50 / quiet.p50);
        ratios.get(what)?.p99.push(flooded.p99 / quiet.p99);
        console.log(
          `${what}: p50 ${quiet.p50.toFixed(2)} → ${flooded.p50.toFixed(2)} ms, ` +
            `p99 ${quiet.p99.toFixed(2)} → ${flooded.p99.toFixed(2)} ms; ${refused} refused, ` +
            `${others} others; ${cpu} µs of workerd's CPU for each; ${quiet.failed + flooded.failed} of the service failed`,
        );
      }
    }
    for (const [what, { p50, p99 }] of ratios) {
      const [mid, high] = [p50, p99].map((all) => median(all).toFixed(2));
      console.log(`${what}: with / without, medians: p50 ${mid}, p99 ${high}`);
    }
    const slower = floods.filter(
      ({ what, isPosterns }) => isPosterns && median(ratios.get(what)?.p50 ?? []) > MOST_SLOWER,
    );
    for (const { what } of slower) console.log(`${what}: more than ${MOST_SLOWER}`);
    if (slower.length > 0) process.exitCode = 1;
  } finally {
    await bare.stop();
    await bareApp.kill();
    await postern.stop();
  }
}

if (isMainThread) {
  await measure();
} else {
  const { target, perSecond, seconds } = workerData as Flood;
  const answers = await load(target, perSecond, seconds);
  const refused = answers.filter(({ status }) => status === 429).length;
  parentPort?.postMessage({ refused, others: answers.length - refused });
}
