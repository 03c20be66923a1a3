/** What a pool decides, case by case. pool-model.test.ts has the invariants. */
import { describe, expect, test } from "vitest";
import type { PoolEffect, PoolSettings } from "../../../origin-gpu/core/pool-effects.ts";
import { Pool } from "../../../origin-gpu/core/pool.ts";
import { SETTINGS } from "./pool-world.ts";

const FAILURE = { code: "starting_failed", isPermanent: false } as const;

/** A pool whose effects are kept as words, and whose claims are granted at once. */
class TestPool {
  readonly pool: Pool<string>;
  readonly said: string[] = [];
  nowMs = 0;

  constructor(settings: Partial<PoolSettings> = {}, options: { isProved?: boolean } = {}) {
    this.pool = new Pool({ ...SETTINGS, ...settings }, options);
  }

  /** What one event causes, in words. */
  on(event: (pool: Pool<string>, nowMs: number) => readonly PoolEffect<string>[]): string[] {
    const words: string[] = [];
    const due = [...event(this.pool, this.nowMs)];
    for (let next = due.shift(); next !== undefined; next = due.shift()) {
      if (next.type === "claim") due.push(...this.pool.granted(next.container, this.nowMs));
      const word = wordFor(next);
      if (word !== undefined) words.push(word);
    }
    return words;
  }

  request(call: string, traits: Parameters<Pool<string>["request"]>[2] = {}): string[] {
    return this.on((pool, nowMs) => pool.request(call, nowMs, traits));
  }

  finish(call: string): string[] {
    return this.on((pool, nowMs) => pool.finished(call, nowMs));
  }

  /** The process of a launched container becomes ready. */
  ready(container: number): string[] {
    return this.on((pool, nowMs) => [
      ...pool.prepared(container, nowMs),
      ...pool.ready(container, nowMs),
    ]);
  }

  /** It fails to start, and is gone. */
  fail(container: number): string[] {
    return this.on((pool, nowMs) => [
      ...pool.prepared(container, nowMs),
      ...pool.failed(container, FAILURE, nowMs),
      ...pool.exited(container, nowMs),
    ]).filter((word) => !word.startsWith("stop"));
  }

  exit(container: number): string[] {
    return this.on((pool, nowMs) => pool.exited(container, nowMs));
  }

  pass(ms: number): string[] {
    this.nowMs += ms;
    return this.on((pool, nowMs) => pool.tick(nowMs));
  }
}

function wordFor(effect: PoolEffect<string>): string | undefined {
  switch (effect.type) {
    case "assign":
      return `${effect.call} at ${effect.container}`;
    case "refuse":
      return `${effect.call} ${effect.code} ${effect.retryAfterS}`;
    case "hand_over":
      return `${effect.call} handed over`;
    case "stop":
      return `stop ${effect.container} ${effect.reason}`;
    case "adopt":
      return `adopt ${effect.container} ${effect.left}`;
    case "launch":
    case "sleep":
    case "wake":
      return `${effect.type} ${effect.container}`;
    default:
      return undefined;
  }
}

