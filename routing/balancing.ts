/**
 * The order in which the boxes of an endpoint are tried. Nearest boxes with room come first, and of two of them at random
 * the less loaded one (Mitzenmacher, 2001). A box that is full, and then one that is away, comes later. The order is
 * advice: a box without room refuses, and the caller goes on. Time and randomness are arguments.
 */
import { SECOND_MS } from "../base/units.ts";
import type { PoolLoad } from "./wire/pool-load.ts";

/** The weight of a load that a box told halves in this time: what it had to do then is done. */
const LOAD_HALF_LIFE_MS = 2 * SECOND_MS;

/** A box that said that it is full is tried last for so long. */
const FULL_MS = SECOND_MS;

/** Calls of which nothing was heard since they were opened count for half after this time: their clients may have left. */
const OPENED_HALF_LIFE_MS = 15 * SECOND_MS;

export interface Standing {
  /** It has room for another call, as far as anybody knows. */
  readonly hasRoom: boolean;
  /** Containers that start have places for more calls than wait there. */
  readonly hasComing: boolean;
  /** A container that it would start waits for calls of others. */
  readonly isBlocked: boolean;
  /** Calls for each place; 0 is idle. */
  readonly use: number;
  readonly sessions: number;
  /** Its sessions share them; undefined where the box has told nothing yet: then it has as many as another one. */
  readonly places?: number | undefined;
}

/** An endpoint's load on one box, as an isolate knows it: the last word of the box, and what is on its way there. */
export class BoxLoad {
  #said: PoolLoad | undefined;
  #saidAtMs = 0;
  /** Calls since the box's last word. */
  readonly #opened = new FadingCount();
  /**
   * Sessions whose first call is on its way. Each counts until that call is answered, whatever the box says meanwhile: its
   * word may be older than they are. So sessions that begin all at once are spread as evenly as slow ones.
   */
  readonly #beginning = new FadingCount();

  /** A call is on its way to the box. */
  onOpened(nowMs: number, beginsSession = false): void {
    this.#opened.add(1, nowMs);
    if (beginsSession) this.#beginning.add(1, nowMs);
  }

  /** A call that went to the box was answered, or failed. @param load that the box told with it: the call counts there */
  onAnswered(load: PoolLoad | undefined, nowMs: number, beganSession = false): void {
    if (beganSession) this.#beginning.add(-1, nowMs);
    if (load === undefined) {
      this.#opened.add(-1, nowMs);
      return;
    }
    this.#said = load;
    this.#saidAtMs = nowMs;
    this.#opened.clear();
  }

  /** The box is away. Nothing is known of its load when it is back. */
  onAway(): void {
    this.#said = undefined;
    this.#opened.clear();
    this.#beginning.clear();
  }

  standing(nowMs: number): Standing {
    const opened = this.#opened.at(nowMs);
    const beginning = this.#beginning.at(nowMs);
    const said = this.#said;
    // A box of which nothing is known gets one call, until it has told its load.
    if (said === undefined) {
      const unknown = { hasRoom: true, hasComing: false, isBlocked: false };
      return { ...unknown, use: opened, sessions: beginning };
    }
    const ageMs = nowMs - this.#saidAtMs;
    const places = Math.max(1, said.running + said.room + said.coming);
    const busyWith = said.running + said.waiting + (said.reported ?? 0);
    const told = busyWith * halved(ageMs, LOAD_HALF_LIFE_MS);
    return {
      hasRoom: ageMs > FULL_MS || said.room > opened,
      hasComing: said.coming > said.waiting + opened,
      isBlocked: said.blocked === true,
      use: (told + opened) / places,
      sessions: (said.sessions ?? 0) + beginning,
      places,
    };
  }
}

/** A number of things that began and of which nothing was heard yet. It fades: of some nobody ever hears. */
class FadingCount {
  #count = 0;
  #countedAtMs = 0;

