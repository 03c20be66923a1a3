/** Boxes that share a pool: never too many containers in all, and nobody who needs one is left without for long. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type BoxUse,
  concernedBoxes,
  fairShares,
  grantable,
  heldBy,
  NO_SHARE,
  type PoolBounds,
  type PoolShare,
} from "../../routing/pool-shares.ts";

const TURN_MS = 30_000;

function use(box: string, more: Partial<Omit<BoxUse, "granted">> & { most?: number } = {}): BoxUse {
  const { most = 0, ...rest } = more;
  const granted = { ...NO_SHARE, most };
  const idle = { needs: 0, has: 0, isStarting: false, sinceMs: 0, unconfirmed: 0 };
  return { box, ...idle, granted, ...rest };
}

function bounds(more: Partial<PoolBounds> = {}): PoolBounds {
  return { min: 0, max: 3, buffer: 0, ...more };
}

const most = (shares: readonly PoolShare[]) => shares.map((share) => share.most);
const at = (nowMs: number) => ({ nowMs, turnMs: TURN_MS });

describe("the shares of a pool", () => {
  test("go by need, and in equal parts where there is not enough", () => {
    const of = (...needs: number[]) =>
      most(
        fairShares(
          needs.map((count, index) => use(`b${index}`, { needs: count })),
          bounds({ max: 6 }),
          at(0),
        ),
      );
    expect(of(1, 0)).toEqual([1, 0]);
    expect(of(9, 1)).toEqual([5, 1]);
    expect(of(9, 9)).toEqual([3, 3]);
    expect(of(9, 9, 9, 9)).toEqual([2, 2, 1, 1]);
  });

  test("leave containers that nobody needs where they are, and give their room to who needs it", () => {
    const idle = use("a", { has: 3, most: 3 });
    expect(most(fairShares([idle, use("b")], bounds(), at(0)))).toEqual([3, 0]);
    expect(most(fairShares([idle, use("b", { needs: 2 })], bounds(), at(0)))).toEqual([1, 2]);
  });

  test("spread min_containers evenly, and buffer_containers over those that have calls", () => {
    const uses = [use("a", { needs: 1 }), use("b"), use("c", { has: 1, most: 1 })];
    const shares = fairShares(uses, bounds({ min: 4, buffer: 2, max: 12 }), at(0));
    expect(shares.map(({ least }) => least)).toEqual([1, 1, 2]);
    expect(shares.map(({ buffer }) => buffer)).toEqual([2, 0, 0]);
    expect(most(shares)).toEqual([3, 1, 2]);
  });

  test("do not move a container between two boxes that both need it", () => {
    const both = [
      use("a", { needs: 3, has: 1, most: 1 }),
      use("b", { needs: 3, has: 2, most: 2, sinceMs: 5 }),
    ];
    expect(most(fairShares(both, bounds(), at(TURN_MS * 2)))).toEqual([1, 2]);
  });

  test("go round where there are fewer containers than boxes that need one", () => {
    const holder = use("a", { needs: 1, has: 1, most: 1, sinceMs: 0 });
    const waiter = use("b", { needs: 1, sinceMs: 10_000 });
    const of = (nowMs: number) => most(fairShares([holder, waiter], bounds({ max: 1 }), at(nowMs)));
    expect(of(39_999)).toEqual([1, 0]);
    expect(of(40_000)).toEqual([0, 1]);
  });

  test("a turn begins when the first container has started, however long that takes", () => {
    const more = { needs: 1, has: 1, most: 1, sinceMs: 0 };
    const of = (isStarting: boolean) => {
      const uses = [use("a", { ...more, isStarting }), use("b", { needs: 1 })];
      return most(fairShares(uses, bounds({ max: 1 }), at(10 * TURN_MS)));
    };
    expect(of(true)).toEqual([1, 0]);
    expect(of(false)).toEqual([0, 1]);
  });

  test("a share grows by what no other box holds, and the holder is asked to let go", () => {
    const uses = [
      use("a", { needs: 3, has: 3, most: 3 }),
      use("b", { needs: 2 }),
      use("c", { has: 0 }),
    ];
    const fair = fairShares(uses, bounds(), at(0));
    expect(most(fair)).toEqual([2, 1, 0]);
    expect(grantable(1, fair, uses, bounds()).most).toBe(0);
    expect(concernedBoxes(fair, uses, bounds())).toEqual(["a"]);
    // It has drained one.
    const after = [use("a", { needs: 3, has: 2, most: 2 }), uses[1], uses[2]] as BoxUse[];
    const then = fairShares(after, bounds(), at(1));
    expect(grantable(1, then, after, bounds()).most).toBe(1);
    expect(concernedBoxes(then, after, bounds())).toEqual(["b"]);
  });

  test("nobody is asked for what nobody needs", () => {
    const uses = [use("a", { needs: 1, has: 1, most: 3 }), use("b")];
    expect(concernedBoxes(fairShares(uses, bounds(), at(0)), uses, bounds())).toEqual([]);
  });
});

/** Boxes that keep to their shares, and what their calls need. Containers end when nothing needs them. */
class Fleet {
  readonly bounds: PoolBounds;
  readonly boxes = new Map<string, { use: BoxUse; needs: number; has: number }>();
  nowMs = 0;
  /** Boxes that were told to ask. */
  readonly told = new Set<string>();