describe("a cold start", () => {
  test("is one start for all who wait, who then go in the order of their arrival", () => {
    const pool = new TestPool({ maxInputs: 2, targetInputs: 2 });
    expect(pool.request("a")).toEqual(["launch 1"]);
    expect([...pool.request("b"), ...pool.request("c")]).toEqual([]);
    expect(pool.ready(1)).toEqual(["a at 1", "b at 1"]);
    expect(pool.finish("a")).toEqual(["c at 1"]);
  });

  test("that fails a third time refuses its callers where no start was ever proved, and calls during the pause", () => {
    const pool = new TestPool();
    pool.request("a");
    pool.request("b", { accepted: true });
    expect(pool.fail(1)).toEqual([]);
    expect(pool.request("c")).toEqual([]);
    expect(pool.pass(1_000)).toEqual(["launch 2"]);
    expect(pool.fail(2)).toEqual([]);
    expect(pool.pass(2_000)).toEqual(["launch 3"]);
    expect(pool.fail(3)).toEqual(["a starting_failed 4", "c starting_failed 4"]);
    expect(pool.request("d")).toEqual(["d starting_failed 4"]);
    expect(pool.pass(4_000)).toEqual(["launch 4"]);
    expect(pool.request("e")).toEqual([]);
    expect(pool.ready(4)).toEqual(["b at 4"]);
  });

  test("that fails once refuses nobody: the next one may succeed, though none has before", () => {
    const pool = new TestPool();
    pool.request("a");
    pool.fail(1);
    pool.pass(1_000);
    expect(pool.ready(2)).toEqual(["a at 2"]);
  });

  test("that can never succeed refuses its callers at once", () => {
    const pool = new TestPool();
    pool.request("a");
    const failure = { ...FAILURE, isPermanent: true };
    expect(pool.on((one, nowMs) => one.failed(1, failure, nowMs))).toContain("a starting_failed 1");
    expect(pool.request("b")).toEqual(["b starting_failed 1"]);
  });

  test("that failed refuses nobody any more when the version has started elsewhere, unless none can", () => {
    for (const isPermanent of [false, true]) {
      const pool = new TestPool();
      pool.request("a", { accepted: true });
      for (const [number, pauseMs] of [
        [1, 1_000],
        [2, 2_000],
        [3, 0],
      ] as const) {
        const failure = { ...FAILURE, isPermanent: isPermanent && number === 3 };
        pool.on((one, nowMs) => one.failed(number, failure, nowMs));
        pool.exit(number);
        pool.pass(pauseMs);
      }
      expect(pool.request("b")).toEqual(["b starting_failed 4"]);
      pool.on((one, nowMs) => one.assumeProved(nowMs));
      expect(pool.request("c")).toEqual(isPermanent ? ["c starting_failed 4"] : []);
    }
  });

  test("that fails keeps its callers where the version is proved, up to startup_timeout", () => {
    const pool = new TestPool({ startupTimeoutMs: 4_000 }, { isProved: true });
    pool.request("a");
    expect(pool.fail(1)).toEqual([]);
    expect(pool.pass(1_000)).toEqual(["launch 2"]);
    pool.request("b");
    expect(pool.fail(2)).toEqual([]);
    expect(pool.pass(2_000)).toEqual(["launch 3"]);
    pool.nowMs += 1_000;
    expect(pool.fail(3)).toEqual(["a starting_failed 4"]);
    expect(pool.pass(4_000)).toEqual(["launch 4"]);
    expect(pool.ready(4)).toEqual(["b at 4"]);
  });

  test("that fails too often for an ephemeral app is the last, and all who wait are refused", () => {
    const pool = new TestPool({ mostFailures: 2 }, { isProved: true });
    pool.request("a");
    pool.request("b", { accepted: true });
    expect(pool.fail(1)).toEqual([]);
    expect(pool.pass(1_000)).toEqual(["launch 2"]);
    expect(pool.pool.hasGivenUp).toBe(false);
    expect(pool.fail(2)).toEqual(["a gave_up 2", "b gave_up 2"]);
    expect(pool.pool.hasGivenUp).toBe(true);
    expect(pool.pass(600_000)).toEqual([]);
    expect(pool.request("c")).toEqual(["c gave_up 1"]);
  });

  test("that was under way when the pool gave up, and succeeds, ends that", () => {
    const pool = new TestPool({ mostFailures: 2, maxContainers: 3 }, { isProved: true });
    for (const call of ["a", "b", "c"]) pool.request(call);
    pool.fail(1);
    pool.fail(2);
    expect(pool.pool.hasGivenUp).toBe(true);
    expect(pool.ready(3)).toEqual(["a at 3"]);
    expect(pool.pool.hasGivenUp).toBe(false);
    expect(pool.pass(2_000)).toEqual(["launch 4", "launch 5"]);
    pool.fail(4);
    expect(pool.pool.hasGivenUp).toBe(true);
  });

  test("that fails counts no failure of a time before containers were well for a minute", () => {
    const pool = new TestPool({ mostFailures: 2 }, { isProved: true });
    pool.request("a");
    pool.fail(1);
    pool.pass(1_000);
    pool.ready(2);
    pool.finish("a");
    pool.pass(60_000);
    pool.exit(2);
    expect(pool.request("b")).toEqual(["launch 3"]);
    pool.fail(3);
    expect(pool.pool.failures).toBe(1);
  });

  test("is given up before it was granted anything, when its last caller leaves", () => {
    const pool = new Pool<string>(SETTINGS);
    const claims = pool.request("a", 0).map(({ type }) => type);
    expect(claims).toContain("claim");
    expect(pool.finished("a", 1).map(({ type }) => type)).toContain("withdraw");
    expect(pool.counts.starting).toBe(0);
  });
});

test("a start that no call needs any more is given up after a while, where its GPU may be wanted", () => {
  const pool = new TestPool({ givesUpStarts: true });
  pool.request("a");
  pool.finish("a");
  expect(pool.pass(9_000)).toEqual([]);
  pool.request("b");
  pool.finish("b");
  expect(pool.pass(9_000)).toEqual([]);
  expect(pool.pass(1_000)).toEqual(["stop 1 not_needed"]);
});

test("the list of containers is made anew when one comes or goes, and not for each call", () => {
  const pool = new TestPool({}, { isProved: true });
  pool.request("a");
  pool.ready(1);
  const before = pool.pool.containers;
  pool.finish("a");
  pool.request("b");
  pool.finish("b");
  expect(pool.pool.containers).toBe(before);
  pool.exit(1);
  expect(pool.pool.containers).toEqual([]);
  expect(before).toHaveLength(1);
});

