/**
 * The latency of a running service while 1,000 requests a second come that a limit refuses: past an endpoint's rate, and
 * past a token's budget. Rounds without them and with them take turns, and each is compared with the one before it.
 *
 *   node test/bench/over-limit.ts [--per-second 1000] [--seconds 10] [--rounds 5]
 *
 * The flood comes from a thread of its own, so that it delays no measurement. workerd serves both on one thread.
 */
import { Agent, get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

import { startCommand, startUp } from "../support/harness.ts";
import { percentile } from "./load/usage.ts";
import { median } from "./report.ts";

const TICK_MS = 5;
/** Of the service that is measured. */
const SERVICE_PER_SECOND = 50;

interface Target {
  readonly port: number;
  readonly host: string;
  readonly headers: Readonly<Record<string, string>>;
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
  const command = ["node", fileURLToPath(new URL("app.ts", import.meta.url))];
  const app = { web_server: command, max_inputs: 1_000 };
  const postern = await startUp(
    [
      { function: "limited", ...app, rate_limit: "1/1" },
      { function: "budgeted", ...app, requires_proxy_auth: true },
      { function: "work", ...app },
    ],
    { flags: ["--rate-limit", "0"] },
  );
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
    const service = targetOf("work");
    const floods = [
      ["past an endpoint's rate", targetOf("limited")],
      ["past a token's budget", targetOf("budgeted", { authorization: `Bearer ${key}` })],
    ] as const;
    await load(service, SERVICE_PER_SECOND, 2);
    const latency = async () => {
      const answers = await load(service, SERVICE_PER_SECOND, seconds);
      const failed = answers.filter(({ status }) => status !== 200).length;
      const sorted = answers.map(({ tookMs }) => tookMs).toSorted((one, other) => one - other);
      return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), failed };
    };
    for (const [what, target] of floods) {
      const rounds: { p50: number; p99: number }[] = [];
      for (let round = 0; round < Number(flags.rounds); round += 1) {
        const quiet = await latency();
        const flooding = floodElsewhere({ target, perSecond, seconds: seconds + 1 });
        const flooded = await latency();
        const { refused, others } = await flooding;
        rounds.push({ p50: flooded.p50 / quiet.p50, p99: flooded.p99 / quiet.p99 });
        console.log(
          `${what}: p50 ${quiet.p50.toFixed(2)} → ${flooded.p50.toFixed(2)} ms, ` +
            `p99 ${quiet.p99.toFixed(2)} → ${flooded.p99.toFixed(2)} ms; ${refused} refused, ` +
            `${others} others; ${quiet.failed + flooded.failed} of the service failed`,
        );
      }
      const ratio = (part: "p50" | "p99") => median(rounds.map((of) => of[part])).toFixed(2);
      console.log(`${what}: with / without, medians: p50 ${ratio("p50")}, p99 ${ratio("p99")}`);
    }
  } finally {
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
