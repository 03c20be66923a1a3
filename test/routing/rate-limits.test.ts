/** Rate limits: never more than the rate and its burst, and no less, however isolates share the tokens out. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LeasedTokens } from "../../routing/leased-tokens.ts";
import { rateHeaders } from "../../routing/rate-headers.ts";
import { creditOf, LEASE_MS, RateLeases } from "../../routing/rate-leases.ts";
import { TokenBucket } from "../../routing/token-bucket.ts";
import { isRate, parseRate, type Rate } from "../../routing/wire/rate.ts";

function rateOf(text: string): Rate {
  const rate = parseRate(text);
  if (rate === undefined) throw new Error(text);
  return rate;
}

const RATES = fc
  .record({ perSecond: fc.integer({ min: 1, max: 400 }), windowS: fc.integer({ min: 1, max: 10 }) })
  .map(({ perSecond, windowS }) => rateOf(`${perSecond}/${windowS}`));

/** The most that was let through in any time, beyond what the rate gives in that time. */
function burstOf(passedAt: readonly number[], { perSecond }: Rate): number {
  // With v(i) = i - perSecond * t(i): the largest v(j) - v(i) + 1 of i <= j.
  let [lowest, most] = [Infinity, 0];
  for (const [index, at] of passedAt.entries()) {
    const value = index - (perSecond * at) / 1000;
    lowest = Math.min(lowest, value);
    most = Math.max(most, value - lowest + 1);
  }
  return most;
}

describe("a rate", () => {
  test("is requests a second and seconds of burst", () => {
    expect(parseRate("200/5")).toEqual({ perSecond: 200, burst: 1000, windowS: 5 });
    expect(parseRate("0.5/10")).toEqual({ perSecond: 0.5, burst: 5, windowS: 10 });
    expect(parseRate("1/1")?.burst).toBe(1);
  });

  test.each(["", "0", "200", "0/5", "5/0", "0.1/5", "1e3/5", "-1/5", "1/5/1", " 1/5", "1/5\n"])(
    "%j is none",
    (text) => {
      expect(isRate(text)).toBe(false);
    },
  );
});

describe("a bucket", () => {
  test("lets its burst through at once, and then its rate", () => {
    const bucket = new TokenBucket(rateOf("10/2"), 0);
    for (let index = 0; index < 20; index += 1) expect(bucket.take(0)).toBe(0);
    expect(bucket.take(0)).toBe(100);
    expect(bucket.take(99)).toBeCloseTo(1);
    expect(bucket.take(100)).toBe(0);
    expect(bucket.take(100)).toBe(100);
    bucket.putBack();
    expect(bucket.take(100)).toBe(0);
  });

  test("of any requests lets through no more than the rate and the burst, and refuses none while one is left", () => {
    fc.assert(
      fc.property(RATES, fc.array(fc.nat(200), { maxLength: 2_000, size: "max" }), (rate, gaps) => {
        const bucket = new TokenBucket(rate, 0);
        const passedAt: number[] = [];
        let now = 0;
        for (const gap of gaps) {
          now += gap;
          const waitMs = bucket.take(now);
          if (waitMs === 0) passedAt.push(now);
          else {
            // A request at the time that the refusal names would have passed, and none before.
            const inWindow = burstOf([...passedAt, now + waitMs], rate);
            expect(inWindow).toBeLessThan(rate.burst + 1e-6);
            expect(burstOf([...passedAt, now], rate)).toBeGreaterThan(rate.burst);
          }
        }
        expect(burstOf(passedAt, rate)).toBeLessThan(rate.burst + 1e-6);
      }),
    );
  });

  test("is not filled by a clock that is set back", () => {
    const bucket = new TokenBucket(rateOf("1/1"), 10_000);
    expect(bucket.take(10_000)).toBe(0);
    expect(bucket.take(0)).toBeGreaterThan(0);
    expect(bucket.take(999)).toBeGreaterThan(0);
    expect(bucket.take(1_000)).toBe(0);
  });
});

interface Traffic {
  /** Requests a second of each isolate; one of -1 takes a lease and is never heard of again. */
  readonly demands: readonly number[];
  readonly seconds: number;
  /** Milliseconds from an isolate to the tokens, and back. */
  readonly delayMs: number;
}

interface Outcome {
  readonly passedAt: number[];
  readonly passedOf: number[];
  readonly questions: number;
}

