/** What a pool says of when a call's response is expected: against queues whose true ends are known. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PoolEffect, PoolSettings } from "../../../origin-gpu/core/pool-effects.ts";
import { Pool } from "../../../origin-gpu/core/pool.ts";
import { runs, runsTimeoutMs } from "../../support/runs.ts";
import { SETTINGS } from "./pool-world.ts";

const FAILURE = { code: "starting_failed", isPermanent: false } as const;

/** A pool whose claims are granted at once; each of its first containers is ready after `startMs`. */
class Queue {
  readonly pool: Pool<string>;
  nowMs = 0;
  #lastCall = 0;

  constructor(settings: Partial<PoolSettings> = {}, startMs = 0) {
    this.pool = new Pool({ ...SETTINGS, ...settings }, { isProved: true });
    this.on((pool, nowMs) => pool.tick(nowMs));
    const numbers = this.pool.containers.map(({ number }) => number);
    for (const number of numbers) this.on((pool, nowMs) => pool.prepared(number, nowMs));
    this.nowMs += startMs;
    for (const number of numbers) this.on((pool, nowMs) => pool.ready(number, nowMs));
  }

  on(event: (pool: Pool<string>, nowMs: number) => readonly PoolEffect<string>[]): void {
    const due = [...event(this.pool, this.nowMs)];
    for (let next = due.shift(); next !== undefined; next = due.shift()) {
      if (next.type === "claim") due.push(...this.pool.granted(next.container, this.nowMs));
    }
  }

  request(key?: string): string {
    const call = `${(this.#lastCall += 1)}`;
    const session = key === undefined ? undefined : { keys: [key] };
    this.on((pool, nowMs) => pool.request(call, nowMs, { accepted: true, session }));
    return call;
  }

  requestMany(count: number): string[] {
    return Array.from({ length: count }, () => this.request());
  }

  finish(call: string): void {
    this.on((pool, nowMs) => pool.finished(call, nowMs));
  }

  /** The call ends early, with its container or by its caller. */
  leave(call: string): void {
    this.on((pool, nowMs) => pool.left(call, nowMs));
  }

  /** Calls that took so long have come and gone, one after the other. */
  serve(durations: readonly number[]): void {
    for (const heldMs of durations) {
      const call = this.request();
      this.nowMs += heldMs;
      this.finish(call);
    }
  }

  etaOf(call: string, afterMs = 0): number {
    const etaMs = this.pool.standingOf(call, this.nowMs + afterMs)?.etaMs;
    if (etaMs === undefined) throw new Error(`nothing is known of ${call}`);
    return etaMs;
  }

  etas(calls: readonly string[], afterMs = 0): number[] {
    return calls.map((call) => this.etaOf(call, afterMs));
  }
}

/** One call at a time, at a container that is ready. */
function singleFile(...served: readonly number[]): Queue {
  const queue = new Queue({ minContainers: 1 });
  queue.serve(served);
  return queue;
}

const settings = fc
  .record({ containers: fc.integer({ min: 1, max: 3 }), maxInputs: fc.integer({ min: 1, max: 3 }) })
  .map(({ containers, maxInputs }): Partial<PoolSettings> => ({
    minContainers: containers,
    maxContainers: containers,
    maxInputs,
    targetInputs: maxInputs,
  }));

const durations = fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 40 });