describe("the number of containers", () => {
  test("follows target_inputs, and calls burst above it until others are ready", () => {
    const pool = new TestPool({ maxInputs: 4, targetInputs: 2, maxContainers: 3 });
    pool.request("a");
    pool.ready(1);
    pool.request("b");
    expect(pool.request("c")).toEqual(["c at 1", "launch 2"]);
    expect(pool.request("d")).toEqual(["d at 1"]);
    expect(pool.request("e")).toEqual(["launch 3"]);
    expect(pool.ready(2)).toEqual(["e at 2"]);
    expect(pool.request("f")).toEqual(["f at 2"]);
    expect(pool.request("g")).toEqual(["g at 2"]);
  });

  test("has a buffer while there are calls, and comes back to its minimum after scaledown_window", () => {
    const pool = new TestPool({ maxContainers: 4, bufferContainers: 1 });
    expect(pool.request("a")).toEqual(["launch 1", "launch 2"]);
    pool.ready(1);
    pool.ready(2);
    pool.nowMs = 10_000;
    pool.finish("a");
    expect(pool.pass(51_000)).toEqual(["stop 2 not_needed"]);
    expect(pool.pass(9_000)).toEqual(["stop 1 not_needed"]);
  });

  test("is never below its minimum, nor above its maximum", () => {
    const pool = new TestPool({ minContainers: 2, maxContainers: 2 });
    expect(pool.pass(0)).toEqual(["launch 1", "launch 2"]);
    for (const call of ["a", "b", "c"]) expect(pool.request(call)).toEqual([]);
    pool.ready(1);
    pool.ready(2);
    expect(pool.exit(1)).toEqual(["launch 3"]);
    pool.pass(600_000);
    expect(pool.pool.counts).toMatchObject({ ready: 1, starting: 1 });
  });

  test("changes with the settings: who is too many finishes first", () => {
    const pool = new TestPool({ maxContainers: 2 });
    pool.request("a");
    pool.request("b");
    pool.ready(1);
    pool.ready(2);
    expect(pool.on((one, nowMs) => one.change(SETTINGS, nowMs))).toEqual([]);
    expect(pool.finish("b")).toEqual(["stop 2 not_needed"]);
  });

  test("that comes down lets those that start and those that are idle go before the others", () => {
    const three = { minContainers: 3, maxContainers: 3 };
    const pool = new TestPool(three);
    pool.on((one, nowMs) => one.change({ ...SETTINGS, ...three }, nowMs));
    pool.ready(1);
    pool.request("a");
    pool.request("b");
    pool.ready(2);
    pool.finish("a");
    const fewer = (maxContainers: number) =>
      pool.on((one, nowMs) => one.change({ ...SETTINGS, maxContainers }, nowMs));
    expect(fewer(2)).toEqual(["stop 3 not_needed"]);
    expect(fewer(1)).toEqual(["stop 1 not_needed"]);
    expect(pool.finish("b")).toEqual([]);
  });

  test("does not grow while the pool may not start: what it has serves on, and a crash is not made good", () => {
    const pool = new TestPool({ minContainers: 1, maxContainers: 3 });
    pool.request("a");
    pool.ready(1);
    const stays = { ...SETTINGS, minContainers: 1, maxContainers: 3, mayStart: false };
    pool.on((one, nowMs) => one.change(stays, nowMs));
    expect(pool.request("b")).toEqual([]);
    expect(pool.finish("a")).toEqual(["b at 1"]);
    expect([...pool.exit(1), ...pool.request("c"), ...pool.pass(60_000)]).toEqual([]);
    expect(pool.pool.neededContainers).toBe(1);
    const starts = { ...stays, mayStart: true };
    expect(pool.on((one, nowMs) => one.change(starts, nowMs))).toContain("launch 2");
  });

  test("holds no claim on the box while the pool may not start", () => {
    const pool = new Pool<string>(SETTINGS, { isProved: true });
    pool.request("a", 0);
    expect(pool.heldContainers).toBe(1);
    const effects = pool.change({ ...SETTINGS, mayStart: false }, 1);
    expect(effects.map(({ type }) => type)).toContain("withdraw");
    expect([pool.heldContainers, pool.neededContainers]).toEqual([0, 1]);
  });

  test("needs no start to prove a version that is proved elsewhere", () => {
    const none = { ...SETTINGS, maxContainers: 0, mayStart: false };
    const pool = new Pool<string>(none);
    pool.prove(0);
    expect([pool.neededContainers, pool.isProved]).toEqual([1, false]);
    pool.assumeProved(1);
    expect([pool.neededContainers, pool.isProved]).toEqual([0, true]);
  });

  test("that is to prove its version starts whoever leaves, and however often it is asked for", () => {
    const pool = new TestPool();
    const prove = (one: Pool<string>, nowMs: number) => one.prove(nowMs);
    expect(pool.pool.request("a", 0).map(({ type }) => type)).toContain("claim");
    expect(pool.on(prove)).toEqual([]);
    expect(pool.finish("a")).toEqual([]);
    expect(pool.on(prove)).toEqual([]);
    expect(pool.pool.counts.starting).toBe(1);
    pool.pool.granted(1, 0);
    pool.ready(1);
    expect(pool.pool.isProved).toBe(true);
  });

  test("that is to prove its version starts too where the one that is there falls asleep, and fails to", () => {
    const pool = new TestPool({ canSleep: true });
    pool.request("a");
    pool.ready(1);
    pool.on((one, nowMs) => one.yieldAsked(1, nowMs));
    pool.on((one, nowMs) => one.prove(nowMs));
    expect(pool.finish("a")).toEqual(["sleep 1"]);
    expect(pool.on((one, nowMs) => one.sleepFailed(1, nowMs))).toEqual(["stop 1 yields"]);
    expect(pool.exit(1)).toEqual(["launch 2"]);
  });

  test("is not held up by calls that do not count as use", () => {
    const pool = new TestPool({ maxInputs: 2, targetInputs: 2 });
    pool.request("tab", { passive: true });
    expect(pool.ready(1)).toEqual(["tab at 1"]);
    pool.request("a");
    pool.nowMs = 1_000;
    pool.finish("a");
    expect(pool.pass(59_000)).toEqual([]);
    expect(pool.pass(1_000)).toEqual(["stop 1 not_needed"]);
  });
});

