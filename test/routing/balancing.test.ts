import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  BoxLoad,
  type SeenBox,
  orderForQueue,
  orderForRoom,
  type Standing,
} from "../../routing/balancing.ts";

const IDLE: SeenBox = {
  isAway: false,
  hasRoom: true,
  hasComing: false,
  isBlocked: false,
  use: 0,
  sessions: 0,
  distance: 0,
};

const views = fc.array(
  fc.record({
    isAway: fc.boolean(),
    hasRoom: fc.boolean(),
    hasComing: fc.boolean(),
    isBlocked: fc.boolean(),
    use: fc.double({ min: 0, max: 4, noNaN: true }),
    sessions: fc.nat({ max: 5 }),
    distance: fc.nat({ max: 3 }),
  }),
  { minLength: 1, maxLength: 8 },
);
const draws = fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }));
const drawing = (from: Iterator<number>) => () => from.next().value as number;
const self = (view: SeenBox): SeenBox => view;

describe("the order in which boxes are asked for room", () => {
  it("has each once: those that are away last, full ones before them, and of the others the nearest first", () => {
    fc.assert(
      fc.property(views, draws, (boxes, random) => {
        const order = orderForRoom(boxes, self, { random: drawing(random) });
        expect(new Set(order)).toEqual(new Set(boxes));
        const reach = order.map(({ isAway, hasRoom, distance }) => [
          Number(isAway),
          Number(!hasRoom),
          distance,
        ]);
        const sorted = reach.toSorted(
          ([a0 = 0, a1 = 0, a2 = 0], [b0 = 0, b1 = 0, b2 = 0]) => a0 - b0 || a1 - b1 || a2 - b2,
        );
        expect(reach).toEqual(sorted);
      }),
    );
  });

  it("begins with the less loaded of two, and never with the most loaded of equally near ones", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat({ max: 100 }), { minLength: 2, maxLength: 8 }),
        draws,
        (uses, random) => {
          const boxes = uses.map((use) => ({ ...IDLE, use }));
          const [first] = orderForRoom(boxes, self, { random: drawing(random) });
          expect(first?.use).toBeLessThan(Math.max(...uses));
        },
      ),
    );
  });

  it("gives each of equal boxes its turn", () => {
    const boxes = ["a", "b", "c"];
    const random = mulberry(7);
    const view = () => IDLE;
    const firsts = Array.from({ length: 300 }, () => orderForRoom(boxes, view, { random })[0]);
    for (const name of boxes) {
      expect(firsts.filter((first) => first === name).length).toBeGreaterThan(60);
    }
  });

  it("counts sessions before calls where a session begins", () => {
    const boxes = [
      { ...IDLE, use: 0, sessions: 2 },
      { ...IDLE, use: 3, sessions: 1 },
    ];
    const options = { random: () => 0.5, beginsSession: true };
    expect(orderForRoom(boxes, self, options)[0]).toBe(boxes[1]);
    expect(orderForRoom(boxes, self, { random: () => 0.5 })[0]).toBe(boxes[0]);
  });

  it("spills over to a far box while the near one is full, and goes back when it is not", () => {
    const near = { ...IDLE, use: 0.9 };
    const far = { ...IDLE, distance: 1 };
    const first = (hasRoom: boolean) =>
      orderForRoom([{ ...near, hasRoom }, far], self, { random: () => 0.1 })[0]?.distance;
    expect([first(true), first(false), first(true)]).toEqual([0, 1, 0]);
  });
});

describe("the order in which a call waits where no box has room", () => {
  it("prefers places that are coming, then cards that are free, then the shorter queue", () => {
    const boxes = [
      { ...IDLE, use: 1 },
      { ...IDLE, use: 0.5, isBlocked: true },
      { ...IDLE, use: 2, hasComing: true },
      { ...IDLE, use: 0, isAway: true },
      { ...IDLE, use: 3 },
    ];
    const order = orderForQueue(boxes, self, { random: () => 0.3 });
    expect(order.map(({ use }) => use)).toEqual([2, 1, 3, 0.5, 0]);
  });
});

