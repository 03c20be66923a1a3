/**
 * Bounds that no arbiter of one GPU can beat, also one that knows the future. The oracle decides on a grid of time by
 * dynamic programming, and everything that it ignores makes it better: a loaded model serves any number of calls at once
 * and at once, and a swap never waits for calls that run.
 *
 * The grid is a bound too. Round each time at which a real schedule leaves a model down to the grid: loads take whole
 * steps, so each model is there no later than in the real schedule. Here a model serves until a step after it was left.
 */
import type { Arrival, SimulatedModel } from "./traffic.ts";

const STEP_MS = 1_000;

/** A way to be at a model at a time. */
interface Label {
  /** By model, the first of its calls that has not been served. */
  readonly next: readonly number[];
  readonly loadingMs: number;
}

/**
 * The least time of loading with which no call waits longer than a limit; Infinity where that can't be.
 * @param durationMs until when the schedule is looked at
 */
export function leastLoadingMs(
  models: readonly SimulatedModel[],
  arrivals: readonly Arrival[],
  { limitMs, durationMs }: { readonly limitMs: number; readonly durationMs: number },
): number {
  const times = models.map((_, model) =>
    arrivals.filter((arrival) => arrival.model === model).map(({ atMs }) => atMs),
  );
  const steps = Math.ceil(durationMs / STEP_MS);
  const labels: Label[][][] = Array.from({ length: steps + 1 }, () => models.map(() => []));
  /** The model is there from this time on, unless a call has waited too long by then. */
  const reach = (atMs: number, model: number, { next, loadingMs }: Label) => {
    const isLate = next.some(
      (index, other) => (times[other]?.[index] ?? Infinity) + limitMs < atMs,
    );
    const step = Math.min(steps, Math.round(atMs / STEP_MS));
    if (isLate) return;
    let served = next[model] ?? 0;
    while ((times[model]?.[served] ?? Infinity) <= atMs + STEP_MS) served += 1;
    insert(labels[step]?.[model], { next: next.with(model, served), loadingMs });
  };
  for (const [model, { loadMs }] of models.entries()) {
    reach(loadMs, model, { next: models.map(() => 0), loadingMs: loadMs });
  }
  for (let step = 0; step < steps; step++) {
    const atMs = step * STEP_MS;
    for (const [model, { stopMs }] of models.entries()) {
      for (const label of labels[step]?.[model] ?? []) {
        reach(atMs + STEP_MS, model, label);
        for (const [other, { loadMs }] of models.entries()) {
          const swapMs = stopMs + loadMs;
          const { next, loadingMs } = label;
          if (other !== model) reach(atMs + swapMs, other, { next, loadingMs: loadingMs + swapMs });
        }
      }
    }
  }
  return Math.min(Infinity, ...(labels[steps] ?? []).flat().map(({ loadingMs }) => loadingMs));
}

/** The shortest longest wait, to a tenth of a second. */
export function leastLongestWaitMs(
  models: readonly SimulatedModel[],
  arrivals: readonly Arrival[],
  durationMs: number,
): number {
  let [low, high] = [0, durationMs];
  while (high - low > 100) {
    const limitMs = (low + high) / 2;
    if (leastLoadingMs(models, arrivals, { limitMs, durationMs }) === Infinity) low = limitMs;
    else high = limitMs;
  }
  return low;
}

/** Keeps a label unless another one is as good in all. */
function insert(labels: Label[] | undefined, label: Label): void {
  if (labels === undefined || labels.some((other) => isAsGood(other, label))) return;
  const kept = labels.filter((other) => !isAsGood(label, other));
  labels.splice(0, labels.length, ...kept, label);
}

function isAsGood(one: Label, other: Label): boolean {
  return (
    one.loadingMs <= other.loadingMs &&
    one.next.every((index, model) => index >= (other.next[model] ?? 0))
  );
}
