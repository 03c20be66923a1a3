/** Budgets of a day: never a request more, whatever dies, and hardly one less. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DAY_MS } from "../../base/units.ts";
import { type Budget, budgetAnswer, dayOf, type Used } from "../../routing/budgets.ts";
import { LeasedBudget } from "../../routing/leased-budget.ts";
import { budgetHeaders } from "../../routing/rate-headers.ts";

const DAY = 20_000;
const MORNING = DAY * DAY_MS + 1;

/** The side with the numbers, as `Meter` keeps them: a row for each day. */
class Ledger {
  readonly requests = new Map<number, number>();
  containerSeconds = 0;

  used(day: number): Used {
    return { requests: this.requests.get(day) ?? 0, containerSeconds: this.containerSeconds };
  }

  answer(budget: Budget, wanted: number, now: number) {
    const day = dayOf(now);
    const answer = budgetAnswer(budget, this.used(day), wanted, now);
    if (answer.kind === "granted") {
      this.requests.set(day, this.used(day).requests + answer.requests);
    }
    return answer;
  }
}

/** Takes one request, and asks where the lease says so; whether it passed. */
function pass(lease: LeasedBudget, ledger: Ledger, now: number): boolean {
  for (;;) {
    const taken = lease.take(now);
    if (taken.kind === "spent") return false;
    if (taken.kind === "empty" || taken.asks) {
      lease.answered(ledger.answer(lease.budget, lease.ask(now), now), now);
    }
    if (taken.kind === "taken") return true;
  }
}

describe("a budget of requests", () => {
  test("lets all of them through and none more, and names what is spent until the day ends", () => {
    const ledger = new Ledger();
    const lease = new LeasedBudget({ requests: 1_000 }, MORNING);
    for (let index = 0; index < 1_000; index += 1) {
      expect(pass(lease, ledger, MORNING + index)).toBe(true);
    }
    expect(lease.take(MORNING + 1_000)).toEqual({
      kind: "spent",
      part: "requests",
      waitMs: DAY_MS - 1_001,
    });
    expect(pass(lease, ledger, (DAY + 1) * DAY_MS - 1)).toBe(false);
    expect(pass(lease, ledger, (DAY + 1) * DAY_MS)).toBe(true);
  });

  test("is asked about seldom at a steady pace, and a rare request takes one at a time", () => {
    const ledger = new Ledger();
    const lease = new LeasedBudget({ requests: 100_000 }, MORNING);
    let asked = 0;
    const counted = {
      answer: (...of: Parameters<Ledger["answer"]>) => {
        asked += 1;
        return ledger.answer(...of);
      },
    } as Ledger;
    for (let index = 0; index < 10_000; index += 1) pass(lease, counted, MORNING + index * 2);
    expect(asked).toBeLessThan(40);
    const rare = new LeasedBudget({ requests: 100_000 }, MORNING);
    const quiet = new Ledger();
    for (let index = 0; index < 10; index += 1) pass(rare, quiet, MORNING + index * 60_000);
    expect(quiet.used(DAY).requests).toBeLessThanOrEqual(11);
  });

  test("is never exceeded, however isolates come, ask, lose answers and end", () => {
    const steps = fc.array(
      fc.record({
        isolate: fc.nat(3),
        act: fc.constantFrom("pass", "pass", "pass", "pass", "end", "lose", "rest"),
        times: fc.integer({ min: 1, max: 60 }),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2_000 }), steps, (requests, acts) => {
        const ledger = new Ledger();
        const isolates: (LeasedBudget | undefined)[] = [];
        let now = MORNING;
        let passed = 0;
        let lost = 0;
        for (const { isolate, act, times } of acts) {
          const lease = (isolates[isolate] ??= new LeasedBudget({ requests }, now));
          if (act === "end") isolates[isolate] = undefined;
          if (act === "rest") now += times * 1_000;
          if (act === "lose") {
            // The answer was on its way when the isolate stopped waiting.
            ledger.answer({ requests }, lease.ask(now), now);
            lease.failed();
          }
          if (act === "end" || act === "lose") lost += 1;
          for (let left = act === "pass" ? times : 0; left > 0; left -= 1) {
            now += 3;
            if (pass(lease, ledger, now)) passed += 1;
          }
        }
        expect(passed).toBeLessThanOrEqual(requests);
        expect(passed).toBeLessThanOrEqual(ledger.used(DAY).requests);
        // What is counted and did not pass is on lease, or was.
        const leases = lost + isolates.length;
        const most = leases * 2 * Math.max(1, requests / 100);
        expect(ledger.used(DAY).requests - passed).toBeLessThanOrEqual(most);
      }),
    );
  });

  test("of the next day begins whole, without what was on lease before", () => {
    const ledger = new Ledger();
    const budget = { requests: 10_000 };
    const lease = new LeasedBudget(budget, MORNING);
    for (let index = 0; index < 500; index += 1) pass(lease, ledger, MORNING + index);
    const midnight = (DAY + 1) * DAY_MS;
    let passed = 0;
    while (pass(lease, ledger, midnight + passed)) passed += 1;
    expect(passed).toBe(10_000);
  });

  test("is not refilled by a clock that is set back, nor by the days that come again", () => {
    const ledger = new Ledger();
    const spend = (now: number): number => {
      const lease = new LeasedBudget({ requests: 50 }, now);
      let passed = 0;
      while (pass(lease, ledger, now)) passed += 1;
      return passed;
    };
    expect([spend(MORNING), spend(MORNING + DAY_MS)]).toEqual([50, 50]);
    expect([spend(MORNING), spend(MORNING - 2), spend(MORNING + DAY_MS)]).toEqual([0, 50, 0]);
  });
});