  at(nowMs: number): number {
    return this.#count === 0
      ? 0
      : this.#count * halved(nowMs - this.#countedAtMs, OPENED_HALF_LIFE_MS);
  }

  add(by: 1 | -1, nowMs: number): void {
    this.#count = Math.max(0, this.at(nowMs) + by);
    this.#countedAtMs = nowMs;
  }

  clear(): void {
    this.#count = 0;
  }
}

/** A box as those see it who choose. */
export interface SeenBox extends Standing {
  /** It did not answer a moment ago. */
  readonly isAway: boolean;
  /** From where the request entered (`distanceOf`). */
  readonly distance: number;
}

/** A box, and what is known of it. */
interface Choice<Box> {
  readonly box: Box;
  readonly view: SeenBox;
  /** Sessions for each place. */
  readonly sessionsEach: number;
}

export interface BalancingOptions {
  /** From 0 up to, and without, 1. */
  readonly random: () => number;
  /** The call begins a session, which stays where it is: the number of sessions counts before the calls. */
  readonly beginsSession?: boolean | undefined;
}

/** The boxes in the order in which they are asked whether they have room. */
export function orderForRoom<Box>(
  boxes: readonly Box[],
  viewOf: (box: Box) => SeenBox,
  { random, beginsSession = false }: BalancingOptions,
): Box[] {
  const choices = shuffled(choicesOf(boxes, viewOf), random);
  // Stable: equal ones stay in their random order.
  choices.sort((one, other) => byReach(one.view, other.view));
  const [first, second] = choices;
  if (first !== undefined && second !== undefined && byReach(first.view, second.view) === 0) {
    const isLess = byLoad(second, first, beginsSession) < 0;
    if (isLess) [choices[0], choices[1]] = [second, first];
  }
  return choices.map(({ box }) => box);
}

/** The boxes in the order in which a call waits at one, where none has room. */
export function orderForQueue<Box>(
  boxes: readonly Box[],
  viewOf: (box: Box) => SeenBox,
  { random, beginsSession = false }: BalancingOptions,
): Box[] {
  return shuffled(choicesOf(boxes, viewOf), random)
    .toSorted(
      (one, other) =>
        Number(one.view.isAway) - Number(other.view.isAway) ||
        Number(other.view.hasComing) - Number(one.view.hasComing) ||
        Number(one.view.isBlocked) - Number(other.view.isBlocked) ||
        byLoad(one, other, beginsSession) ||
        one.view.distance - other.view.distance,
    )
    .map(({ box }) => box);
}

/** Those that are away, then those that are full, are reached last; of the others the nearest first. */
function byReach(one: SeenBox, other: SeenBox): number {
  return (
    Number(one.isAway) - Number(other.isAway) ||
    Number(other.hasRoom) - Number(one.hasRoom) ||
    one.distance - other.distance
  );
}

function byLoad<Box>(one: Choice<Box>, other: Choice<Box>, beginsSession: boolean): number {
  return (
    (beginsSession ? one.sessionsEach - other.sessionsEach : 0) || one.view.use - other.view.use
  );
}

function choicesOf<Box>(boxes: readonly Box[], viewOf: (box: Box) => SeenBox): Choice<Box>[] {
  const views = boxes.map(viewOf);
  const most = Math.max(1, ...views.map(({ places = 1 }) => places));
  return views.map((view, index) => ({
    box: boxes[index] as Box,
    view,
    sessionsEach: view.sessions / (view.places ?? most),
  }));
}

/** In place (Fisher and Yates). */
function shuffled<Item>(items: Item[], random: () => number): Item[] {
  for (let last = items.length - 1; last > 0; last -= 1) {
    const at = Math.floor(random() * (last + 1));
    [items[last], items[at]] = [items[at] as Item, items[last] as Item];
  }
  return items;
}

/** The part of 1 that is left after a time. */
function halved(ageMs: number, halfLifeMs: number): number {
  return 2 ** (-ageMs / halfLifeMs);
}