describe("a container that an earlier agent left running", () => {
  test("is the pool's without a claim, and stays for scaledown_window though no call needs it", () => {
    const tested = new TestPool({ scaledownWindowMs: 60_000 }, { isProved: true });
    expect(tested.on((pool, nowMs) => pool.adopt([{ id: "ct-left" }], nowMs))).toEqual([
      "adopt 1 ct-left",
    ]);
    tested.ready(1);
    expect(tested.request("a")).toEqual(["a at 1"]);
    tested.finish("a");
    expect(tested.pass(59_999)).toEqual([]);
    expect(tested.pass(1)).toEqual(["stop 1 not_needed"]);
  });

  test("is one of those that calls need", () => {
    const tested = new TestPool(
      { maxInputs: 1, targetInputs: 1, maxContainers: 1 },
      { isProved: true },
    );
    tested.on((pool, nowMs) => pool.adopt([{ id: "ct-left" }], nowMs));
    expect(tested.request("a")).toEqual([]);
    expect(tested.ready(1)).toEqual(["a at 1"]);
  });

  test("does not start: its box's turn goes on, and nothing is learned of how long a start takes", () => {
    const settings = { maxInputs: 1, targetInputs: 1, maxContainers: 1, scaledownWindowMs: 60_000 };
    const tested = new TestPool(settings, { isProved: true });
    tested.on((pool, nowMs) => pool.adopt([{ id: "ct-left" }], nowMs));
    tested.on((pool, nowMs) => pool.prepared(1, nowMs));
    expect(tested.pool.isStartingFirst).toBe(false);
    tested.ready(1);
    tested.pass(60_000);
    tested.exit(1);
    expect(tested.request("a")).toEqual(["launch 2"]);
    expect(tested.pool.isStartingFirst).toBe(true);
    expect(tested.pool.standingOf("a", tested.nowMs)?.etaMs).toBeUndefined();
  });

  test("that does not serve is a failed start, and another one follows", () => {
    const tested = new TestPool({}, { isProved: true });
    tested.on((pool, nowMs) => pool.adopt([{ id: "ct-left" }], nowMs));
    tested.request("a");
    expect(tested.fail(1)).toEqual([]);
    expect(tested.pass(1_000)).toEqual(["launch 2"]);
  });

  test("is one of min_containers, as are the others: none starts and none ends", () => {
    const tested = new TestPool({ minContainers: 2, maxContainers: 2 }, { isProved: true });
    const left = [{ id: "ct-1" }, { id: "ct-2" }];
    expect(tested.on((pool, nowMs) => pool.adopt(left, nowMs))).toEqual([
      "adopt 1 ct-1",
      "adopt 2 ct-2",
    ]);
    expect(tested.ready(1)).toEqual([]);
    expect(tested.ready(2)).toEqual([]);
  });

  test("ends before one that has sessions, where there may be fewer now", () => {
    const tested = new TestPool({ maxContainers: 1 }, { isProved: true });
    const sessions = { sessions: [{ idleMs: 0, keys: ["x-session=a"] }], ofTheBox: [] };
    const left = [{ id: "ct-1" }, { id: "ct-2", sessions }, { id: "ct-3" }];
    expect(tested.on((pool, nowMs) => pool.adopt(left, nowMs))).toEqual([
      "adopt 1 ct-1",
      "adopt 2 ct-2",
      "adopt 3 ct-3",
      "stop 3 not_needed",
      "stop 1 not_needed",
    ]);
  });
});

test("calls fill one container up to target_inputs, and spread above that", () => {
  const pool = new TestPool({ minContainers: 2, maxContainers: 2, maxInputs: 3, targetInputs: 2 });
  pool.pass(0);
  pool.ready(1);
  pool.ready(2);
  const places = ["a", "b", "c", "d", "e", "f"].flatMap((call) => pool.request(call));
  expect(places).toEqual(["a at 1", "b at 1", "c at 2", "d at 2", "e at 1", "f at 2"]);
});

test("on a full queue the greediest caller gives way to others, and calls are assigned in turns", () => {
  const pool = new TestPool({ maxPending: 3 });
  pool.request("running", { caller: "greedy" });
  pool.ready(1);
  for (const call of ["a", "b", "c"]) pool.request(call, { caller: "greedy" });
  expect(pool.request("d", { caller: "other" })).toEqual(["c queue_full 1"]);
  expect(pool.request("e", { caller: "greedy" })).toEqual(["e queue_full 1"]);
  expect(pool.request("f", { caller: "other", batch: true })).toEqual(["f queue_full 1"]);
  expect(pool.finish("running")).toEqual(["a at 1"]);
  expect(pool.finish("a")).toEqual(["d at 1"]);
  expect(pool.finish("d")).toEqual(["b at 1"]);
});

test("a queue of 2,000 calls has no room for another one, and room again when one is assigned", () => {
  const pool = new TestPool({ maxPending: 2_000 });
  pool.request("running");
  pool.ready(1);
  for (let index = 0; index < 2_000; index += 1) expect(pool.request(`${index}`)).toEqual([]);
  expect(pool.request("refused")).toEqual(["refused queue_full 1"]);
  expect(pool.finish("running")).toEqual(["0 at 1"]);
  expect(pool.request("last")).toEqual([]);
  expect(pool.request("refused")).toEqual(["refused queue_full 1"]);
});

