/** Sessions at a pool, case by case. pool-model.test.ts has the invariants, session-table.test.ts the keys. */
import { describe, expect, test } from "vitest";
import type { PoolEffect, PoolSettings } from "../../../origin-gpu/core/pool-effects.ts";
import type { SessionTraits } from "../../../origin-gpu/core/pool-sessions.ts";
import { Pool } from "../../../origin-gpu/core/pool.ts";
import { SessionTable } from "../../../origin-gpu/core/session-table.ts";
import { SETTINGS } from "./pool-world.ts";

const FOUR: Partial<PoolSettings> = {
  minContainers: 4,
  maxContainers: 4,
  maxInputs: 10,
  targetInputs: 10,
};

/** A pool whose containers are granted at once and become ready when they are asked to. */
class World {
  readonly table: SessionTable;
  readonly pool: Pool<string>;
  nowMs = 0;
  #lastCall = 0;

  constructor(settings: Partial<PoolSettings> = {}, table = new SessionTable()) {
    this.table = table;
    this.pool = new Pool({ ...SETTINGS, ...settings }, { isProved: true, sessions: table });
    this.on((pool) => pool.tick(0));
    this.readyAll();
  }

  /** All that follows of an event, in words. */
  on(event: (pool: Pool<string>, nowMs: number) => readonly PoolEffect<string>[]): string[] {
    const due = [...event(this.pool, this.nowMs)];
    const words: string[] = [];
    for (let next = due.shift(); next !== undefined; next = due.shift()) {
      if (next.type === "claim") due.push(...this.pool.granted(next.container, this.nowMs));
      else if (next.type === "assign") {
        words.push(`${next.call} at ${next.container}${next.session ? `, ${next.session}` : ""}`);
      } else if (next.type === "refuse") words.push(`${next.call}: ${next.code}`);
      else if (next.type === "hand_over") words.push(`${next.call} handed over`);
      else if (next.type === "stop" || next.type === "wake" || next.type === "sleep") {
        words.push(`${next.type} ${next.container}`);
      }
    }
    return words;
  }

  readyAll(): void {
    for (const { number, state } of this.pool.containers) {
      if (state === "preparing") this.on((pool, nowMs) => pool.prepared(number, nowMs));
      this.on((pool, nowMs) => pool.ready(number, nowMs));
    }
  }

  request(call: string, session?: SessionTraits | string): string[] {
    const traits = typeof session === "string" ? { keys: [session] } : session;
    return this.on((pool, nowMs) => pool.request(call, nowMs, { session: traits }));
  }

  /** Another pool needs its card. */
  fallAsleep(container: number): void {
    expect(this.on((pool, nowMs) => pool.yieldAsked(container, nowMs))).toEqual([
      `sleep ${container}`,
    ]);
    this.on((pool, nowMs) => pool.slept(container, nowMs));
  }

  finish(call: string): string[] {
    return this.on((pool, nowMs) => pool.finished(call, nowMs));
  }

  exit(container: number): string[] {
    return this.on((pool, nowMs) => pool.exited(container, nowMs));
  }

  pass(ms: number): string[] {
    this.nowMs += ms;
    return this.on((pool, nowMs) => pool.tick(nowMs));
  }

  /** A whole short request. @returns its container */
  visit(session: SessionTraits): number {
    this.#lastCall += 1;
    const call = `visit ${this.#lastCall}`;
    const [words = ""] = this.request(call, session);
    this.finish(call);
    return Number(/ at (\d+)/.exec(words)?.[1]);
  }
}

const spread = (containers: readonly number[]): number[] =>
  [1, 2, 3, 4].map((number) => containers.filter((one) => one === number).length);

