import fc from "fast-check";
import { expect, test } from "vitest";
import { RetryBudget } from "../../routing/retry-budget.ts";

/** Takes as many as there are. */
function takeAll(budget: RetryBudget, nowMs: number): number {
  let taken = 0;
  while (budget.take(nowMs)) taken += 1;
  return taken;
}

test("what one lost link breaks may be sent again at once", () => {
  expect(takeAll(new RetryBudget(), 1_000)).toBe(200);
});

test("in an outage a fifth of the requests is sent again, and ten a second in any case", () => {
  const budget = new RetryBudget();
  takeAll(budget, 0);
  let retries = 0;
  // 1,000 requests a second for 60 s, each of which wants to be sent again and again.
  for (let nowMs = 1; nowMs <= 60_000; nowMs += 1) {
    budget.onRequest();
    retries += takeAll(budget, nowMs);
  }
  expect(retries).toBeGreaterThan(12_500);
  expect(retries).toBeLessThanOrEqual(12_600);
});

test("retries are at most a fifth of the requests, ten a second, and the first 200", () => {
  const steps = fc.array(
    fc.record({ afterMs: fc.nat({ max: 2_000 }), requests: fc.nat({ max: 30 }) }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, (given) => {
      const budget = new RetryBudget();
      let nowMs = 0;
      let requests = 0;
      let retries = 0;
      for (const step of given) {
        nowMs += step.afterMs;
        for (let count = 0; count < step.requests; count += 1) budget.onRequest();
        requests += step.requests;
        retries += takeAll(budget, nowMs);
        expect(retries).toBeLessThanOrEqual(200 + requests / 5 + nowMs / 100 + 0.001);
      }
    }),
  );
});

test("with few requests ten a second are allowed", () => {
  const budget = new RetryBudget();
  takeAll(budget, 0);
  expect(takeAll(budget, 1_000)).toBe(10);
  expect(takeAll(budget, 1_050)).toBe(0);
});