/** Requests that come within the millisecond that begins now. */
function arrivals(demand: number, now: number): number {
  if (demand < 0) return now === 0 ? 1 : 0;
  return Math.floor(((now + 1) * demand) / 1000) - Math.floor((now * demand) / 1000);
}

/** Isolates with their traffic, in steps of a millisecond. */
function simulate(rate: Rate, { demands, seconds, delayMs }: Traffic): Outcome {
  const meter = new RateLeases(rate, 0);
  const isolates = demands.map(() => new LeasedTokens(rate, 0));
  const passedOf = demands.map(() => 0);
  const passedAt: number[] = [];
  const events = new Map<number, (() => void)[]>();
  const at = (time: number, event: () => void) => {
    events.set(time, [...(events.get(time) ?? []), event]);
  };
  let questions = 0;
  const ask = (index: number, now: number) => {
    const isolate = isolates[index] as LeasedTokens;
    const request = isolate.ask(now);
    questions += 1;
    at(now + delayMs, () => {
      const grant = meter.lease(`${index}`, request, now + delayMs);
      at(now + 2 * delayMs, () => {
        isolate.granted(request, grant, now + 2 * delayMs);
      });
    });
  };
  const request = (index: number, now: number) => {
    const isolate = isolates[index] as LeasedTokens;
    const taken = isolate.take(now);
    if (taken.kind === "taken") {
      passedAt.push(now);
      passedOf[index] = (passedOf[index] as number) + 1;
      if (taken.asks) ask(index, now);
    } else if (taken.kind === "empty" && !isolate.isAsking) ask(index, now);
  };
  for (let now = 0; now < seconds * 1000; now += 1) {
    for (let pending = events.get(now); pending !== undefined; pending = events.get(now)) {
      events.delete(now);
      for (const event of pending) event();
    }
    for (const [index, demand] of demands.entries()) {
      for (let left = arrivals(demand, now); left > 0; left -= 1) request(index, now);
    }
  }
  return { passedAt, passedOf, questions };
}

/** The fewest and the most of these times, which ascend, that are in one minute of a span; by windows 10 ms apart. */
function inAnyMinute(
  passedAt: readonly number[],
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): { readonly least: number; readonly most: number } {
  let [least, most, first, next] = [Infinity, 0, 0, 0];
  for (let begin = fromMs; begin + 60_000 <= toMs; begin += 10) {
    while ((passedAt[first] ?? Infinity) < begin) first += 1;
    while ((passedAt[next] ?? Infinity) < begin + 60_000) next += 1;
    least = Math.min(least, next - first);
    most = Math.max(most, next - first);
  }
  return { least, most };
}