describe("a session that begins", () => {
  test("goes to the container with the fewest: twenty on four are five each, however short their requests", () => {
    const world = new World(FOUR);
    const places = Array.from({ length: 20 }, (_, index) =>
      world.visit({ keys: [`session_hash=${index}`] }),
    );
    expect(spread(places)).toEqual([5, 5, 5, 5]);
  });

  test("goes there also where its first request carries nothing, and its client comes back later", () => {
    const world = new World(FOUR);
    const places = Array.from({ length: 20 }, () => world.visit({ keys: [] }));
    expect(spread(places)).toEqual([5, 5, 5, 5]);
    // Those who choose between boxes count them too.
    expect(world.pool.load(world.nowMs).sessions).toBe(20);
    for (const [index, place] of places.entries()) {
      const traits = { keys: [`cookie=${index}`], named: world.pool.placeOf(place) };
      expect(world.visit(traits)).toBe(place);
    }
    const counts = [1, 2, 3, 4].map((number) => world.pool.placeOf(number)?.sessions.lasting);
    expect(counts).toEqual([5, 5, 5, 5]);
    expect(world.pool.load(world.nowMs).sessions).toBe(20);
  });

  test("is spread although clients without a key come between", () => {
    const world = new World(FOUR);
    const places = Array.from({ length: 20 }, (_, index) => {
      world.visit({ keys: [] });
      return world.visit({ keys: [`session_hash=${index}`] });
    });
    expect(spread(places)).toEqual([5, 5, 5, 5]);
  });

  test("of a conversation goes where the fewest calls are, and by turns where none are", () => {
    const world = new World(FOUR);
    expect(world.request("long", "prompt=a")).toEqual(["long at 1, new"]);
    const places = Array.from({ length: 3 }, (_, index) =>
      world.visit({ keys: [`prompt=${index}`] }),
    );
    expect(places).toEqual([2, 3, 4]);
  });

  test("has one container, though its first requests come at once", () => {
    const world = new World({ maxContainers: 2, maxInputs: 1 });
    world.request("first", "session_hash=a");
    world.request("second", "session_hash=a");
    world.readyAll();
    expect(world.finish("first")).toEqual(["second at 1, kept"]);
  });
});

describe("a call of a session", () => {
  test("waits for its full container, and others pass", () => {
    const world = new World({ minContainers: 2, maxContainers: 2 });
    expect(world.request("first", "session_hash=a")).toEqual(["first at 1, new"]);
    expect(world.request("second", "session_hash=a")).toEqual([]);
    expect(world.request("other")).toEqual(["other at 2"]);
    expect(world.request("third")).toEqual([]);
    expect(world.finish("other")).toEqual(["third at 2"]);
    expect(world.finish("first")).toEqual(["second at 1, kept"]);
  });

  test("comes in its turn among those that any container may take", () => {
    const world = new World({ minContainers: 1, maxContainers: 1 });
    world.request("first", "session_hash=a");
    world.request("free");
    world.request("second", "session_hash=a");
    expect(world.finish("first")).toEqual(["free at 1"]);
    expect(world.finish("free")).toEqual(["second at 1, kept"]);
  });

  test("starts no container: another one is of no use to it", () => {
    const world = new World({ maxContainers: 4 });
    world.request("first", "session_hash=a");
    world.readyAll();
    world.request("second", "session_hash=a");
    world.request("third", "session_hash=a");
    expect(world.pool.containers).toHaveLength(1);
  });

  test("of a conversation goes to another container where its own is full, and comes back later", () => {
    const world = new World({ minContainers: 2, maxContainers: 2 });
    expect(world.request("first", "prompt=a")).toEqual(["first at 1, new"]);
    expect(world.request("second", "prompt=a")).toEqual(["second at 2, kept"]);
    world.finish("second");
    world.finish("first");
    expect(world.visit({ keys: ["prompt=a"] })).toBe(1);
  });

  test("that names a file of the box alone goes to any container, and to no session", () => {
    const world = new World({ minContainers: 1, maxContainers: 1, sessionsMove: false });
    expect(world.request("download", "file=0a")).toEqual(["download at 1"]);
  });

  test("wakes the container that has it, though another one is idle", () => {
    const world = new World({ minContainers: 2, maxContainers: 2, canSleep: true });
    world.visit({ keys: ["session_hash=a"] });
    const settings = { ...SETTINGS, maxContainers: 2, canSleep: true };
    world.on((pool, nowMs) => pool.change(settings, nowMs));
    expect(world.on((pool, nowMs) => pool.yieldAsked(1, nowMs))).toEqual(["sleep 1"]);
    expect(world.request("early", "session_hash=a")).toEqual([]);
    expect(world.on((pool, nowMs) => pool.slept(1, nowMs))).toEqual(["wake 1"]);
    expect(world.on((pool, nowMs) => pool.ready(1, nowMs))).toEqual(["early at 1, kept"]);
  });

  test("keeps the container that is full of open tabs, which alone would not", () => {
    const world = new World({ minContainers: 1, maxInputs: 1, sessionsMove: false });
    const session = { keys: ["session_hash=a"] };
    world.on((pool, nowMs) => pool.request("tab", nowMs, { passive: true, session }));
    world.on((pool, nowMs) => pool.change({ ...SETTINGS, sessionsMove: false }, nowMs));
    expect(world.request("work", session)).toEqual([]);
    expect(world.pass(100_000)).toEqual([]);
    expect(world.finish("tab")).toEqual(["work at 1, kept"]);
  });
});

