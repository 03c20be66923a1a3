/** Container-seconds: the time of a container, shared by its calls, and nothing twice. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { SharedTime } from "../../../origin-gpu/core/shared-time.ts";
import { TokenUsage } from "../../../origin-gpu/core/token-usage.ts";

const OWNER = { token: "wk-a", endpoint: "main/app/web" };
const OTHER = { token: "wk-b", endpoint: "main/app/web" };

interface Work {
  readonly id: number;
}

test("a call alone has its container's time, and of two each has half", () => {
  const usage = new TokenUsage<Work>();
  const time = new SharedTime();
  const [one, two] = [{ id: 1 }, { id: 2 }];
  time.enter(0);
  usage.begin(one, OWNER, time, false, 0);
  time.enter(1_000);
  usage.begin(two, OTHER, time, false, 1_000);
  usage.end(one, 3_000);
  time.leave(3_000);
  usage.end(two, 3_500);
  time.leave(3_500);
  expect(usage.collect(10, 9_000)).toEqual([
    { ...OWNER, requests: 1, containerMs: 2_000 },
    { ...OTHER, requests: 1, containerMs: 1_500 },
  ]);
  expect(usage.isEmpty).toBe(true);
});

test("a call without a token takes its share, and nobody is charged for it", () => {
  const usage = new TokenUsage<Work>();
  const time = new SharedTime();
  const call = { id: 1 };
  time.enter(0);
  time.enter(0);
  usage.begin(call, OWNER, time, false, 0);
  usage.end(call, 1_000);
  expect(usage.collect(10, 1_000)).toEqual([{ ...OWNER, requests: 1, containerMs: 500 }]);
});

test("a call that runs is charged at each collection, and counts as one request", () => {
  const usage = new TokenUsage<Work>();
  const time = new SharedTime();
  const call = { id: 1 };
  time.enter(0);
  usage.begin(call, OWNER, time, false, 0);
  expect(usage.collect(10, 5_000)).toEqual([{ ...OWNER, requests: 1, containerMs: 5_000 }]);
  expect(usage.collect(10, 7_500)).toEqual([{ ...OWNER, requests: 0, containerMs: 2_500 }]);
  expect(usage.isEmpty).toBe(false);
  usage.end(call, 8_000);
  time.leave(8_000);
  // Its request could not be sent, and it gets another place.
  time.enter(9_000);
  usage.begin(call, OWNER, time, true, 9_000);
  usage.end(call, 9_100);
  expect(usage.collect(10, 10_000)).toEqual([{ ...OWNER, requests: 0, containerMs: 600 }]);
});

test("the sum of all calls is the time in which a container was busy, whoever comes and goes and collects", () => {
  const step = fc.record({
    gap: fc.integer({ min: 0, max: 3_000 }),
    act: fc.constantFrom("begin", "begin", "end", "collect"),
    container: fc.nat(2),
    owner: fc.nat(2),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
      const usage = new TokenUsage<Work>();
      const containers = [0, 1, 2].map(() => ({
        time: new SharedTime(),
        calls: [] as Work[],
        busyMs: 0,
      }));
      let now = 0;
      let begun = 0;
      let requests = 0;
      let charged = 0;
      const collect = () => {
        for (const row of usage.collect(1_000, now)) {
          requests += row.requests;
          charged += row.containerMs;
        }
      };
      const pass = (gap: number) => {
        now += gap;
        for (const one of containers) if (one.calls.length > 0) one.busyMs += gap;
      };
      for (const { gap, act, container, owner } of steps) {
        pass(gap);
        const place = containers[container] as (typeof containers)[number];
        if (act === "collect") collect();
        else if (act === "begin") {
          const call = { id: (begun += 1) };
          place.calls.push(call);
          place.time.enter(now);
          usage.begin(call, { token: `wk-${owner}`, endpoint: "e" }, place.time, false, now);
        } else {
          const call = place.calls.shift();
          if (call === undefined) continue;
          usage.end(call, now);
          place.time.leave(now);
        }
      }
      for (const place of containers) {
        for (const call of place.calls) {
          usage.end(call, now);
          place.time.leave(now);
        }
      }
      collect();
      expect(requests).toBe(begun);
      const busyMs = containers.reduce((sum, one) => sum + one.busyMs, 0);
      // Less than a millisecond is given up with the last call of each of three tokens, each time that one has none.
      expect(charged).toBeLessThanOrEqual(busyMs + 1e-6);
      expect(charged).toBeGreaterThan(busyMs - 3 * (steps.length + 1));
      expect(usage.isEmpty).toBe(true);
    }),
  );
});

test("more rows than a batch may have come with the next one", () => {
  const usage = new TokenUsage<Work>();
  for (let index = 0; index < 5; index += 1) {
    const time = new SharedTime();
    const call = { id: index };
    time.enter(0);
    usage.begin(call, { token: `wk-${index}`, endpoint: "e" }, time, false, 0);
    usage.end(call, 10);
  }
  const rows = [usage.collect(3, 10), usage.collect(3, 10), usage.collect(3, 10)];
  expect(rows.map(({ length }) => length)).toEqual([3, 2, 0]);
  expect(new Set(rows.flat().map(({ token }) => token)).size).toBe(5);
});