describe("leases of tokens", () => {
  test("let through no more than the rate and the burst over all isolates, but for what is on credit", () => {
    fc.assert(
      fc.property(
        RATES,
        fc.array(fc.integer({ min: -1, max: 300 }), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 40 }),
        (rate, demands, delayMs) => {
          const { passedAt } = simulate(rate, { demands, seconds: 15, delayMs });
          const most = rate.burst + demands.length * creditOf(rate);
          expect(burstOf(passedAt, rate)).toBeLessThan(most + 1e-6);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("let through 95 % and no more than 105 % of the rate in any minute of too many requests", () => {
    for (const text of ["200/5", "50/5", "10/5", "1000/1"]) {
      const rate = rateOf(text);
      for (const shares of [[1.5], [1, 1], [3, 0.1, 0.1], [0.3, 0.3, 0.3, 0.3, 0.3], [2, -1, -1]]) {
        const demands = shares.map((share) => (share < 0 ? -1 : share * rate.perSecond));
        const { passedAt } = simulate(rate, { demands, seconds: 150, delayMs: 15 });
        // The burst is spent by then.
        const { least, most } = inAnyMinute(passedAt, { fromMs: 30_000, toMs: 150_000 });
        const name = `${text} of ${shares.join()}`;
        expect(least / (60 * rate.perSecond), name).toBeGreaterThanOrEqual(0.95);
        expect(most / (60 * rate.perSecond), name).toBeLessThanOrEqual(1.05);
      }
    }
  });

  test("ask for few requests, both below the limit and far above it", () => {
    const rate = rateOf("200/5");
    const below = simulate(rate, { demands: [150], seconds: 60, delayMs: 10 });
    expect(below.passedAt.length).toBeGreaterThan(8_990);
    expect(below.questions).toBeLessThan(90);
    const above = simulate(rate, { demands: [2_000], seconds: 60, delayMs: 10 });
    expect(above.questions).toBeLessThan(620);
  });

  test("starve nobody: an isolate with few requests gets its own while others flood", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 6 }),
        (perSecond, floods) => {
          const rate = rateOf(`${perSecond}/2`);
          const demands = [1, ...Array.from({ length: floods }, () => perSecond * 5)];
          const { passedOf } = simulate(rate, { demands, seconds: 60, delayMs: 10 });
          expect(passedOf[0]).toBeGreaterThan(0);
          const fair = Math.min(60, (60 * perSecond) / demands.length);
          expect(passedOf[0]).toBeGreaterThan(fair / 4);
        },
      ),
      { numRuns: 20 },
    );
  });

  test("of an isolate that vanishes count as spent, and make room when they have ended", () => {
    const leases = new RateLeases(rateOf("10/1"), 0);
    const all = { wanted: 10, kept: 0, returned: 0, owed: 0 };
    expect(leases.lease("gone", all, 0).tokens).toBe(5);
    // Until 3,000 the bucket held 5 at most, since the other 5 might still have been used.
    expect(leases.lease("other", all, 3_000).tokens).toBe(2);
    expect(leases.isFull(7_000)).toBe(true);
  });

  test("earn again what was let through on credit", () => {
    const leases = new RateLeases(rateOf("100/1"), 0);
    const none = { wanted: 100, kept: 0, returned: 0, owed: 0 };
    expect(leases.lease("a", { ...none, owed: 120 }, 0)).toEqual({ tokens: 0, pauseMs: 210 });
    expect(leases.lease("a", none, 209).tokens).toBe(0);
    expect(leases.lease("a", none, 211).tokens).toBe(1);
  });

  test("that ended unused are returned, and are not lost", () => {
    const rate = rateOf("10/1");
    const [meter, isolate] = [new RateLeases(rate, 0), new LeasedTokens(rate, 0)];
    expect(isolate.take(0).kind).toBe("empty");
    const first = isolate.ask(0);
    isolate.granted(first, meter.lease("a", first, 0), 0);
    expect(isolate.take(LEASE_MS)).toEqual({ kind: "empty" });
    const second = isolate.ask(LEASE_MS);
    expect(second).toMatchObject({ kept: 0, returned: first.wanted });
    isolate.granted(second, meter.lease("a", second, LEASE_MS), LEASE_MS);
    expect(isolate.take(LEASE_MS).kind).toBe("taken");
  });

  test("are not held up by a clock that is set back, at either end", () => {
    const rate = rateOf("10/1");
    const hour = 3_600_000;
    const [meter, isolate] = [new RateLeases(rate, hour), new LeasedTokens(rate, hour)];
    // Until nothing is left; then the clock is set back by an hour, and runs on.
    let passed = 0;
    const passAt = (now: number): void => {
      const taken = isolate.take(now);
      if (taken.kind === "taken") passed += 1;
      else if (taken.kind === "empty") {
        const asked = isolate.ask(now);
        isolate.granted(asked, meter.lease("a", asked, now), now);
      }
    };
    for (let count = 0; count < 40; count += 1) passAt(hour);
    expect(passed).toBeLessThanOrEqual(rate.burst);
    passed = 0;
    for (let now = 0; now < 10_000; now += 10) passAt(now);
    expect(passed).toBeGreaterThanOrEqual(90);
    expect(passed).toBeLessThanOrEqual(110);
  });

  test("that can't be asked for leave each isolate with the rate alone", () => {
    const isolate = new LeasedTokens(rateOf("5/1"), 0);
    expect(isolate.take(0).kind).toBe("empty");
    isolate.ask(0);
    isolate.failed(1_000);
    const kinds = Array.from({ length: 6 }, () => isolate.take(1_000).kind);
    expect(kinds).toEqual(["taken", "taken", "taken", "taken", "taken", "refused"]);
    expect(isolate.take(2_000).kind).toBe("empty");
  });
});

test("the fields of a refused request are whole numbers of the draft's form", () => {
  expect(rateHeaders("workspace", rateOf("200/5"), 5)).toEqual([
    "ratelimit-policy",
    '"workspace";q=1000;w=5',
    "ratelimit",
    '"workspace";r=0;t=1',
  ]);
  expect(rateHeaders("token", rateOf("0.5/2.5"), 1_999)).toEqual([
    "ratelimit-policy",
    '"token";q=1;w=3',
    "ratelimit",
    '"token";r=0;t=2',
  ]);
});