describe("a session whose container is gone", () => {
  const lost = (settings: Partial<PoolSettings>): World => {
    const world = new World({ minContainers: 2, maxContainers: 2, ...settings });
    world.visit({ keys: ["session_hash=a", "cookie=b"] });
    world.exit(1);
    return world;
  };

  test("moves as a whole where it may", () => {
    const world = lost({});
    expect(world.request("next", "cookie=b")).toEqual(["next at 2, moved"]);
    world.finish("next");
    expect(world.request("later", "session_hash=a")).toEqual(["later at 2, kept"]);
  });

  test("is lost where it may not move, and stays lost", () => {
    const world = lost({ sessionsMove: false });
    expect(world.request("next", "cookie=b")).toEqual(["next: session_lost"]);
    world.readyAll();
    expect(world.request("later", "session_hash=a")).toEqual(["later: session_lost"]);
    expect(world.request("other", "sid=other")).toEqual(["other: session_lost"]);
    expect(world.request("mine", "session_hash=c")).toEqual([expect.stringContaining("new")]);
  });

  test("is told by a cookie that names a container of the past", () => {
    const cookie: SessionTraits = { keys: ["cookie=z"], named: "gone" };
    const soft = new World({ minContainers: 1 });
    expect(soft.request("first", cookie)).toEqual(["first at 1, moved"]);
    soft.finish("first");
    expect(soft.request("second", cookie)).toEqual(["second at 1, kept"]);
    const hard = new World({ minContainers: 1, sessionsMove: false });
    expect(hard.request("first", cookie)).toEqual(["first: session_lost"]);
  });

  test("takes its waiting calls along", () => {
    const world = new World({ minContainers: 2, maxContainers: 2 });
    world.request("first", "session_hash=a");
    world.request("second", "session_hash=a");
    world.request("third", "session_hash=a");
    expect(world.exit(1)).toEqual(["second at 2, moved"]);
    expect(world.finish("second")).toEqual(["third at 2, kept"]);
  });

  test("ends its waiting calls where it may not move", () => {
    const world = new World({ minContainers: 1, sessionsMove: false });
    world.request("first", "session_hash=a");
    world.request("second", "session_hash=a");
    expect(world.exit(1)).toEqual(["second: session_lost"]);
  });

  test("is never lost where it is a conversation", () => {
    const world = new World({ minContainers: 2, maxContainers: 2, sessionsMove: false });
    world.visit({ keys: ["prompt=a"] });
    world.exit(1);
    expect(world.request("next", "prompt=a")).toEqual(["next at 2, moved"]);
  });
});

