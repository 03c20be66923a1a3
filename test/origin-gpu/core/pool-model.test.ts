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

const history = fc.record({
  settings,
  isProved: fc.boolean(),
  steps: fc.array(fc.tuple(fc.integer({ min: 0, max: 15 }), fc.nat(), fc.nat(7)), {
    minLength: 10,
    maxLength: 60,
  }),
});

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

function take(world: PoolWorld, [kind, choice, luck]: [number, number, number]): void {
  const { pool, nowMs } = world;
  const calls = [...world.calls.keys()];
  const call = calls[choice % Math.max(1, calls.length)];
  const numbers = [...world.containers.keys()];
  const number = numbers[choice % Math.max(1, numbers.length)];
  if (kind <= 3) {
    const traits = { asynchronous: luck === 1, accepted: luck <= 1, passive: luck === 2 };
    world.arrive(traits, KEYS[choice % KEYS.length]);
  } else if (kind <= 6) {
    if (number !== undefined) world.step(number, luck > 0);
  } else if (kind <= 9) {
    if (call !== undefined) world.finish(call);
  } else if (kind === 10) {
    if (call !== undefined && luck < 2) world.requeue(call);
    else if (call !== undefined && luck < 5) world.accept(call);
  } else if (kind === 11) world.pass([1, 1_000, 5_000, 61_000][luck % 4] ?? 0);
  else if (kind === 12) world.apply(pool.tick(nowMs));
  else if (kind === 13 && luck === 0 && calls.length > 5) world.retire();
  else if (number !== undefined && kind === 14) world.exit(number);
  else if (number !== undefined) {
    if (luck % 5 === 0) world.apply(pool.yieldAsked(number, nowMs));
    else if (luck % 5 === 1) world.apply(pool.drainAsked(number, nowMs));
    else if (luck % 5 === 2) world.apply(pool.unhealthy(number, nowMs));
    else if (luck % 5 === 3) world.end(number);
    else world.apply(pool.stopAsked(number, nowMs));
  }
}

/** From here on all goes well. @returns false when the calls do not come to an end */
function endsWell(world: PoolWorld): boolean {
  for (let round = 0; round < 500; round++) {
    for (const number of world.containers.keys()) world.step(number, true);
    for (const [call, { container }] of world.calls) {
      if (container !== undefined) world.finish(call);
    }
    if (world.calls.size === 0) return true;
    world.pass(1_000);
  }
  return false;
}

test(
  "a pool keeps its invariants, and no call waits for ever",
  () => {
    fc.assert(
      fc.property(history, ({ settings: chosen, isProved, steps }) => {
        const world = new PoolWorld(chosen, isProved);
        for (const step of steps) take(world, step);
        expect(endsWell(world)).toBe(true);
      }),
      { numRuns: runs(100_000) },
    );
  },
  runsTimeoutMs() * 6,
);

test(
  "a pool that nobody uses comes down to its minimum",
  () => {
    fc.assert(
      fc.property(history, ({ settings: chosen, steps }) => {
        const world = new PoolWorld(chosen, true);
        for (const step of steps) take(world, step);
        endsWell(world);
        for (let round = 0; round < 8; round++) {
          for (const number of world.containers.keys()) world.step(number, true);
          world.pass(61_000);
        }
        const { ready, starting, ending } = world.pool.counts;
        const { retired, pool } = world;
        if (pool.hasGivenUp) expect(ready + starting).toBeLessThanOrEqual(chosen.minContainers);
        else expect(ready + starting).toBe(retired ? 0 : chosen.minContainers);
        expect(ending).toBe(0);
      }),
      { numRuns: runs(10_000) },
    );
  },
  runsTimeoutMs() * 6,
);