test("a call whose client is told meanwhile that it goes on gives way to no other one", () => {
  const pool = new TestPool({ maxPending: 2 });
  pool.request("running", { caller: "nightly", batch: true });
  pool.ready(1);
  pool.pool.accepted("running");
  for (const call of ["a", "b"]) pool.request(call, { caller: "nightly", batch: true });
  pool.pool.accepted("b");
  expect(pool.request("c", { caller: "chat" })).toEqual(["a queue_full 1"]);
  // It keeps that where it waits again.
  pool.on((one, nowMs) => one.drainAsked(1, nowMs));
  pool.on((one, nowMs) => one.requeued("running", nowMs));
  expect(pool.request("d", { caller: "chat" })).toEqual(["d queue_full 1"]);
});

test("a full queue refuses with the time in which a place gets free, and counts each kind of call apart", () => {
  const pool = new TestPool({ maxPending: 1, maxPendingAsync: 1 });
  pool.request("a");
  pool.ready(1);
  pool.nowMs = 30_000;
  pool.finish("a");
  pool.request("b");
  expect(pool.request("c")).toEqual([]);
  expect(pool.request("d")).toEqual(["d queue_full 30"]);
  expect(pool.request("e", { asynchronous: true })).toEqual([]);
  expect(pool.request("f", { asynchronous: true })).toEqual(["f queue_full 30"]);
  expect(pool.request("g", { accepted: true })).toEqual([]);
  // Two places get free until its turn comes, and it takes as long as those before.
  expect(pool.pool.standingOf("e", pool.nowMs)).toEqual({ position: 1, etaMs: 90_000 });
  expect(pool.pool.standingOf("b", pool.nowMs + 10_000)).toEqual({ position: 0, etaMs: 20_000 });
  expect(pool.pool.standingOf("b", pool.nowMs + 40_000)).toEqual({ position: 0, etaMs: 3_000 });
  expect(pool.pool.standingOf("a", pool.nowMs)).toBeUndefined();
});

describe("the estimate of a call that waits for a container", () => {
  /** A pool whose first start took 20 s and whose first call took 1 s, without a container. */
  function measured(settings: Partial<PoolSettings> = {}): TestPool {
    const pool = new TestPool({ scaledownWindowMs: 1_000, maxContainers: 2, ...settings });
    pool.request("a");
    pool.on((one, nowMs) => one.prepared(1, nowMs));
    pool.nowMs = 20_000;
    pool.on((one, nowMs) => one.ready(1, nowMs));
    pool.nowMs = 21_000;
    pool.finish("a");
    return pool;
  }
  const etaOf = (pool: TestPool, call: string, afterMs = 0): number | undefined =>
    pool.pool.standingOf(call, pool.nowMs + afterMs)?.etaMs;

  test("counts down what the start takes", () => {
    const pool = measured();
    pool.pass(1_000);
    pool.exit(1);
    pool.request("b");
    expect(etaOf(pool, "b", 5_000)).toBe(21_000);
    pool.on((one, nowMs) => one.prepared(2, nowMs));
    expect(etaOf(pool, "b", 15_000)).toBe(6_000);
    expect(etaOf(pool, "b", 30_000)).toBe(1_000);
    // The second container that starts has a place too.
    pool.request("c");
    expect(etaOf(pool, "c", 15_000)).toBe(6_000);
  });

  test("knows how long others took to give up what it claims, and how long it takes to wake", () => {
    const pool = measured({ canSleep: true });
    const sleep = (): void => {
      pool.on((one, nowMs) => [...one.yieldAsked(1, nowMs), ...one.slept(1, nowMs)]);
    };
    /** The call takes 10 s to get the GPU, and the container 2 s to wake. */
    const wake = (call: string): void => {
      pool.pool.request(call, pool.nowMs);
      pool.nowMs += 10_000;
      pool.pool.granted(1, pool.nowMs);
      pool.nowMs += 2_000;
      pool.pool.ready(1, pool.nowMs);
      pool.nowMs += 1_000;
      pool.finish(call);
    };
    sleep();
    wake("b");
    sleep();
    pool.nowMs += 60_000;
    pool.pool.request("c", pool.nowMs);
    expect(etaOf(pool, "c")).toBe(13_000);
    expect(etaOf(pool, "c", 4_000)).toBe(9_000);
    expect(etaOf(pool, "c", 40_000)).toBe(3_000);
  });

  test("is a part of the time after which a refused call finds room", () => {
    const pool = measured({ maxPending: 0 });
    pool.pass(1_000);
    pool.exit(1);
    pool.request("b");
    pool.on((one, nowMs) => one.prepared(2, nowMs));
    pool.nowMs += 5_000;
    expect(pool.request("c")).toEqual(["launch 3"]);
    expect(pool.request("d")).toEqual(["d queue_full 16"]);
  });

  test("is unknown before the first start has been measured", () => {
    const pool = new TestPool();
    pool.request("a");
    expect(pool.pool.standingOf("a", 0)).toEqual({
      position: 0,
      etaMs: undefined,
      isStarting: true,
    });
  });
});