describe("a container that drains", () => {
  test("keeps its sessions until the grace ends, and gets no new ones", () => {
    const world = new World({ minContainers: 1, maxContainers: 2, maxInputs: 5, targetInputs: 5 });
    world.visit({ keys: ["session_hash=a"] });
    expect(world.on((pool, nowMs) => pool.drainAsked(1, nowMs))).toEqual([]);
    world.readyAll();
    expect(world.request("new", "session_hash=b")).toEqual(["new at 2, new"]);
    expect(world.request("old", "session_hash=a")).toEqual(["old at 1, kept"]);
    expect(world.pass(30_000)).toEqual([]);
    expect(world.request("late", "session_hash=a")).toEqual(["late at 2, moved"]);
    expect(world.finish("old")).toEqual(["stop 1"]);
  });

  test("keeps its sessions too where it has slept before", () => {
    const world = new World({ minContainers: 1, maxContainers: 2, canSleep: true });
    world.visit({ keys: ["session_hash=a"] });
    world.on((pool, nowMs) => pool.yieldAsked(1, nowMs));
    expect(world.on((pool, nowMs) => pool.slept(1, nowMs))).toEqual(["wake 1"]);
    world.readyAll();
    expect(world.on((pool, nowMs) => pool.drainAsked(1, nowMs))).toEqual([]);
    expect(world.request("old", "session_hash=a")).toEqual(["old at 1, kept"]);
  });

  test("ends at once where it has no session", () => {
    const world = new World({ minContainers: 1, maxContainers: 2 });
    world.request("call");
    world.finish("call");
    expect(world.on((pool, nowMs) => pool.drainAsked(1, nowMs))).toEqual(["stop 1"]);
  });

  test("ends at once where another pool waits for its card: its sessions move", () => {
    const world = new World({ minContainers: 1, maxContainers: 2 });
    world.visit({ keys: ["session_hash=a"] });
    expect(world.on((pool, nowMs) => pool.yieldAsked(1, nowMs))).toEqual(["stop 1"]);
  });

  test("waits for a client that has just been told its place", () => {
    const world = new World({ minContainers: 1, maxContainers: 2 });
    world.visit({ keys: [] });
    expect(world.on((pool, nowMs) => pool.drainAsked(1, nowMs))).toEqual([]);
    expect(world.pass(30_000)).toEqual(["stop 1"]);
  });
});

