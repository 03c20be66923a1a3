/**
 * The calls that wait at a pool, in the order of their arrival. Any of them can leave, and one that could not be sent
 * comes back into its old place. Each operation takes constant time, but for the way back to an old place and for a
 * position, which is counted by blocks. Pure.
 */
import type { SessionState } from "../../routing/wire/sessions.ts";
import type { Session } from "./session-table.ts";

/** A call's part in its session. */
export interface CallSession {
  readonly session: Session;
  /** How it came to its container; undefined while it waits. */
  state: SessionState | undefined;
}

/** A call of a pool, from its arrival to its end. */
export interface PoolCall<Call> {
  readonly call: Call;
  readonly arrivedAtMs: number;
  /** No client waits for the response. */
  readonly asynchronous: boolean;
  /** A client was told that the call goes on: nothing but its end may end it. */
  readonly accepted: boolean;
  /** It takes a place at its container, and does not count as use of it. */
  readonly passive: boolean;
  /** Orders calls that arrived at the same time. */
  readonly sequence: number;
  /** Where its endpoint has affinity. */
  readonly session: CallSession | undefined;
}

/** Whether a call arrived before another one. */
export function isBefore<Call>(one: PoolCall<Call>, other: PoolCall<Call>): boolean {
  if (one.arrivedAtMs !== other.arrivedAtMs) return one.arrivedAtMs < other.arrivedAtMs;
  return one.sequence < other.sequence;
}

/** Calls of one block, at most while nobody comes back into it: a position is a walk within one, and along the others. */
const BLOCK_CALLS = 256;

/** Calls that follow each other in the queue. */
class Block {
  count = 0;
  before: Block | undefined;
  after: Block | undefined;
}

const NO_BLOCK = new Block();

/** A call's place in the queue. */
class Place<Call> {
  readonly entry: PoolCall<Call>;
  block = NO_BLOCK;
  before: Place<Call> | undefined;
  after: Place<Call> | undefined;

  constructor(entry: PoolCall<Call>) {
    this.entry = entry;
  }
}

export class CallQueue<Call> {
  readonly #places = new Map<Call, Place<Call>>();
  #first: Place<Call> | undefined;
  #last: Place<Call> | undefined;
  #lastBlock = new Block();
  #asynchronous = 0;
  #active = 0;

  get length(): number {
    return this.#places.size;
  }

  /** Calls without a client that waits for them. */
  get asynchronous(): number {
    return this.#asynchronous;
  }

  /** Calls that are not passive. */
  get active(): number {
    return this.#active;
  }

  /** The call that has waited longest. */
  get first(): PoolCall<Call> | undefined {
    return this.#first?.entry;
  }

  /** Takes a call in behind those that arrived before it. */
  add(entry: PoolCall<Call>): void {
    const place = new Place(entry);
    let before = this.#last;
    let after: Place<Call> | undefined;
    if (before !== undefined && isBefore(entry, before.entry)) {
      // A call that comes back is an old one: the search begins with the oldest.
      after = this.#first;
      while (after !== undefined && isBefore(after.entry, entry)) after = after.after;
      before = after?.before;
    }
    place.before = before;
    place.after = after;
    if (before === undefined) this.#first = place;
    else before.after = place;
    if (after === undefined) this.#last = place;
    else after.before = place;
    place.block = after === undefined ? this.#blockAtEnd() : after.block;
    place.block.count += 1;
    this.#places.set(entry.call, place);
    this.#count(entry, 1);
  }

  /** @returns undefined where the call does not wait here */
  remove(call: Call): PoolCall<Call> | undefined {
    const place = this.#places.get(call);
    if (place === undefined) return undefined;
    const { before, after, entry } = place;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    this.#leaveBlock(place.block);
    this.#places.delete(call);
    this.#count(entry, -1);
    return entry;
  }

  /** Takes the call out that has waited longest. */
  shift(): PoolCall<Call> | undefined {
    return this.#first === undefined ? undefined : this.remove(this.#first.entry.call);
  }

  has(call: Call): boolean {
    return this.#places.has(call);
  }

  /** How many wait before this one; undefined where it does not wait here. */
  positionOf(call: Call): number | undefined {
    const place = this.#places.get(call);
    if (place === undefined) return undefined;
    let position = 0;
    let { before } = place;
    for (; before?.block === place.block; before = before.before) position += 1;
    for (let block = place.block.before; block !== undefined; block = block.before) {
      position += block.count;
    }
    return position;
  }

  #blockAtEnd(): Block {
    const last = this.#lastBlock;
    if (last.count < BLOCK_CALLS) return last;
    const block = new Block();
    block.before = last;
    last.after = block;
    this.#lastBlock = block;
    return block;
  }

  /** The last block stays, also where it is empty. */
  #leaveBlock(block: Block): void {
    block.count -= 1;
    const { before, after } = block;
    if (block.count > 0 || after === undefined) return;
    after.before = before;
    if (before !== undefined) before.after = after;
  }

  /** In their order. A call may be removed while it is visited. */
  *[Symbol.iterator](): Generator<PoolCall<Call>> {
    for (let place = this.#first; place !== undefined; place = place.after) yield place.entry;
  }

  #count({ asynchronous, passive }: PoolCall<Call>, by: 1 | -1): void {
    if (asynchronous) this.#asynchronous += by;
    if (!passive) this.#active += by;
  }
}
