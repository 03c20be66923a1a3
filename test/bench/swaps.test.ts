/** The agent's arbitration of one GPU over ten virtual minutes. The world throws at a lost call or a swap with work in flight. */
import { describe, expect, test } from "vitest";
import { MINUTE_MS, SECOND_MS } from "../../base/units.ts";
import { ARBITRATION_LIMITS } from "../../origin-gpu/core/claims.ts";
import { runs, runsTimeoutMs } from "../support/runs.ts";
import { leastLoadingMs, leastLongestWaitMs } from "./swaps/oracle.ts";
import { type Arrival, MODELS, SHAPES, type SimulatedModel, traffic } from "./swaps/traffic.ts";
import { simulateSwaps } from "./swaps/virtual-gpu.ts";

const DURATION_MS = 10 * MINUTE_MS;

describe.each(SHAPES)("three models on one GPU, $name", (shape) => {
  const seeds = Array.from({ length: runs(3) }, (_, seed) => seed + 1);

  test(
    "serve every call within the documented bound, and not better than the oracle",
    () => {
      for (const seed of seeds) {
        const arrivals = traffic(MODELS, shape, { seed, durationMs: DURATION_MS });
        const { waitsMs, loadingMs } = simulateSwaps(MODELS, arrivals);
        const longestMs = Math.max(...waitsMs);
        const longestCallMs = Math.max(...arrivals.map(({ callMs }) => callMs));
        const longestLoadMs = Math.max(...MODELS.map(({ loadMs, stopMs }) => loadMs + stopMs));
        const turnMs = ARBITRATION_LIMITS.mostPatienceMs + longestCallMs + longestLoadMs;
        expect(longestMs).toBeLessThan(MODELS.length * turnMs);
        const bound = { limitMs: longestMs, durationMs: DURATION_MS };
        expect(leastLoadingMs(MODELS, arrivals, bound)).toBeLessThanOrEqual(loadingMs);
        expect(leastLongestWaitMs(MODELS, arrivals, DURATION_MS)).toBeLessThanOrEqual(longestMs);
      }
    },
    runsTimeoutMs(),
  );
});

describe("the oracle", () => {
  const models: SimulatedModel[] = ["a", "b"].map((name) => ({
    name,
    loadMs: 4_000,
    stopMs: 1_000,
    callMs: 1,
  }));
  const arrivalsOf = (...times: readonly [atS: number, model: number][]): Arrival[] =>
    times.map(([atS, model]) => ({ atMs: atS * SECOND_MS, model, callMs: 1 }));

  test("has a model loaded before its first call", () => {
    const arrivals = arrivalsOf([10, 0], [20, 0]);
    expect(leastLongestWaitMs(models, arrivals, MINUTE_MS)).toBe(0);
    expect(leastLoadingMs(models, arrivals, { limitMs: 0, durationMs: MINUTE_MS })).toBe(4_000);
  });

  test("swaps between calls that are far enough from each other without a wait", () => {
    const arrivals = arrivalsOf([10, 0], [20, 1], [30, 0]);
    expect(leastLongestWaitMs(models, arrivals, MINUTE_MS)).toBe(0);
    expect(leastLoadingMs(models, arrivals, { limitMs: 0, durationMs: MINUTE_MS })).toBe(14_000);
  });

  test("lets a call wait where that saves loads", () => {
    const arrivals = arrivalsOf([10, 0], [20, 1], [30, 0]);
    const bound = { limitMs: 20 * SECOND_MS, durationMs: MINUTE_MS };
    expect(leastLoadingMs(models, arrivals, bound)).toBe(9_000);
  });

  test("can't serve two models at once without a wait", () => {
    const arrivals = arrivalsOf([10, 0], [10, 1]);
    // A swap takes five seconds, and the grid is a step too kind.
    expect(leastLongestWaitMs(models, arrivals, MINUTE_MS)).toBeGreaterThan(3 * SECOND_MS);
    expect(leastLongestWaitMs(models, arrivals, MINUTE_MS)).toBeLessThanOrEqual(5 * SECOND_MS);
  });
});