describe("a version that is replaced", () => {
  test("goes on with its sessions until the grace ends; then its successor has them, moved", () => {
    const table = new SessionTable();
    const old = new World({ minContainers: 1, maxInputs: 1 }, table);
    old.request("first", "session_hash=a");
    old.request("second", "session_hash=a");
    old.request("free");
    expect(old.on((pool, nowMs) => pool.retire(nowMs))).toEqual(["free handed over"]);
    expect(old.finish("first")).toEqual(["second at 1, kept"]);
    expect(old.pool.hasSession(table.enter(["session_hash=a"], undefined, 0))).toBe(true);
    expect(old.request("third", "session_hash=a")).toEqual([]);
    expect(old.request("new", "session_hash=b")).toEqual(["new handed over"]);
    old.finish("second");
    expect(old.pool.isFinished).toBe(false);
    old.finish("third");
    expect(old.pass(30_000)).toEqual(["stop 1"]);
    expect(old.pool.isFinished).toBe(true);
    const next = new World({ minContainers: 1 }, table);
    expect(next.request("fourth", "session_hash=a")).toEqual(["fourth at 1, moved"]);
  });

  describe("while a container sleeps", () => {
    const asleep = (settings: Partial<PoolSettings> = {}): World => {
      const hard = { sessionsMove: false, canSleep: true, maxInputs: 2, ...settings };
      const world = new World({ minContainers: 1, ...hard });
      world.visit({ keys: ["session_hash=a"] });
      world.on((pool, nowMs) => pool.change({ ...SETTINGS, ...hard }, nowMs));
      expect(world.on((pool, nowMs) => pool.yieldAsked(1, nowMs))).toEqual(["sleep 1"]);
      return world;
    };

    test("wakes it for the calls of its sessions, that wait or come", () => {
      const world = asleep();
      world.on((pool, nowMs) => pool.slept(1, nowMs));
      expect(world.request("waiting", "session_hash=a")).toEqual(["wake 1"]);
      expect(world.on((pool, nowMs) => pool.retire(nowMs))).toEqual([]);
      expect(world.request("next", "session_hash=a")).toEqual([]);
      expect(world.on((pool, nowMs) => pool.ready(1, nowMs))).toEqual([
        "waiting at 1, kept",
        "next at 1, kept",
      ]);
      world.finish("waiting");
      world.finish("next");
      expect(world.request("late", "session_hash=a")).toEqual(["late at 1, kept"]);
      expect(world.pass(30_000)).toEqual([]);
      expect(world.finish("late")).toEqual(["stop 1"]);
    });

    test("leaves it asleep until a call comes", () => {
      const world = asleep();
      expect(world.on((pool, nowMs) => pool.retire(nowMs))).toEqual([]);
      expect(world.on((pool, nowMs) => pool.slept(1, nowMs))).toEqual([]);
      expect(world.pool.isFinished).toBe(false);
      expect(world.request("call", "session_hash=a")).toEqual(["wake 1"]);
    });

    test("does not wake it for a call that has left", () => {
      const world = asleep();
      world.on((pool, nowMs) => pool.retire(nowMs));
      expect(world.request("call", "session_hash=a")).toEqual([]);
      world.finish("call");
      expect(world.on((pool, nowMs) => pool.slept(1, nowMs))).toEqual([]);
    });

    test("ends it with the grace, and the calls that wait for it", () => {
      const world = asleep();
      world.on((pool, nowMs) => pool.slept(1, nowMs));
      world.on((pool, nowMs) => pool.retire(nowMs));
      expect(world.request("call", "session_hash=a")).toEqual(["wake 1"]);
      expect(world.pass(29_999)).toEqual([]);
      expect(world.pass(1)).toEqual(["stop 1", "call: session_lost"]);
      expect(world.pool.isFinished).toBe(true);
    });

    test("ends it at once where the app is stopped, or it has no session", () => {
      const stopped = asleep();
      stopped.on((pool, nowMs) => pool.slept(1, nowMs));
      const retired = stopped.on((pool, nowMs) => pool.retire(nowMs, { keepsSessions: false }));
      expect(retired).toEqual(["stop 1"]);
      const unused = asleep();
      unused.on((pool, nowMs) => pool.slept(1, nowMs));
      unused.nowMs += 3_600_000;
      expect(unused.on((pool, nowMs) => pool.retire(nowMs))).toEqual(["stop 1"]);
    });
  });

  test("keeps none where the app is stopped", () => {
    const world = new World({ minContainers: 1 });
    world.visit({ keys: ["session_hash=a"] });
    const retired = world.on((pool, nowMs) => pool.retire(nowMs, { keepsSessions: false }));
    expect(retired).toEqual(["stop 1"]);
  });

  test("keeps none where the app is stopped while a container drains", () => {
    const world = new World({ minContainers: 1, maxContainers: 2 });
    world.visit({ keys: ["session_hash=a"] });
    expect(world.on((pool, nowMs) => pool.stopAsked(1, nowMs))).toEqual([]);
    const retired = world.on((pool, nowMs) => pool.retire(nowMs, { keepsSessions: false }));
    expect(retired).toContain("stop 1");
  });
});

test("a session's container that sleeps wakes in the place of another one where there may be no more", () => {
  const world = new World({ maxContainers: 2, canSleep: true });
  world.request("a", "header:x=1");
  world.request("other");
  world.readyAll();
  world.finish("a");
  world.fallAsleep(1);
  world.on((pool, nowMs) => pool.change({ ...SETTINGS, canSleep: true }, nowMs));
  expect(world.request("b", "header:x=1")).toEqual(["wake 1"]);
  expect(world.finish("other")).toEqual(["stop 2"]);
  world.readyAll();
  expect(world.pool.counts).toMatchObject({ ready: 1, running: 1, waiting: 0 });
});

test("a pool that has given up refuses the calls of a container that sleeps: it does not wake", () => {
  const world = new World({ maxContainers: 3, canSleep: true, mostFailures: 1 });
  world.request("a", "header:x=1");
  world.request("other");
  world.request("third");
  world.readyAll();
  world.finish("a");
  world.fallAsleep(1);
  world.exit(3);
  expect(world.pool.hasGivenUp).toBe(true);
  expect(world.pool.counts).toMatchObject({ ready: 1, asleep: 1 });
  expect(world.request("b", "header:x=1")).toEqual(["b: gave_up"]);
});