describe("the expected end of a call that waits for others", () => {
  test("comes nearer as the call before it goes on", () => {
    const queue = singleFile(8_000, 8_000);
    const [, next = ""] = queue.requestMany(2);
    const etas = [200, 6_200, 7_100].map((afterMs) => queue.etaOf(next, afterMs));
    expect(etas).toEqual([15_800, 9_800, 8_900]);
  });

  test("takes what an overdue call has left once, not for each call of the queue", () => {
    const queue = singleFile(...Array.from({ length: 20 }, () => 5));
    const [slow = "", ...waiting] = queue.requestMany(2_001);
    const last = waiting.at(-1) ?? "";
    const whileItRuns = queue.etaOf(last, 25_000);
    expect(whileItRuns).toBeGreaterThanOrEqual(10_000);
    expect(whileItRuns).toBeLessThan(10_100);
    queue.nowMs += 25_000;
    queue.finish(slow);
    expect(Math.abs(queue.etaOf(last) - whileItRuns)).toBeLessThan(100);
  });

  test("stays where it was when calls end that are as long as others before", () => {
    const queue = singleFile(...Array.from({ length: 20 }, () => 6_000));
    const calls = queue.requestMany(4);
    const last = calls[3] ?? "";
    const ends: number[] = [];
    for (const call of calls.slice(0, 3)) {
      for (const afterMs of [0, 2_000, 5_000]) {
        ends.push(queue.nowMs + afterMs + queue.etaOf(last, afterMs));
      }
      queue.nowMs += 6_000;
      queue.finish(call);
    }
    expect(new Set(ends)).toEqual(new Set([queue.nowMs + 6_000]));
  });

  test("goes by the short calls that have been many since a long one, the first one included", () => {
    for (const before of [[], [70, 90]]) {
      const queue = singleFile(...before, 21_000, 80, 80, 80);
      const waiting = queue.requestMany(238).slice(1);
      expect(queue.etaOf(waiting[236] ?? "")).toBeLessThan(21_000);
      expect(queue.etaOf(waiting[36] ?? "")).toBeLessThan(4_000);
    }
  });

  test("follows calls that have become longer, and shorter again", () => {
    const many = (heldMs: number) => Array.from({ length: 16 }, () => heldMs);
    const queue = singleFile(...many(100), ...many(5_000));
    expect(queue.etaOf(queue.requestMany(2)[1] ?? "")).toBe(10_000);
    const other = singleFile(...many(5_000), ...many(100));
    expect(other.etaOf(other.requestMany(2)[1] ?? "")).toBe(200);
  });

  test("is told by calls that the app did all of, and by no others", () => {
    const queue = singleFile();
    const [first = "", second = "", third = "", last = ""] = queue.requestMany(4);
    queue.nowMs += 500;
    queue.leave(first);
    expect(queue.pool.standingOf(last, queue.nowMs)).toEqual({ position: 1, etaMs: undefined });
    queue.nowMs += 8_000;
    queue.finish(second);
    expect(queue.etaOf(last)).toBe(16_000);
    queue.nowMs += 100;
    queue.leave(third);
    expect(queue.etaOf(last)).toBe(8_000);
  });

  test("is that of its container's calls where its session waits for that one, also while it drains", () => {
    const queue = new Queue({ minContainers: 2, maxContainers: 2 }, 50_000);
    queue.serve([8_000]);
    queue.request("session_hash=a");
    const place = queue.pool.containers.find(({ calls }) => calls > 0)?.number ?? 0;
    queue.nowMs += 3_000;
    queue.request();
    const waiting = queue.request("session_hash=a");
    expect(queue.etaOf(waiting)).toBe(13_000);
    queue.on((pool, nowMs) => pool.drainAsked(place, nowMs));
    expect(queue.pool.standingOf(waiting, queue.nowMs)).toEqual({ position: 0, etaMs: 13_000 });
  });

  test(
    "is no earlier than that of any call before it, and never comes nearer than time passes",
    () => {
      const history = fc.record({
        settings,
        served: durations,
        gaps: fc.array(fc.nat(5_000), { minLength: 1, maxLength: 30 }),
        askedMs: fc.array(fc.nat(40_000), { minLength: 2, maxLength: 4 }),
        maxInputs: fc.integer({ min: 1, max: 3 }),
      });
      fc.assert(
        fc.property(history, (one) => {
          const queue = new Queue(one.settings);
          queue.serve(one.served);
          const calls = one.gaps.map((gapMs) => {
            queue.nowMs += gapMs;
            return queue.request();
          });
          const limits = { ...SETTINGS, ...one.settings, maxInputs: one.maxInputs };
          queue.on((pool, nowMs) => pool.change(limits, nowMs));
          const waiting = calls.filter((call) => queue.pool.standingOf(call, queue.nowMs));
          let before: { atMs: number; etas: number[] } | undefined;
          for (const atMs of one.askedMs.toSorted((a, b) => a - b)) {
            const etas = queue.etas(waiting, atMs);
            expect(etas.every((etaMs) => Number.isFinite(etaMs) && etaMs >= 0)).toBe(true);
            expect(etas.slice(calls.length - queue.pool.counts.waiting)).toEqual(
              etas.slice(calls.length - queue.pool.counts.waiting).toSorted((a, b) => a - b),
            );
            for (const [index, etaMs] of etas.entries()) {
              const earlier = before?.etas[index] ?? Infinity;
              const passedMs = atMs - (before?.atMs ?? atMs);
              expect(etaMs).toBeLessThan(earlier + 0.001);
              // But for what floating point rounds.
              if (before !== undefined) expect(etaMs).toBeGreaterThan(earlier - passedMs - 0.001);
            }
            before = { atMs, etas };
          }
        }),
        { numRuns: runs(200) },
      );
    },
    runsTimeoutMs(),
  );

  test(
    "is its true end, but for a tenth of a call, where all calls take as long",
    () => {
      const history = fc.record({
        settings,
        heldMs: fc.integer({ min: 10, max: 10_000 }),
        gaps: fc.array(fc.nat(2_000), { minLength: 1, maxLength: 30 }),
      });
      fc.assert(
        fc.property(history, ({ settings: limits, heldMs, gaps }) => {
          const queue = new Queue(limits);
          queue.serve([heldMs]);
          const places = (limits.minContainers ?? 1) * (limits.maxInputs ?? 1);
          /** When each call ends that has come. */
          const ends: { call: string; atMs: number }[] = [];
          for (const gapMs of gaps) {
            endUntil(queue, ends, queue.nowMs + gapMs);
            const freeMs = ends.at(-places)?.atMs ?? 0;
            ends.push({ call: queue.request(), atMs: Math.max(queue.nowMs, freeMs) + heldMs });
            for (const { call, atMs } of ends.filter((end) => end.atMs > queue.nowMs)) {
              const expectedMs = queue.nowMs + queue.etaOf(call);
              expect(Math.abs(expectedMs - atMs)).toBeLessThanOrEqual(heldMs / 10 + 0.001);
            }
          }
        }),
        { numRuns: runs(200) },
      );
    },
    runsTimeoutMs(),
  );

  test(
    "is moved by one call that is far longer than others no more than by another one as long as these",
    () => {
      const history = fc.record({
        short: fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 40 }),
        index: fc.nat(),
        longMs: fc.integer({ min: 100, max: 600_000 }),
        waiting: fc.integer({ min: 1, max: 300 }),
      });
      fc.assert(
        fc.property(history, ({ short, index, longMs, waiting }) => {
          const with_ = (heldMs: number): number[] => {
            const queue = singleFile(...short.toSpliced(index % (short.length + 1), 0, heldMs));
            return queue.etas(queue.requestMany(waiting));
          };
          const longest = Math.max(...short);
          const [ordinary, outlier] = [with_(longest), with_(longMs)];
          for (const [position, etaMs] of outlier.entries()) {
            const movedMs = Math.abs(etaMs - (ordinary[position] ?? 0));
            expect(movedMs).toBeLessThanOrEqual(longMs);
          }
        }),
        { numRuns: runs(100) },
      );
    },
    runsTimeoutMs(),
  );
});

