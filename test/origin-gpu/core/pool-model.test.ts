/** A pool under random histories of calls and containers: its invariants, after each event. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { PoolSettings } from "../../../origin-gpu/core/pool-effects.ts";
import { runs, runsTimeoutMs } from "../../support/runs.ts";
import { PoolWorld, SETTINGS } from "./pool-world.ts";

const settings: fc.Arbitrary<PoolSettings> = fc
  .record({
    maxInputs: fc.integer({ min: 1, max: 3 }),
    minContainers: fc.integer({ min: 0, max: 2 }),
    extraContainers: fc.integer({ min: 0, max: 2 }),
    bufferContainers: fc.integer({ min: 0, max: 1 }),
    maxPending: fc.constantFrom(0, 3, 2_000),
    maxPendingAsync: fc.constantFrom(2, 1_000_000),
    startupTimeoutMs: fc.constantFrom(5_000, 300_000),
    givesUpStarts: fc.boolean(),
    canSleep: fc.boolean(),
    sessionsMove: fc.boolean(),
    mostFailures: fc.constantFrom(Infinity, Infinity, 2),
  })
  .map(({ extraContainers, maxInputs, minContainers, ...some }) =>
    Object.assign(some, SETTINGS, {
      ...some,
      maxInputs,
      minContainers,
      targetInputs: Math.ceil(maxInputs / 2),
      maxContainers: Math.max(1, minContainers + extraContainers),
    }),
  );

type Step = [kind: number, choice: number, luck: number];

const step: fc.Arbitrary<Step> = fc.tuple(fc.integer({ min: 0, max: 19 }), fc.nat(), fc.nat(7));

function historyOf(maxLength: number) {
  return fc.record({
    settings,
    isProved: fc.boolean(),
    /** What an earlier agent has left. */
    left: fc.constantFrom(0, 0, 0, 1, 3),
    steps: fc.array(step, { minLength: 10, maxLength, size: "max" }),
  });
}

/** Half of the calls belong to no session. */
const KEYS = [
  undefined,
  undefined,
  undefined,
  undefined,
  "session_hash=a",
  "session_hash=b",
  "session_hash=c",
  "prompt=a",
];

const CALLERS = [undefined, "a", "a", "b", "c"];

function take(world: PoolWorld, [kind, choice, luck]: Step): void {
  const calls = [...world.calls.keys()];
  const call = calls[choice % Math.max(1, calls.length)];
  const numbers = [...world.containers.keys()];
  const number = numbers[choice % Math.max(1, numbers.length)];
  if (kind <= 3) arrive(world, choice, luck);
  else if (kind <= 6) {
    if (number !== undefined) world.step(number, luck > 0);
  } else if (kind <= 9) {
    if (call !== undefined) world.finish(call);
  } else if (kind === 10) {
    if (call !== undefined && luck < 2) world.requeue(call);
    else if (call !== undefined && luck < 5) world.accept(call);
  } else if (kind === 11) world.pass([1, 1_000, 5_000, 61_000][luck % 4] ?? 0);
  else if (kind === 12) world.apply(world.pool.tick(world.nowMs));
  else if (kind <= 15) takeRare(world, [kind, choice, luck]);
  else if (kind === 16) world.change(changeOf(choice, luck));
  else if (number !== undefined && kind === 17) world.exit(number);
  else if (number !== undefined) interfere(world, number, choice, luck);
}

function arrive(world: PoolWorld, choice: number, luck: number): void {
  const traits = {
    asynchronous: luck === 1 || luck === 3,
    accepted: luck <= 1,
    passive: luck === 2,
    caller: CALLERS[(choice >>> 3) % CALLERS.length],
    batch: (choice >>> 6) % 4 === 1,
    waitedMs: luck === 4 ? Math.min(world.nowMs, 4_000) : 0,
  };
  world.arrive(traits, KEYS[choice % KEYS.length]);
}

function takeRare(world: PoolWorld, [kind, choice, luck]: Step): void {
  if (kind === 13 && luck <= 1 && world.calls.size > 2) world.retire(choice % 2 > 0);
  else if (kind === 14 && luck < 2) world.prove();
  else if (kind === 14 && luck === 2) world.assumeProved();
  else if (kind === 15) world.change({ mayStart: luck > 1 });
}

/** As `postern app scale`, another configuration or another share of the pool says. */
function changeOf(choice: number, luck: number): Partial<PoolSettings> {
  const maxInputs = 1 + (choice % 3);
  const maxContainers = luck % 4;
  return [
    { minContainers: Math.min(maxContainers, (choice >>> 2) % 3), maxContainers },
    { maxInputs, targetInputs: Math.ceil(maxInputs / 2) },
    { bufferContainers: luck % 2, maxPending: luck },
  ][(choice >>> 4) % 3] as Partial<PoolSettings>;
}

/** Something happens to a container that its pool did not ask for. */
function interfere(world: PoolWorld, number: number, choice: number, luck: number): void {
  const { pool, nowMs } = world;
  if (luck <= 1) world.yieldAsked(number, luck === 0);
  else if (luck === 2) world.drainAsked(number);
  else if (luck === 3) world.unhealthy(number);
  else if (luck === 4) world.end(number);
  else if (luck === 5) world.apply(pool.stopAsked(number, nowMs));
  else world.fail(number, luck === 6 ? "startup_timeout" : "starting_failed", choice % 2 === 0);
}

/** From here on all goes well. @returns false when the calls do not come to an end */
function endsWell(world: PoolWorld): boolean {
  const { minContainers, maxContainers } = world.settings;
  world.change({ mayStart: true, maxContainers: Math.max(1, minContainers, maxContainers) });
  for (let round = 0; round < 500; round++) {
    for (const number of world.containers.keys()) world.step(number, true);
    for (const [call, { container }] of world.calls) {
      if (container !== undefined) world.finish(call);
    }
    const isProofDue = world.starts.isAsked && !world.pool.hasGivenUp;
    if (world.calls.size === 0 && !isProofDue) return true;
    world.pass(1_000);
  }
  return false;
}

type History = ReturnType<typeof historyOf> extends fc.Arbitrary<infer Value> ? Value : never;

function worldAfter({ settings: chosen, isProved, left, steps }: History): PoolWorld {
  const world = new PoolWorld(chosen, isProved);
  if (left > 0) world.adopt(left);
  for (const each of steps) take(world, each);
  return world;
}

test.each([
  { length: 30, count: 90_000 },
  { length: 120, count: 10_000 },
])(
  "a pool keeps its invariants, and no call waits for ever: histories of up to $length events",
  ({ length, count }) => {
    fc.assert(
      fc.property(historyOf(length), (history) => {
        expect(endsWell(worldAfter(history))).toBe(true);
      }),
      { numRuns: runs(count) },
    );
  },
  runsTimeoutMs() * 6,
);

test(
  "a pool that nobody uses comes down to its minimum",
  () => {
    fc.assert(
      fc.property(historyOf(60), (history) => {
        const world = worldAfter({ ...history, isProved: true });
        endsWell(world);
        for (let round = 0; round < 8; round++) {
          for (const number of world.containers.keys()) world.step(number, true);
          world.pass(61_000);
        }
        const { ready, starting, ending } = world.pool.counts;
        const { retired, pool, settings: last } = world;
        if (pool.hasGivenUp) expect(ready + starting).toBeLessThanOrEqual(last.minContainers);
        else expect(ready + starting).toBe(retired ? 0 : last.minContainers);
        expect(ending).toBe(0);
      }),
      { numRuns: runs(10_000) },
    );
  },
  runsTimeoutMs() * 6,
);
