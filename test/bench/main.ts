/**
 * `npm run bench`: what Postern costs, as ratios measured in one run. Every measure is taken from all
 * targets in turn, in a new order each round, and what is printed is the median over the rounds, so
 * that a busy neighbour on the machine spoils a round and not the comparison.
 * `--help` prints the flags, and the benches that are no part of this one.
 */
import { fork } from "node:child_process";
import { parseArgs } from "node:util";

import { temporaryDirectory } from "../support/temporary.ts";
import type { Job, JobOutcome, Load } from "./load/main.ts";
import type { LoadResult } from "./load/usage.ts";
import { type Measure, allMeasures } from "./measures.ts";
import { printProfiles } from "./profile.ts";
import { measureTable, reportHead } from "./report.ts";
import { type Target, type Targets, startTargets } from "./targets.ts";

/** Each has a command, since its figures are no ratios to peers. */
const OTHERS = `Benches of their own:

  npm run bench:async-calls           calls that outlive their request, 100,000 that wait included
  npm run bench:cold-start            what a cold start adds, for one caller and for 50
  npm run bench:swaps                 three models that share one GPU, in virtual time
  node test/bench/autoscaler/main.ts  the autoscaler under traces of traffic, in virtual time

Others are in test/bench, each with what it measures at its top.`;

const HELP = `npm run bench -- [flags]

  --only TEXT    only the measures whose name holds the text, such as "chunk delay"
  --rounds N     instead of 5: about two minutes of all measures, one of "chunk delay"
  --against DIR  another checkout of this repository, measured beside this one
  --quick        three short rounds, to see that it works
  --profile      profiles Postern's Node processes and prints where their time goes

${OTHERS}`;

const { values: flags } = parseArgs({
  options: {
    help: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    rounds: { type: "string" },
    against: { type: "string" },
    quick: { type: "boolean", default: false },
    profile: { type: "boolean", default: false },
  },
});
if (flags.help) {
  console.log(HELP);
  process.exit();
}
const rounds = Number(flags.rounds ?? (flags.quick ? 3 : 5));
if (!(rounds >= 1)) throw new Error(`--rounds ${flags.rounds}: is a number from 1 on`);
/** Each starts processes of its own. */
const freshRounds = flags.quick ? 1 : Math.min(rounds, 3);
const WARM_UP: Load = { kind: "requests", connections: 16, forMs: 1000 };

const everyMeasure = allMeasures(flags.quick);
const measures = everyMeasure.filter(({ name }) => name.includes(flags.only));
if (measures.length === 0) {
  const names = everyMeasure.map(({ name }) => name).join("\n  ");
  throw new Error(`--only ${flags.only}: no measure's name holds it. There are\n  ${names}`);
}

const generator = fork(new URL("load/main.ts", import.meta.url), { stdio: "inherit" });

async function run(load: Load, target: Target, { app }: Targets): Promise<LoadResult> {
  const job: Job = { load, target: target.address, app: app.address, pids: target.pids() };
  const outcome = await new Promise<JobOutcome>((resolve) => {
    generator.once("message", resolve);
    generator.send(job);
  });
  if ("result" in outcome) return outcome.result;
  throw new Error(`${load.kind} at ${target.name}: ${outcome.error}`);
}

/** The same targets in another order each round: whoever comes after a heavy one is another each time. */
const rotated = <Item>(items: readonly Item[], by: number): Item[] => [
  ...items.slice(by % items.length),
  ...items.slice(0, by % items.length),
];

/** By the target's name: fresh rounds have other targets each time. */
const samples = new Map<Measure, Map<string, LoadResult[]>>();

/** A lost chunk, a stream that never began: one ends its round of the measure, not the run. */
const failures: string[] = [];

function keep(measure: Measure, target: Target, result: LoadResult): void {
  const byTarget = samples.get(measure) ?? new Map<string, LoadResult[]>();
  samples.set(measure, byTarget);
  byTarget.set(target.name, [...(byTarget.get(target.name) ?? []), result]);
}

async function measureRound(
  targets: Targets,
  chosen: readonly Target[],
  wanted: readonly Measure[],
  round: number,
): Promise<void> {
  for (const measure of wanted) {
    const results: (readonly [Target, LoadResult])[] = [];
    try {
      for (const target of rotated(chosen, round)) {
        results.push([target, await run(measure.load, target, targets)]);
      }
    } catch (error) {
      // Ratios are of targets in the same round: without one of them, it counts for none.
      failures.push(`${measure.name}, round ${round + 1}: ${(error as Error).message}`);
      continue;
    }
    for (const [target, result] of results) keep(measure, target, result);
  }
}

async function warmUp(targets: Targets): Promise<void> {
  for (const target of targets.all) await run(WARM_UP, target, targets);
}

function printTables(targets: Targets, wanted: readonly Measure[]): void {
  for (const measure of wanted) {
    const rows = targets.all.flatMap((target) => {
      const of = samples.get(measure)?.get(target.name);
      return of === undefined ? [] : [[target, of] as const];
    });
    console.log(`\n${measureTable(measure, new Map(rows))}`);
  }
}

async function withTargets(
  profileDirectory: string | undefined,
  use: (targets: Targets) => Promise<void>,
): Promise<void> {
  const targets = await startTargets({ profileDirectory, against: flags.against });
  try {
    await warmUp(targets);
    await use(targets);
  } finally {
    await targets.stop();
  }
}

const profileDirectory = flags.profile ? temporaryDirectory() : undefined;
const inAllRounds = measures.filter(({ isFresh }) => isFresh !== true);
const fresh = measures.filter(({ isFresh }) => isFresh === true);
try {
  console.log(reportHead(rounds, freshRounds));
  if (inAllRounds.length > 0) {
    await withTargets(profileDirectory, async (targets) => {
      for (let round = 0; round < rounds; round++) {
        await measureRound(targets, targets.all, inAllRounds, round);
        process.stderr.write(`round ${round + 1} of ${rounds}\n`);
      }
      printTables(targets, inAllRounds);
    });
  }
  for (let round = 0; round < freshRounds && fresh.length > 0; round++) {
    await withTargets(undefined, async (targets) => {
      await measureRound(targets, targets.apart, fresh, round);
      process.stderr.write(`round ${round + 1} of ${freshRounds} with new processes\n`);
      if (round === freshRounds - 1) printTables(targets, fresh);
    });
  }
} finally {
  generator.disconnect();
}
console.log(`\n${OTHERS}`);
if (failures.length > 0) {
  console.log(`\n## Failed\n\n${failures.map((failure) => `- ${failure}`).join("\n")}`);
  process.exitCode = 1;
}
if (profileDirectory !== undefined) printProfiles(profileDirectory);