describe("the load of a box", () => {
  const SAID = { running: 4, waiting: 0, room: 4, coming: 0 };
  const standing = (change: (load: BoxLoad) => void, nowMs = 0): Standing => {
    const load = new BoxLoad();
    change(load);
    return load.standing(nowMs);
  };

  it("is that which the box told, and the calls opened there since", () => {
    const load = new BoxLoad();
    load.onAnswered(SAID, 0);
    expect(load.standing(0).use).toBe(0.5);
    load.onOpened(0);
    load.onOpened(0);
    expect(load.standing(0)).toMatchObject({ use: 0.75, hasRoom: true });
    load.onOpened(0);
    load.onOpened(0);
    expect(load.standing(0)).toMatchObject({ use: 1, hasRoom: false });
    load.onAnswered(SAID, 0);
    expect(load.standing(0)).toMatchObject({ use: 0.5, hasRoom: true });
  });

  it("counts what its containers are busy with by their own account", () => {
    const told = (reported: number) =>
      standing((load) => load.onAnswered({ ...SAID, reported }, 0));
    expect(told(0)).toEqual(standing((load) => load.onAnswered(SAID, 0)));
    expect(told(2)).toMatchObject({ use: 0.75, hasRoom: true });
  });

  it("fades: a box that was busy long ago is asked again", () => {
    const full = { running: 8, waiting: 8, room: 0, coming: 0 };
    const later = (nowMs: number) => standing((load) => load.onAnswered(full, 0), nowMs);
    expect(later(0)).toMatchObject({ use: 2, hasRoom: false });
    expect(later(2_000)).toMatchObject({ use: 1, hasRoom: true });
    expect(later(60_000).use).toBeLessThan(0.001);
  });

  it("of an unknown box is that of the calls that are on their way there", () => {
    const unknown = (count: number) =>
      standing((load) => {
        for (let call = 0; call < count; call += 1) load.onOpened(0);
      });
    expect(unknown(0)).toMatchObject({ use: 0, hasRoom: true });
    expect(unknown(3).use).toBe(3);
  });

  it("counts no call that has ended: a box that refused many is asked again", () => {
    const load = new BoxLoad();
    for (let call = 0; call < 20; call += 1) load.onOpened(0, true);
    for (let call = 0; call < 20; call += 1) load.onAnswered(undefined, 0, true);
    expect(load.standing(0)).toEqual(new BoxLoad().standing(0));
  });

  it("is unknown again when the box was away", () => {
    const load = new BoxLoad();
    load.onAnswered({ ...SAID, room: 0 }, 0);
    load.onOpened(0);
    load.onAway();
    expect(load.standing(0)).toEqual(new BoxLoad().standing(0));
  });

  it("has room that is coming while fewer calls wait than containers will take", () => {
    const starting = (waiting: number) =>
      standing((load) => load.onAnswered({ running: 0, waiting, room: 0, coming: 2 }, 0));
    expect([0, 1, 2].map((waiting) => starting(waiting).hasComing)).toEqual([true, true, false]);
  });

  it("counts a session that begins until its own call is answered, whatever the box told before", () => {
    const load = new BoxLoad();
    load.onOpened(0, true);
    load.onOpened(0, true);
    load.onAnswered({ ...SAID, sessions: 0 }, 0);
    expect(load.standing(0).sessions).toBe(2);
    load.onAnswered({ ...SAID, sessions: 1 }, 0, true);
    expect(load.standing(0).sessions).toBe(2);
  });

  it("counts a session of which nothing is heard for less and less: its client has left", () => {
    const later = (nowMs: number) => standing((load) => load.onOpened(0, true), nowMs).sessions;
    expect(later(0)).toBe(1);
    expect(later(15_000)).toBe(0.5);
    expect(later(300_000)).toBeLessThan(0.001);
  });

  it("counts sessions that the box told and those that begin", () => {
    const load = new BoxLoad();
    load.onAnswered({ running: 0, waiting: 0, room: 2, coming: 0, sessions: 3 }, 0);
    load.onOpened(0, true);
    load.onOpened(0);
    expect(load.standing(0)).toMatchObject({ sessions: 4, places: 2 });
  });
});

describe("sessions that begin at once", () => {
  /** Two boxes tell with each answer what they have; the answers of each come in their order, as on a link. */
  function spread(sessions: number, seed: number): number[] {
    const random = mulberry(seed);
    const boxes = [new BoxLoad(), new BoxLoad()];
    const settled = [0, 0];
    const answers: (() => void)[][] = [[], []];
    for (let begun = 0; begun < sessions; begun += 1) {
      const view = (box: number): SeenBox => ({
        ...(boxes[box] as BoxLoad).standing(0),
        isAway: false,
        distance: 0,
      });
      const [chosen = 0] = orderForRoom([0, 1], view, { random, beginsSession: true });
      const box = boxes[chosen] as BoxLoad;
      box.onOpened(0, true);
      const own = answers[chosen] as (() => void)[];
      own.push(() => {
        settled[chosen] = (settled[chosen] as number) + 1;
        const load = { running: 0, waiting: 0, room: 8, coming: 0, sessions: settled[chosen] };
        own.push(() => box.onAnswered(load, 0, true));
      });
      while (random() < 0.6) answers[random() < 0.5 ? 0 : 1]?.shift()?.();
    }
    for (const own of answers) while (own.length > 0) own.shift()?.();
    return settled;
  }

  it("are spread within a fifth of even", () => {
    for (let seed = 0; seed < 500; seed += 1) {
      const [one = 0] = spread(20, seed);
      expect([seed, Math.abs(one - 10) <= 2]).toEqual([seed, true]);
    }
  });
});

/** A generator with a seed (mulberry32). */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