describe("a budget of container-seconds", () => {
  test("is looked up every few seconds, and refuses soon after it is spent", () => {
    const ledger = new Ledger();
    const lease = new LeasedBudget({ containerSeconds: 60 }, MORNING);
    expect(pass(lease, ledger, MORNING)).toBe(true);
    ledger.containerSeconds = 60;
    // The first request after two seconds asks behind itself.
    expect(lease.take(MORNING + 1_999)).toEqual({ kind: "taken", asks: false });
    expect(pass(lease, ledger, MORNING + 2_000)).toBe(true);
    expect(lease.take(MORNING + 2_001)).toMatchObject({ kind: "spent", part: "container-seconds" });
  });

  test("that nobody has looked at for five seconds is looked up before a request", () => {
    const ledger = new Ledger();
    const lease = new LeasedBudget({ containerSeconds: 60 }, MORNING);
    expect(pass(lease, ledger, MORNING)).toBe(true);
    expect(lease.take(MORNING + 5_000)).toEqual({ kind: "empty" });
    // An answer that does not come makes it no younger.
    lease.ask(MORNING + 5_000);
    lease.failed();
    expect(lease.take(MORNING + 5_001)).toEqual({ kind: "empty" });
  });

  test("ends requests that are on lease, too", () => {
    const ledger = new Ledger();
    const lease = new LeasedBudget({ requests: 10_000, containerSeconds: 60 }, MORNING);
    for (let index = 0; index < 500; index += 1) pass(lease, ledger, MORNING + index);
    ledger.containerSeconds = 61;
    pass(lease, ledger, MORNING + 3_000);
    expect(pass(lease, ledger, MORNING + 3_001)).toBe(false);
  });
});

test("a refused client is told which budget, of how much, and until when", () => {
  expect(budgetHeaders("requests", 1_000, 59_001)).toEqual([
    "ratelimit-policy",
    '"token-requests";q=1000;w=86400',
    "ratelimit",
    '"token-requests";r=0;t=60',
  ]);
  expect(budgetHeaders("container-seconds", 3_600, 1)).toEqual([
    "ratelimit-policy",
    '"token-container-seconds";q=3600;w=86400;qu="container-seconds"',
    "ratelimit",
    '"token-container-seconds";r=0;t=1',
  ]);
});