/** Ends the calls that end until then, and lets the time pass. */
function endUntil(
  queue: Queue,
  ends: readonly { call: string; atMs: number }[],
  untilMs: number,
): void {
  for (const { call, atMs } of ends) {
    if (atMs > untilMs || queue.pool.standingOf(call, atMs) === undefined) continue;
    queue.nowMs = atMs;
    queue.finish(call);
  }
  queue.nowMs = untilMs;
}

describe("the expected end of a call that waits for a start", () => {
  /** A pool whose only start took 6 s and whose only call 1 s; its container has crashed since. */
  function crashed(settings_: Partial<PoolSettings> = {}): Queue {
    const queue = new Queue({ minContainers: 1, ...settings_ }, 6_000);
    queue.serve([1_000]);
    queue.on((pool, nowMs) => pool.change({ ...SETTINGS, ...settings_ }, nowMs));
    queue.on((pool, nowMs) => pool.exited(1, nowMs));
    return queue;
  }

  test("has what is left of the pause after failed starts, and counts it down", () => {
    const queue = crashed();
    const call = queue.request();
    for (let container = 2; container < 9; container += 1) {
      queue.on((pool, nowMs) => pool.prepared(container, nowMs));
      queue.nowMs += 700;
      expect(queue.etaOf(call)).toBe(6_300);
      queue.on((pool, nowMs) => pool.failed(container, FAILURE, nowMs));
      queue.on((pool, nowMs) => pool.exited(container, nowMs));
      const pauseMs = queue.pool.notBeforeMs - queue.nowMs;
      expect(pauseMs).toBeGreaterThanOrEqual(1_000);
      const etas = [0, 500, pauseMs].map((afterMs) => queue.etaOf(call, afterMs));
      expect(etas).toEqual([pauseMs + 7_000, pauseMs + 6_500, 7_000]);
      queue.nowMs += pauseMs;
      queue.on((pool, nowMs) => pool.tick(nowMs));
      expect(queue.etaOf(call)).toBe(7_000);
    }
  });

  test("is that of a wake where a container sleeps, also in such a pause", () => {
    const queue = new Queue({ minContainers: 1, maxContainers: 2, canSleep: true }, 6_000);
    queue.serve([1_000]);
    const limits = { ...SETTINGS, canSleep: true, maxContainers: 2 };
    queue.on((pool, nowMs) => pool.change(limits, nowMs));
    const sleep = (): void => {
      queue.on((pool, nowMs) => pool.yieldAsked(1, nowMs));
      queue.on((pool, nowMs) => pool.slept(1, nowMs));
    };
    sleep();
    const first = queue.request();
    queue.nowMs += 2_000;
    queue.on((pool, nowMs) => pool.ready(1, nowMs));
    const second = queue.request();
    queue.on((pool, nowMs) => pool.failed(2, FAILURE, nowMs));
    queue.on((pool, nowMs) => pool.exited(2, nowMs));
    for (const one of [first, second]) {
      queue.nowMs += 100;
      queue.finish(one);
    }
    sleep();
    const call = queue.request();
    const pauseMs = queue.pool.notBeforeMs - queue.nowMs;
    expect(pauseMs).toBe(800);
    expect(queue.etaOf(call)).toBe(pauseMs + 2_000 + 100);
  });

  test("goes by the usual start, not by a first one that was far longer", () => {
    const queue = new Queue({ minContainers: 1 }, 600_000);
    queue.serve([1_000]);
    queue.on((pool, nowMs) => pool.exited(1, nowMs));
    queue.on((pool, nowMs) => pool.prepared(2, nowMs));
    queue.nowMs += 6_000;
    queue.on((pool, nowMs) => pool.ready(2, nowMs));
    queue.nowMs += 60_000;
    queue.on((pool, nowMs) => pool.exited(2, nowMs));
    expect(queue.etaOf(queue.request())).toBe(7_000);
  });

  test("is not known before a start was, and a refused call is told of the pause", () => {
    const queue = new Queue({ maxPending: 0 });
    const call = queue.request();
    queue.on((pool, nowMs) => pool.prepared(1, nowMs));
    queue.on((pool, nowMs) => pool.failed(1, FAILURE, nowMs));
    queue.on((pool, nowMs) => pool.exited(1, nowMs));
    queue.nowMs += 1_000;
    queue.on((pool, nowMs) => pool.tick(nowMs));
    queue.on((pool, nowMs) => pool.prepared(2, nowMs));
    queue.on((pool, nowMs) => pool.failed(2, FAILURE, nowMs));
    queue.on((pool, nowMs) => pool.exited(2, nowMs));
    expect(queue.pool.standingOf(call, queue.nowMs)?.etaMs).toBeUndefined();
    // The pause is 2 s, and a call that was not measured counts as one second.
    const refused = queue.pool.request("refused", queue.nowMs);
    expect(refused).toContainEqual(expect.objectContaining({ type: "refuse", retryAfterS: 3 }));
  });
});
