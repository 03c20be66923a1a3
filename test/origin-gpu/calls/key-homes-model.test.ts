/**
 * Once means once while boxes change: edges whose snapshots are up to 5 s old, requests that take their time between
 * their steps, and boxes that know and release keys. The routing and the memory of released keys are the real ones;
 * gateway/worker/edge/key-home.ts and keyed-calls.ts are told in a few lines.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ReleasedKeys } from "../../../origin-gpu/calls/released-keys.ts";
import { type FormerBoxes, formerHomes, homeBox } from "../../../routing/boxes.ts";

const BOXES = ["a", "b", "c", "d"];
/** `timeout` and `result_ttl` together. */
const TTL_MS = 600_000;
/** A former set is known for so much longer. */
const LATE_MS = 60_000;
const SNAPSHOT_AGE_MS = 5_000;
/** A request ends or fails within this time. */
const REQUEST_MS = 55_000;

class Box {
  readonly #released = new ReleasedKeys();
  /** By key, when its call is forgotten. */
  readonly #known = new Map<string, number>();

  knows(key: string, now: number): boolean {
    return (this.#known.get(key) ?? 0) > now;
  }

  release(key: string, now: number): boolean {
    if (this.knows(key, now)) return false;
    this.#released.add(key, now);
    return true;
  }

  /** Returns whether the call runs: it is not known, is not to join one, and its key was not released. */
  open(key: string, joins: boolean, now: number): boolean {
    if (joins || this.knows(key, now) || this.#released.has(key, now)) return false;
    this.#known.set(key, now + TTL_MS);
    return true;
  }
}

class Request {
  readonly key: string;
  readonly startedAt: number;
  readonly #home: string;
  readonly #toAsk: string[];
  #holder: string | undefined;

  constructor(key: string, boxes: readonly string[], former: readonly FormerBoxes[], now: number) {
    const places = boxes.map((box) => ({ box }));
    this.key = key;
    this.startedAt = now;
    this.#home = homeBox(key, places)?.box as string;
    this.#toAsk = formerHomes(key, places, former, now);
  }

  /** Asks the next former home. After the last one returns where the call is opened, and whether it is to join. */
  step(world: World): { box: string; joins: boolean } | undefined {
    const asked = this.#toAsk.pop();
    if (asked === undefined) {
      return { box: this.#holder ?? this.#home, joins: this.#holder !== undefined };
    }
    if (!world.box(asked).release(this.key, world.now)) this.#holder = asked;
    return undefined;
  }
}

class World {
  now = 10 * TTL_MS;
  readonly #boxes = new Map(BOXES.map((name) => [name, new Box()]));
  readonly #sets: { readonly from: number; readonly boxes: readonly string[] }[];
  #requests: Request[] = [];
  /** By key, when its calls ran. */
  readonly runs = new Map<string, number[]>();

  constructor(boxes: readonly string[]) {
    this.#sets = [{ from: 0, boxes }];
  }

  box(name: string): Box {
    return this.#boxes.get(name) as Box;
  }

  change(boxes: readonly string[]): void {
    this.#sets.push({ from: this.now, boxes });
  }

  advance(ms: number): void {
    this.now += ms;
    this.#requests = this.#requests.filter(({ startedAt }) => this.now - startedAt < REQUEST_MS);
  }

  begin(key: string, snapshotAgeMs: number): void {
    const known = this.#sets.filter(({ from }) => from <= this.now - snapshotAgeMs);
    const former = known.slice(0, -1).map(({ boxes }, index) => ({
      boxes,
      untilMs: (known[index + 1]?.from ?? 0) + TTL_MS + LATE_MS,
    }));
    this.#requests.push(new Request(key, known.at(-1)?.boxes ?? [], former, this.now));
  }

  step(which: number): void {
    const request = this.#requests[which % Math.max(1, this.#requests.length)];
    const opened = request?.step(this);
    if (request === undefined || opened === undefined) return;
    this.#requests = this.#requests.filter((other) => other !== request);
    if (!this.box(opened.box).open(request.key, opened.joins, this.now)) return;
    const earlier = this.runs.get(request.key);
    if (earlier === undefined) this.runs.set(request.key, [this.now]);
    else earlier.push(this.now);
  }
}

const boxes = fc.subarray(BOXES, { minLength: 1 });
const action = fc.oneof(
  { weight: 1, arbitrary: boxes.map((set) => (world: World) => world.change(set)) },
  {
    weight: 3,
    arbitrary: fc.nat({ max: 8_000 }).map((ms) => (world: World) => world.advance(ms)),
  },
  {
    weight: 1,
    arbitrary: fc.nat({ max: 2 * TTL_MS }).map((ms) => (world: World) => world.advance(ms)),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(fc.constantFrom("k1", "k2", "k3"), fc.nat({ max: SNAPSHOT_AGE_MS })).map(
      ([key, ageMs]) =>
        (world: World) =>
          world.begin(key, ageMs),
    ),
  },
  { weight: 8, arbitrary: fc.nat().map((which) => (world: World) => world.step(which)) },
);

test("no call under a key runs twice while it is remembered, however boxes change", () => {
  fc.assert(
    fc.property(boxes, fc.array(action, { maxLength: 150, size: "max" }), (first, actions) => {
      const world = new World(first);
      for (const act of actions) act(world);
      for (const runs of world.runs.values()) {
        for (const [index, at] of runs.slice(1).entries()) {
          expect(at - (runs[index] as number)).toBeGreaterThanOrEqual(TTL_MS);
        }
      }
    }),
    { numRuns: 2_000 },
  );
});