test("calls that wait for a container that wakes do not count as pending, nor as calls without one for other boxes", () => {
  const pool = new TestPool({ maxPending: 0, canSleep: true });
  pool.request("a");
  pool.ready(1);
  pool.finish("a");
  pool.on((one, nowMs) => [...one.yieldAsked(1, nowMs), ...one.slept(1, nowMs)]);
  // The box has not granted its GPU yet.
  expect(pool.pool.request("b", 0)).toEqual([{ type: "claim", container: 1 }]);
  expect(pool.pool.load(0)).toMatchObject({ waiting: 1, room: 0, coming: 1 });
  expect(pool.request("c")).toEqual(["c queue_full 1"]);
});

test("a start that was measured is estimated before any call has been served", () => {
  const pool = new TestPool();
  pool.on((one, nowMs) => one.request("a", nowMs));
  pool.on((one, nowMs) => one.prepared(1, nowMs));
  expect(pool.pool.standingOf("a", pool.nowMs)?.etaMs).toBeUndefined();
  pool.on((one, nowMs) => one.left("a", nowMs));
  pool.nowMs = 20_000;
  pool.ready(1);
  pool.exit(1);
  for (const call of ["b", "c"]) pool.request(call);
  expect(pool.pool.standingOf("b", pool.nowMs)).toMatchObject({ position: 0, etaMs: 20_000 });
  expect(pool.pool.standingOf("c", pool.nowMs)?.etaMs).toBeUndefined();
  pool.finish("c");
  // When its container is there, nothing is known any more.
  pool.on((one, nowMs) => one.prepared(2, nowMs));
  pool.nowMs += 20_000;
  pool.ready(2);
  expect(pool.pool.standingOf("b", pool.nowMs)).toEqual({ position: 0, etaMs: undefined });
  pool.nowMs += 3_000;
  pool.finish("b");
  pool.exit(2);
  pool.request("c");
  const pauseMs = pool.pool.notBeforeMs - pool.nowMs;
  expect(pool.pool.standingOf("c", pool.nowMs)?.etaMs).toBe(pauseMs + 23_000);
});

test("calls that wait for a container that starts do not count as pending", () => {
  const pool = new TestPool({ maxPending: 0 });
  expect(pool.request("a")).toEqual(["launch 1"]);
  expect(pool.request("b")).toEqual(["b queue_full 1"]);
});

test("a call that was certainly not sent waits in its old place", () => {
  const pool = new TestPool();
  pool.request("a");
  pool.ready(1);
  pool.nowMs = 5;
  pool.request("b");
  pool.exit(1);
  pool.on((one, nowMs) => one.requeued("a", nowMs));
  expect(pool.ready(2)).toEqual(["a at 2"]);
});

