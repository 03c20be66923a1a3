/**
 * `npm run bench`: what Postern costs, as ratios measured in one run. Every measure is taken from all
 * targets in turn, in a new order each round, and what is printed is the median over the rounds, so
 * that a busy neighbour on the machine spoils a round and not the comparison.
 *
 *   --quick     three short rounds, to see that it works
 *   --profile   profiles Postern's Node processes and prints where their time goes
 */
import { fork } from "node:child_process";
import { parseArgs } from "node:util";

import { cpuSeconds, processTree } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import type { Job, Result } from "./load.ts";
import { printProfiles } from "./profile.ts";
import { type Measure, type Sample, printReport } from "./report.ts";
import { type Target, startTargets } from "./targets.ts";

const MIB = 1024 * 1024;

const { values: flags } = parseArgs({
  options: { quick: { type: "boolean" }, profile: { type: "boolean" } },
});
const rounds = flags.quick === true ? 3 : 7;
const forMs = flags.quick === true ? 400 : 1_500;
const bulkBytes = (flags.quick === true ? 64 : 256) * MIB;

type JobOf = (target: Target) => Job;

const MEASURES: readonly (readonly [Measure, JobOf])[] = [
  ...[1, 16, 64].map(
    (connections) =>
      [
        { name: `requests, ${connections} connections`, unit: "per second" },
        (target: Target) => ({ kind: "requests", connections, forMs, target }) as const,
      ] as const,
  ),
  [
    { name: "first chunk of a stream", unit: "latency" },
    (target) => ({ kind: "first chunk", count: Math.ceil(forMs / 15), target }),
  ],
  [
    { name: "download", unit: "MB per second" },
    (target) => ({ kind: "download", bytes: bulkBytes, target }),
  ],
  [
    { name: "upload", unit: "MB per second" },
    (target) => ({ kind: "upload", bytes: bulkBytes, target }),
  ],
  ...[1, 16].map(
    (connections) =>
      [
        { name: `WebSocket round trips, ${connections} sockets`, unit: "per second" },
        (target: Target) => ({ kind: "websocket", connections, forMs, target }) as const,
      ] as const,
  ),
];

const generator = fork(new URL("load.ts", import.meta.url), { stdio: "inherit" });

async function measure(job: Job): Promise<Result> {
  return await new Promise((resolve, reject) => {
    generator.once("message", (message: { result: Result } | { error: string }) => {
      if ("result" in message) resolve(message.result);
      else reject(new Error(`${job.kind} at port ${job.target.port}: ${message.error}`));
    });
    generator.send(job);
  });
}

async function sample(target: Target, jobOf: JobOf): Promise<Sample> {
  const pids = target.pids.flatMap(processTree);
  const cpuBefore = cpuSeconds(pids);
  const result = await measure(jobOf(target));
  return { ...result, cpuSeconds: cpuSeconds(pids) - cpuBefore };
}

/** The same targets in another order each round: whoever comes after a heavy one is another each time. */
const rotated = <Item>(items: readonly Item[], by: number): Item[] => [
  ...items.slice(by % items.length),
  ...items.slice(0, by % items.length),
];

const profileDirectory = flags.profile === true ? temporaryDirectory() : undefined;
const targets = await startTargets(profileDirectory);
const samples = new Map<Measure, Map<Target, Sample[]>>(
  MEASURES.map(([what]) => [what, new Map(targets.all.map((target) => [target, []]))]),
);
try {
  for (const target of targets.all) {
    await measure({ kind: "requests", connections: 16, forMs, target });
  }
  for (let round = 0; round < rounds; round++) {
    for (const [what, jobOf] of MEASURES) {
      for (const target of rotated(targets.all, round)) {
        samples
          .get(what)
          ?.get(target)
          ?.push(await sample(target, jobOf));
      }
    }
    process.stderr.write(`round ${round + 1} of ${rounds}\n`);
  }
  printReport(samples, targets, rounds);
} finally {
  generator.disconnect();
  await targets.stop();
}
if (profileDirectory !== undefined) printProfiles(profileDirectory);
