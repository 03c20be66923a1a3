/**
 * Three models that share one GPU under random traffic, for ten virtual minutes each: the share of time in which the GPU
 * loads, and the longest wait, against an oracle that knows the future (swaps/oracle.ts). The agent's own `Pool` and `Box`
 * decide; nothing runs, and no GPU is needed.
 *
 *   node test/bench/swaps.ts [--seeds 10] [--residency S] [--patience S] [--most-patience S]
 *   node test/bench/swaps.ts --live bursts
 *
 * With `--live` a gateway, an agent with one declared GPU and real processes play the first seed of one shape, in ten minutes
 * by the clock; the same in virtual time stands beside it.
 */
import { parseArgs } from "node:util";
import { MINUTE_MS, SECOND_MS } from "../../base/units.ts";
import { ARBITRATION_LIMITS } from "../../origin-gpu/core/claims.ts";
import { leastLoadingMs, leastLongestWaitMs } from "./swaps/oracle.ts";
import { playSwaps } from "./swaps/live-gpu.ts";
import {
  type Arrival,
  MODELS,
  SHAPES,
  type SimulatedModel,
  traffic,
  type TrafficShape,
} from "./swaps/traffic.ts";
import { simulateSwaps, type SwapResult } from "./swaps/virtual-gpu.ts";

const DURATION_MS = 10 * MINUTE_MS;

const { values: flags } = parseArgs({
  options: {
    seeds: { type: "string", default: "10" },
    residency: { type: "string" },
    patience: { type: "string" },
    "most-patience": { type: "string" },
    live: { type: "string" },
  },
});

function seconds(flag: string | undefined, usualMs: number): number {
  return flag === undefined ? usualMs : Number(flag) * SECOND_MS;
}

const limits = {
  residencyMs: seconds(flags.residency, ARBITRATION_LIMITS.residencyMs),
  patienceMs: seconds(flags.patience, ARBITRATION_LIMITS.patienceMs),
  mostPatienceMs: seconds(flags["most-patience"], ARBITRATION_LIMITS.mostPatienceMs),
};

const COLUMNS = [
  "traffic",
  "calls",
  "loads",
  "loading",
  "least loading",
  "mean wait",
  "longest wait",
  "least longest wait",
] as const;

type Play = (
  models: readonly SimulatedModel[],
  arrivals: readonly Arrival[],
) => SwapResult | Promise<SwapResult>;

async function measure(
  shape: TrafficShape,
  seed: number,
  models: readonly SimulatedModel[],
  play: Play,
) {
  const arrivals = traffic(models, shape, { seed, durationMs: DURATION_MS });
  const { waitsMs, loadingMs, loads, endMs } = await play(models, arrivals);
  const longestMs = Math.max(...waitsMs);
  const bound = { limitMs: longestMs, durationMs: DURATION_MS };
  return {
    calls: arrivals.length,
    loads,
    loading: loadingMs / endMs,
    leastLoading: leastLoadingMs(models, arrivals, bound) / DURATION_MS,
    meanMs: mean(waitsMs),
    longestMs,
    leastLongestMs: leastLongestWaitMs(models, arrivals, DURATION_MS),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

type Measured = Awaited<ReturnType<typeof measure>>;

function row(name: string, runs: readonly Measured[]): string {
  const average = (key: keyof Measured) => mean(runs.map((run) => run[key]));
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
  const inSeconds = (ms: number) => `${(ms / SECOND_MS).toFixed(1)} s`;
  const cells = [
    name,
    average("calls").toFixed(0),
    average("loads").toFixed(1),
    percent(average("loading")),
    percent(average("leastLoading")),
    inSeconds(average("meanMs")),
    inSeconds(average("longestMs")),
    inSeconds(average("leastLongestMs")),
  ];
  return `| ${cells.join(" | ")} |`;
}

const inVirtualTime: Play = (models, arrivals) => simulateSwaps(models, arrivals, limits);

async function printVirtual(shape: TrafficShape): Promise<void> {
  const runs: Measured[] = [];
  for (let seed = 1; seed <= Number(flags.seeds); seed += 1) {
    runs.push(await measure(shape, seed, MODELS, inVirtualTime));
  }
  console.log(row(shape.name, runs));
}

async function printLive(shape: TrafficShape): Promise<void> {
  const models = MODELS.map((model) => Object.assign({}, model, { stopMs: 0 }));
  console.log(row(`${shape.name}, virtual`, [await measure(shape, 1, models, inVirtualTime)]));
  console.log(row(`${shape.name}, live`, [await measure(shape, 1, models, playSwaps)]));
}

console.log(`| ${COLUMNS.join(" | ")} |`);
console.log(`| ${COLUMNS.map(() => "---").join(" | ")} |`);
if (flags.live === undefined) {
  for (const shape of SHAPES) await printVirtual(shape);
} else {
  const shape = SHAPES.find(({ name }) => name === flags.live);
  if (shape === undefined) throw new Error(`no traffic is called ${flags.live}`);
  await printLive(shape);
}