  constructor(bounds: PoolBounds) {
    this.bounds = bounds;
  }

  /** What the gateway gives a box that says what it needs and has. */
  ask(name: string): void {
    const { needs, has, use: known } = this.#box(name);
    this.told.delete(name);
    const others = [...this.boxes.values()].map((box) => box.use).filter(({ box }) => box !== name);
    const before = { ...known, needs, has };
    const uses = [...others, { ...before, sinceMs: this.#since(known, before) }];
    const fair = fairShares(uses, this.bounds, at(this.nowMs));
    const granted = grantable(uses.length - 1, fair, uses, this.bounds);
    const mine = uses.at(-1) as BoxUse;
    const after = { ...mine, granted, sinceMs: this.#since(mine, { ...mine, granted }) };
    this.#box(name).use = after;
    const now = [...others, after];
    for (const box of concernedBoxes(
      fairShares(now, this.bounds, at(this.nowMs)),
      now,
      this.bounds,
    )) {
      if (box !== name) this.told.add(box);
    }
  }

  /** Starts and ends what the box's share says. */
  work(name: string): void {
    const box = this.#box(name);
    const { least, buffer, most: upTo } = box.use.granted;
    const wanted = Math.max(least, box.needs > 0 ? box.needs + buffer : 0);
    if (box.has > upTo) box.has -= 1;
    else if (box.has < Math.min(wanted, upTo)) box.has += 1;
  }

  /** The box is gone with its containers, and its lease has ended. */
  lose(name: string): void {
    this.boxes.delete(name);
  }

  need(name: string, needs: number): void {
    this.#box(name).needs = needs;
  }

  /** Everybody asks and works until nothing changes. */
  settle(): void {
    for (let round = 0; round < 4 * this.bounds.max + 10; round += 1) {
      for (const name of this.boxes.keys()) {
        this.work(name);
        this.ask(name);
      }
    }
  }

  get has(): number[] {
    return [...this.boxes.values()].map(({ has }) => has);
  }

  get granted(): number[] {
    return [...this.boxes.values()].map((box) => box.use.granted.most);
  }

  #box(name: string) {
    const box = this.boxes.get(name) ?? { use: use(name), needs: 0, has: 0 };
    this.boxes.set(name, box);
    return box;
  }

  #since(before: BoxUse, after: BoxUse): number {
    const state = ({ needs, granted }: BoxUse) => [granted.most > 0, needs > 0].join(" ");
    return state(before) === state(after) ? after.sinceMs : this.nowMs;
  }
}

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

const anyBounds = fc
  .record({
    max: fc.integer({ min: 1, max: 8 }),
    min: fc.integer({ min: 0, max: 8 }),
    buffer: fc.integer({ min: 0, max: 3 }),
  })
  .filter(({ min, max }) => min <= max);
const box = fc.constantFrom("a", "b", "c", "d");
const step = fc.oneof(
  fc.record({ type: fc.constant("need" as const), box, count: fc.nat(9) }),
  fc.record({ type: fc.constant("ask" as const), box }),
  fc.record({ type: fc.constant("work" as const), box }),
  fc.record({ type: fc.constant("lose" as const), box }),
  fc.record({ type: fc.constant("wait" as const), ms: fc.nat(TURN_MS) }),
);

function run(
  fleet: Fleet,
  steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[],
) {
  for (const one of steps) {
    if (one.type === "need") fleet.need(one.box, one.count);
    else if (one.type === "ask") fleet.ask(one.box);
    else if (one.type === "work") fleet.work(one.box);
    else if (one.type === "lose") fleet.lose(one.box);
    else if (one.type === "wait") fleet.nowMs += one.ms;
    const held = [...fleet.boxes.values()].map((each) => heldBy({ ...each.use, has: each.has }));
    expect(sum(held)).toBeLessThanOrEqual(fleet.bounds.max);
  }
}

describe("whatever boxes do", () => {
  test("they never hold more than max_containers, and in the end they have what they need of it", () => {
    fc.assert(
      fc.property(anyBounds, fc.array(step, { maxLength: 60, size: "max" }), (chosen, steps) => {
        const fleet = new Fleet(chosen);
        run(fleet, steps);
        fleet.settle();
        const needs = [...fleet.boxes.values()].map((each) => each.needs);
        const active = needs.filter((count) => count > 0).length;
        const wanted = Math.max(
          fleet.boxes.size === 0 ? 0 : chosen.min,
          sum(needs) + (active > 0 ? chosen.buffer : 0),
        );
        expect(sum(fleet.has)).toBeGreaterThanOrEqual(Math.min(wanted, chosen.max));
        expect(sum(fleet.granted)).toBeLessThanOrEqual(chosen.max);
        if (active <= chosen.max && chosen.min === 0) {
          for (const each of fleet.boxes.values()) {
            if (each.needs > 0) expect(each.has).toBeGreaterThan(0);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test("each of them that needs a container gets a turn, however few there are", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.array(step, { maxLength: 20, size: "max" }),
        (max, steps) => {
          const fleet = new Fleet(bounds({ max }));
          run(fleet, steps);
          for (const name of ["a", "b", "c", "d"]) fleet.need(name, 2);
          const served = new Set<string>();
          for (let turn = 0; turn < 12; turn += 1) {
            fleet.settle();
            for (const [name, { has }] of fleet.boxes) if (has > 0) served.add(name);
            fleet.nowMs += TURN_MS;
          }
          expect([...served].toSorted()).toEqual(["a", "b", "c", "d"]);
        },
      ),
      { numRuns: 50 },
    );
  });

  test("the boxes that are told to ask are enough for one that needs more to get its part", () => {
    fc.assert(
      fc.property(anyBounds, fc.array(step, { maxLength: 40, size: "max" }), (chosen, steps) => {
        const fleet = new Fleet(chosen);
        run(fleet, steps);
        fleet.settle();
        fleet.need("a", 9);
        fleet.ask("a");
        for (let round = 0; round < 200; round += 1) {
          for (const [name, { has }] of fleet.boxes) {
            fleet.work(name);
            // An agent says at once that something has ended which others wait for.
            if ((fleet.boxes.get(name)?.has ?? 0) < has) fleet.ask(name);
          }
          for (const name of fleet.told) fleet.ask(name);
        }
        const part = Math.floor(chosen.max / fleet.boxes.size);
        expect(fleet.boxes.get("a")?.has).toBeGreaterThanOrEqual(part);
        expect([...fleet.told]).toEqual([]);
      }),
      { numRuns: 1_000 },
    );
  });
});
