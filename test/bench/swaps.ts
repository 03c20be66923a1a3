/**
 * Three models that share one GPU under random traffic, for ten virtual minutes each: the share of time in which the GPU
 * loads, and the longest wait, against an oracle that knows the future (swaps/oracle.ts). The agent's own `Pool` and `Box`
 * decide; nothing runs, and no GPU is needed.
 *
 *   node test/bench/swaps.ts [--seeds 10] [--residency S] [--patience S] [--most-patience S]
 */
import { parseArgs } from "node:util";
import { MINUTE_MS, SECOND_MS } from "../../base/units.ts";
import { ARBITRATION_LIMITS } from "../../origin-gpu/core/claims.ts";
import { leastLoadingMs, leastLongestWaitMs } from "./swaps/oracle.ts";
import { MODELS, SHAPES, traffic } from "./swaps/traffic.ts";
import { simulateSwaps } from "./swaps/virtual-gpu.ts";

const DURATION_MS = 10 * MINUTE_MS;

const { values: flags } = parseArgs({
  options: {
    seeds: { type: "string", default: "10" },
    residency: { type: "string" },
    patience: { type: "string" },
    "most-patience": { type: "string" },
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

function measure(shape: (typeof SHAPES)[number], seed: number) {
  const arrivals = traffic(MODELS, shape, { seed, durationMs: DURATION_MS });
  const { waitsMs, loadingMs, loads, endMs } = simulateSwaps(MODELS, arrivals, limits);
  const longestMs = Math.max(...waitsMs);
  const bound = { limitMs: longestMs, durationMs: DURATION_MS };
  return {
    calls: arrivals.length,
    loads,
    loading: loadingMs / endMs,
    leastLoading: leastLoadingMs(MODELS, arrivals, bound) / DURATION_MS,
    meanMs: mean(waitsMs),
    longestMs,
    leastLongestMs: leastLongestWaitMs(MODELS, arrivals, DURATION_MS),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function row(shape: (typeof SHAPES)[number]): string[] {
  const runs = Array.from({ length: Number(flags.seeds) }, (_, seed) => measure(shape, seed + 1));
  const average = (key: keyof (typeof runs)[number]) => mean(runs.map((run) => run[key]));
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
  const inSeconds = (ms: number) => `${(ms / SECOND_MS).toFixed(1)} s`;
  return [
    shape.name,
    average("calls").toFixed(0),
    average("loads").toFixed(1),
    percent(average("loading")),
    percent(average("leastLoading")),
    inSeconds(average("meanMs")),
    inSeconds(average("longestMs")),
    inSeconds(average("leastLongestMs")),
  ];
}

console.log(`| ${COLUMNS.join(" | ")} |`);
console.log(`| ${COLUMNS.map(() => "---").join(" | ")} |`);
for (const shape of SHAPES) console.log(`| ${row(shape).join(" | ")} |`);