describe("a container", () => {
  test("that crashed is started again at once, and after a second crash with a pause", () => {
    const pool = new TestPool({ minContainers: 1 });
    pool.pass(0);
    pool.ready(1);
    expect(pool.exit(1)).toEqual(["launch 2"]);
    pool.ready(2);
    expect(pool.exit(2)).toEqual([]);
    expect(pool.pass(1_000)).toEqual(["launch 3"]);
  });

  test("that ended by itself takes no calls, and is replaced when nothing of it is left", () => {
    const pool = new TestPool({ maxInputs: 9 });
    pool.request("a");
    pool.ready(1);
    expect(pool.on((one, nowMs) => one.ended(1, nowMs))).toEqual([]);
    pool.finish("a");
    expect(pool.request("b")).toEqual([]);
    expect(pool.exit(1)).toEqual(["launch 2"]);
  });

  test("that hangs is ended with its calls, and another one starts when it is gone", () => {
    const pool = new TestPool();
    pool.request("a");
    pool.ready(1);
    expect(pool.on((one, nowMs) => one.unhealthy(1, nowMs))).toEqual(["stop 1 unhealthy"]);
    pool.finish("a");
    expect(pool.exit(1)).toEqual(["launch 2"]);
  });

  test.each([
    ["is stopped by hand", (pool: Pool<string>) => pool.stopAsked(1, 0)],
    ["makes room", (pool: Pool<string>) => pool.yieldAsked(1, 0)],
  ])("that hangs when it %s has no successor that nobody calls", (_why, event) => {
    const pool = new TestPool({ canSleep: true });
    pool.request("a");
    pool.ready(1);
    pool.on(event);
    expect(pool.on((one, nowMs) => one.unhealthy(1, nowMs))).toEqual(["stop 1 unhealthy"]);
    pool.finish("a");
    expect(pool.exit(1)).toEqual([]);
  });

  describe("that made room for a new version which is given up", () => {
    const WINDOW = { scaledownWindowMs: 10_000 };

    function madeRoom({ isForVersion = true, settings = {} } = {}): TestPool {
      const pool = new TestPool({ ...WINDOW, ...settings });
      pool.request("a");
      pool.ready(1);
      pool.finish("a");
      pool.on((one, nowMs) => one.yieldAsked(1, nowMs, { isForVersion }));
      return pool;
    }
    const abandoned = (pool: TestPool) => pool.on((one, nowMs) => one.versionAbandoned(nowMs));

    test("has a successor that no call asks for, which ends after its own scaledown_window", () => {
      const pool = madeRoom();
      expect(pool.exit(1)).toEqual([]);
      expect(pool.pass(9_999)).toEqual([]);
      expect(abandoned(pool)).toEqual(["launch 2"]);
      expect(pool.ready(2)).toEqual([]);
      expect(pool.pass(10_000)).toEqual(["stop 2 not_needed"]);
      // Once.
      pool.exit(2);
      expect(abandoned(pool)).toEqual([]);
    });

    test("wakes where it sleeps", () => {
      const pool = madeRoom({ settings: { canSleep: true } });
      expect(pool.on((one, nowMs) => one.slept(1, nowMs))).toEqual([]);
      expect(abandoned(pool)).toEqual(["wake 1"]);
    });

    test("has none where it would have ended by now, or yielded to others, or its pool is retired", () => {
      const late = madeRoom();
      late.exit(1);
      late.pass(10_000);
      expect(abandoned(late)).toEqual([]);
      const other = madeRoom({ isForVersion: false });
      other.exit(1);
      expect(abandoned(other)).toEqual([]);
      const retired = madeRoom();
      retired.exit(1);
      retired.on((one, nowMs) => one.retire(nowMs));
      expect(abandoned(retired)).toEqual([]);
    });
  });

  test("that is to be replaced finishes its calls beside its successor", () => {
    const pool = new TestPool();
    pool.request("a");
    pool.ready(1);
    expect(pool.on((one, nowMs) => one.drainAsked(1, nowMs))).toEqual(["launch 2"]);
    pool.request("b");
    expect(pool.ready(2)).toEqual(["b at 2"]);
    expect(pool.finish("a")).toEqual(["stop 1 asked"]);
  });

  test("that yields finishes its calls, and then ends", () => {
    const pool = new TestPool();
    pool.request("a");
    pool.ready(1);
    expect(pool.on((one, nowMs) => one.yieldAsked(1, nowMs))).toEqual([]);
    expect(pool.finish("a")).toEqual(["stop 1 yields"]);
  });

  describe("that asks to be replaced", () => {
    function drained(): TestPool {
      const pool = new TestPool({ maxInputs: 4 });
      pool.request("tab", { passive: true });
      pool.ready(1);
      pool.request("another tab", { passive: true });
      pool.request("a");
      expect(pool.on((one, nowMs) => one.drainAsked(1, nowMs))).toEqual(["launch 2"]);
      return pool;
    }

    test("finishes the calls that do not count as use, too", () => {
      const pool = drained();
      expect(pool.finish("tab")).toEqual([]);
      expect(pool.finish("a")).toEqual([]);
      expect(pool.finish("another tab")).toEqual(["stop 1 asked"]);
    });

    test("is held up by those for the grace alone", () => {
      const pool = drained();
      pool.finish("a");
      expect(pool.pass(29_999)).toEqual([]);
      expect(pool.pass(1)).toEqual(["stop 1 asked"]);
      expect(pool.finish("tab")).toEqual([]);
    });

    test("is held up by none of those after the grace, when its other calls have ended", () => {
      const pool = drained();
      expect(pool.pass(30_000)).toEqual([]);
      expect(pool.finish("tab")).toEqual([]);
      expect(pool.finish("a")).toEqual(["stop 1 asked"]);
    });
  });

  test("that yields is not held up by calls that do not count as use", () => {
    const pool = new TestPool({ maxInputs: 3, targetInputs: 3 });
    pool.request("tab", { passive: true });
    pool.ready(1);
    pool.request("a");
    expect(pool.on((one, nowMs) => one.yieldAsked(1, nowMs))).toEqual([]);
    expect(pool.finish("a")).toEqual(["stop 1 yields"]);
  });

  test("that sleeps keeps the calls that do not count as use", () => {
    const pool = new TestPool({ canSleep: true, maxInputs: 3, targetInputs: 3 });
    pool.request("tab", { passive: true });
    pool.ready(1);
    pool.request("another tab", { passive: true });
    expect(pool.on((one, nowMs) => one.yieldAsked(1, nowMs))).toEqual(["sleep 1"]);
    expect(pool.finish("tab")).toEqual([]);
    expect(pool.on((one, nowMs) => one.slept(1, nowMs))).toEqual([]);
    expect(pool.request("a")).toEqual(["wake 1"]);
    expect(pool.ready(1)).toEqual(["a at 1"]);
  });

  test("that can sleep does so instead, and wakes for the next call", () => {
    const pool = new TestPool({ canSleep: true });
    pool.request("a");
    pool.ready(1);
    pool.on((one, nowMs) => one.yieldAsked(1, nowMs));
    expect(pool.finish("a")).toEqual(["sleep 1"]);
    expect(pool.request("b")).toEqual([]);
    expect(pool.on((one, nowMs) => one.slept(1, nowMs))).toEqual(["wake 1"]);
    expect(pool.ready(1)).toEqual(["b at 1"]);
  });

  test("that asks to be replaced while it makes room does not sleep, and its successor waits for a call", () => {
    const pool = new TestPool({ canSleep: true });
    pool.request("a");
    pool.ready(1);
    pool.on((one, nowMs) => one.yieldAsked(1, nowMs));
    expect(pool.on((one, nowMs) => one.drainAsked(1, nowMs))).toEqual([]);
    expect(pool.finish("a")).toEqual(["stop 1 yields"]);
    expect(pool.exit(1)).toEqual([]);
    expect(pool.request("b")).toEqual(["launch 2"]);
  });

  test.each([
    ["falls asleep", "draining"],
    ["sleeps", "asleep"],
  ])("that asks to be replaced in a response to an open tab while it %s ends", (_, state) => {
    const pool = new TestPool({ canSleep: true, maxInputs: 3, targetInputs: 3 });
    pool.request("tab", { passive: true });
    pool.ready(1);
    pool.on((one, nowMs) => one.yieldAsked(1, nowMs));
    if (state === "asleep") pool.on((one, nowMs) => one.slept(1, nowMs));
    expect(pool.pool.container(1)?.state).toBe(state);
    expect(pool.on((one, nowMs) => one.drainAsked(1, nowMs))).toEqual([
      expect.stringMatching(/^stop 1 /),
    ]);
    expect(pool.on((one, nowMs) => one.slept(1, nowMs))).toEqual([]);
  });

  test("that sleeps gives its port back by ending", () => {
    const pool = new TestPool({ canSleep: true });
    pool.request("a");
    pool.ready(1);
    pool.on((one, nowMs) => one.yieldAsked(1, nowMs));
    pool.finish("a");
    pool.on((one, nowMs) => one.slept(1, nowMs));
    expect(pool.on((one, nowMs) => one.yieldAsked(1, nowMs))).toEqual(["stop 1 yields"]);
  });

  test("whose GPU is lost does not sleep", () => {
    const pool = new TestPool({ canSleep: true });
    pool.request("a");
    pool.ready(1);
    pool.on((one, nowMs) => one.yieldAsked(1, nowMs, { maySleep: false }));
    expect(pool.finish("a")).toEqual(["stop 1 yields"]);
  });

  test("that can't be ended is counted no more, and another one starts", () => {
    const pool = new TestPool({ minContainers: 1 });
    pool.pass(0);
    pool.ready(1);
    expect(pool.on((one, nowMs) => one.unhealthy(1, nowMs))).toEqual(["stop 1 unhealthy"]);
    expect(pool.pool.counts).toMatchObject({ ending: 1, stuck: 0 });
    expect(pool.on((one, nowMs) => one.stuck(1, nowMs))).toEqual(["launch 2"]);
    expect(pool.pool.counts).toMatchObject({ ending: 0, stuck: 1 });
  });
});