test("a version that was replaced wakes no more containers than its share allows by then", () => {
  const world = new World({ canSleep: true, sessionsMove: false });
  world.request("a", "header:x=1");
  world.readyAll();
  world.finish("a");
  world.fallAsleep(1);
  expect(world.request("b", "header:x=1")).toEqual(["wake 1"]);
  world.on((pool, nowMs) => pool.retire(nowMs));
  const none = { ...SETTINGS, maxContainers: 0, canSleep: true, sessionsMove: false };
  expect(world.on((pool, nowMs) => pool.change(none, nowMs))).toContain("stop 1");
});

test("an open tab wakes its session's container in the place of another one that has no use", () => {
  const world = new World({ minContainers: 1, maxContainers: 2, canSleep: true });
  const session = { keys: ["header:x=1"] };
  world.request("a", "header:x=1");
  world.request("other");
  world.readyAll();
  world.finish("a");
  world.fallAsleep(1);
  const settings = { ...SETTINGS, minContainers: 1, canSleep: true };
  world.on((pool, nowMs) => pool.change(settings, nowMs));
  // It is in use.
  expect(world.on((pool, nowMs) => pool.request("tab", nowMs, { passive: true, session }))).toEqual(
    [],
  );
  expect(world.finish("other")).toEqual(["stop 2"]);
  expect(world.exit(2)).toEqual(["wake 1"]);
  world.readyAll();
  expect(world.pool.counts).toMatchObject({ ready: 1, running: 1, waiting: 0 });
});

test("scaling down ends containers without sessions first", () => {
  const world = new World({ ...FOUR, minContainers: 3 });
  world.request("a", "session_hash=a");
  world.request("b", "session_hash=b");
  world.finish("a");
  world.finish("b");
  world.on((pool, nowMs) => pool.change({ ...SETTINGS, ...FOUR, minContainers: 0 }, nowMs));
  world.nowMs += 50_000;
  world.visit({ keys: ["session_hash=b"] });
  world.nowMs += 10_001;
  const settings = { ...SETTINGS, ...FOUR, minContainers: 1 };
  expect(world.on((pool, nowMs) => pool.change(settings, nowMs))).toEqual(["stop 3", "stop 1"]);
});

test("keys that an app hands out lead to the container that did", () => {
  const world = new World(FOUR);
  world.visit({ keys: [] });
  expect(world.request("call", { keys: [] })).toEqual(["call at 2, new"]);
  world.pool.learned("call", ["event_id=e"], world.nowMs);
  world.finish("call");
  expect(world.request("result", "event_id=e")).toEqual(["result at 2, kept"]);
});

test("of a session that another box may have had, a key that its app made says that it moved", () => {
  const world = new World({ minContainers: 1 });
  expect(world.request("call", "mcp-session-id=m")).toEqual(["call at 1, moved"]);
});

test("sessions of a container that was taken over are there, and lost when it does not serve", () => {
  const world = new World({ sessionsMove: false, maxContainers: 2, maxInputs: 10 });
  const [a, b] = ["mcp-session-id=a", "mcp-session-id=b"].map((key) => {
    return { sessions: [{ idleMs: 0, keys: [key] }], ofTheBox: ["file=0a"] };
  });
  const left = [
    { id: "ct-1", sessions: a },
    { id: "ct-2", sessions: b },
  ];
  world.on((pool, nowMs) => pool.adopt(left, nowMs));
  expect(world.request("early", "mcp-session-id=b")).toEqual([]);
  expect(world.on((pool, nowMs) => pool.prepared(2, nowMs))).toEqual([]);
  expect(world.on((pool, nowMs) => pool.ready(2, nowMs))).toEqual(["early at 2, kept"]);
  expect(world.table.knows(["file=0a"])).toBe(true);
  const failure = { code: "starting_failed", isPermanent: false } as const;
  expect(world.on((pool, nowMs) => pool.failed(1, failure, nowMs))).toEqual(["stop 1"]);
  expect(world.request("late", "mcp-session-id=a")).toEqual(["late: session_lost"]);
});
