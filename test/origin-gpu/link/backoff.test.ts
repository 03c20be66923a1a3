/** When a lost link is dialled again. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { reconnectDelayMs } from "../../../origin-gpu/link/backoff.ts";

/** The longest wait before each try. */
function most(attempts: number, elapsedMs: number): number[] {
  return Array.from({ length: attempts }, (_, attempt) => reconnectDelayMs(attempt, elapsedMs, 1));
}

test("the longest wait doubles from 100 ms to 1.5 s in the first minute", () => {
  expect(most(7, 0)).toEqual([100, 200, 400, 800, 1500, 1500, 1500]);
});

test("and to 15 s after it", () => {
  expect(most(10, 60_000).slice(-4)).toEqual([6400, 12_800, 15_000, 15_000]);
});

test("any wait is a share of the longest, down to none, for any number of tries", () => {
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(fc.nat(5000), fc.nat(1_000_000), random, (attempt, elapsedMs, share) => {
      const delay = reconnectDelayMs(attempt, elapsedMs, share);
      expect(delay).toBeGreaterThanOrEqual(0);
      expect(delay).toBeLessThanOrEqual(reconnectDelayMs(attempt, elapsedMs, 1));
      expect(delay).toBeLessThanOrEqual(15_000);
    }),
  );
  expect(reconnectDelayMs(3, 0, 0)).toBe(0);
});