test("a retired pool hands over what waits, and ends each container after its last call", () => {
  const pool = new TestPool();
  pool.request("a");
  pool.ready(1);
  pool.request("b");
  expect(pool.on((one, nowMs) => one.retire(nowMs))).toEqual(["b handed over"]);
  expect(pool.request("c")).toEqual(["c handed over"]);
  expect(pool.finish("a")).toEqual(["stop 1 retired"]);
});

test("a container that says that it is busy gets no call while another one is not", () => {
  const settings = { maxInputs: 4, targetInputs: 4, minContainers: 2, maxContainers: 2 };
  const bench = new TestPool(settings, { isProved: true });
  bench.pass(0);
  bench.ready(1);
  bench.ready(2);
  expect(bench.request("a")).toContain("a at 1");
  // Up to its target the first one would get the next call too.
  bench.pool.reportUse(1, 1);
  // Those who choose between boxes hear of it too.
  expect(bench.pool.load(0)).toMatchObject({ running: 1, reported: 3, room: 7 });
  expect(bench.request("b")).toContain("b at 2");
  expect(bench.request("c")).toContain("c at 2");
  // Its report is over with its calls.
  bench.finish("a");
  expect(bench.pool.load(0)).not.toHaveProperty("reported");
  bench.finish("b");
  bench.finish("c");
  expect(bench.request("d")).toContain("d at 1");
  // A report that comes late, of a container without calls, counts for nothing.
  bench.pool.reportUse(2, 1);
  bench.finish("d");
  expect(bench.request("e")).toContain("e at 1");
});

test("a container that is busy by its own account takes calls where no other one can", () => {
  const bench = new TestPool({ maxInputs: 2, targetInputs: 2 }, { isProved: true });
  expect(bench.request("a").length).toBeGreaterThan(0);
  bench.ready(1);
  bench.pool.reportUse(1, 1);
  expect(bench.request("b")).toContain("b at 1");
});

test("a pool that is held begins nothing, starts nothing and ends nothing: all that is the next agent's", () => {
  const pool = new TestPool({ maxInputs: 1, maxContainers: 2, scaledownWindowMs: 60_000 });
  pool.request("running");
  pool.ready(1);
  pool.pool.hold();
  expect(pool.request("late")).toEqual([]);
  expect(pool.finish("running")).toEqual([]);
  expect(pool.pass(600_000)).toEqual([]);
  expect(pool.pool.counts).toMatchObject({ ready: 1, starting: 0, waiting: 1, running: 0 });
});

test("a pool that is held lets in what would have begun meanwhile, though no call may wait", () => {
  const pool = new TestPool({ maxInputs: 1, maxPending: 0 });
  pool.request("running");
  pool.ready(1);
  expect(pool.request("refused")).toEqual(["refused queue_full 1"]);
  pool.pool.hold();
  expect(pool.request("early")).toEqual([]);
  pool.finish("running");
  expect(pool.request("refused")).toEqual(["refused queue_full 1"]);
});

test("a call that waited elsewhere is let in, whatever waits here", () => {
  const pool = new TestPool({ maxInputs: 1, maxPending: 0 });
  pool.request("running");
  pool.ready(1);
  expect(pool.request("first", { waitedElsewhere: true })).toEqual([]);
  expect(pool.request("second", { waitedElsewhere: true })).toEqual([]);
  expect(pool.request("new")).toEqual(["new queue_full 1"]);
});
