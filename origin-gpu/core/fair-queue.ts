/**
 * Calls of one priority that wait, in turns: each caller has one call in a turn, so that one caller's thousand calls
 * do not delay another caller's first. Calls of one caller are in the order of their arrival, and the callers in each
 * turn in the order in which they came to wait: while a caller waits no other one is served twice. Calls without a
 * caller count as one caller's. Any call can leave, and one that could not be sent comes back into its
 * old place. A place is found, and its position counted, along blocks of calls. Pure.
 */
import { isBefore, type PoolCall } from "./pool-call.ts";

/** Calls of a block; one of twice as many is split. */
const BLOCK_CALLS = 256;

/** Calls that follow each other in the queue. */
class Block<Call> {
  count = 0;
  before: Block<Call> | undefined;
  after: Block<Call> | undefined;
  last: Place<Call>;

  constructor(last: Place<Call>) {
    this.last = last;
  }
}

/** A call's place in the queue. */
class Place<Call> {
  readonly entry: PoolCall<Call>;
  readonly turn: number;
  readonly flow: Flow<Call>;
  block!: Block<Call>;
  before: Place<Call> | undefined;
  after: Place<Call> | undefined;
  /** In the order of arrival. */
  older: Place<Call> | undefined;
  newer: Place<Call> | undefined;

  constructor(entry: PoolCall<Call>, turn: number, flow: Flow<Call>) {
    this.entry = entry;
    this.turn = turn;
    this.flow = flow;
  }
}

/** The calls of one caller that wait; none is empty. */
interface Flow<Call> {
  /** The call whose arrival says the caller's order in each turn. */
  readonly first: PoolCall<Call>;
  count: number;
  /** The newest call that came, which may have left. */
  newest: PoolCall<Call>;
  lastTurn: number;
}

export class FairQueue<Call> {
  readonly #places = new Map<Call, Place<Call>>();
  readonly #flows = new Map<string | undefined, Flow<Call>>();
  #first: Place<Call> | undefined;
  #last: Place<Call> | undefined;
  #oldest: Place<Call> | undefined;
  #newest: Place<Call> | undefined;
  #firstBlock: Block<Call> | undefined;
  /** The turn that is served: none that comes gets an earlier one. */
  #turn = 0;
  /** The callers that have had their call of this turn, with the calls that say their order. */
  readonly #served = new Map<string | undefined, PoolCall<Call>>();

  get length(): number {
    return this.#places.size;
  }

  /** The call whose turn is next. */
  get first(): PoolCall<Call> | undefined {
    return this.#first?.entry;
  }

  /** The call that has waited longest. */
  get oldest(): PoolCall<Call> | undefined {
    return this.#oldest?.entry;
  }

  /** How many of a caller wait. */
  countOf(caller: string | undefined): number {
    return this.#flows.get(caller)?.count ?? 0;
  }

  /** The caller that has the most calls here. */
  get greediest(): string | undefined {
    let greediest: string | undefined;
    let most = 0;
    for (const [caller, { count }] of this.#flows) {
      if (count > most) [greediest, most] = [caller, count];
    }
    return greediest;
  }

  /** Takes a call in. @returns its turn. @param turn that it had before it left, where it comes back */
  add(entry: PoolCall<Call>, turn = this.#turnFor(entry)): number {
    let flow = this.#flows.get(entry.caller);
    if (flow === undefined) {
      const first = this.#served.get(entry.caller) ?? entry;
      flow = { first, count: 0, newest: entry, lastTurn: turn };
      this.#flows.set(entry.caller, flow);
    }
    flow.count += 1;
    if (!isBefore(entry, flow.newest)) Object.assign(flow, { newest: entry, lastTurn: turn });
    const place = new Place(entry, turn, flow);
    this.#places.set(entry.call, place);
    this.#insert(place);
    this.#noteArrival(place);
    return turn;
  }

  /** @returns undefined where the call does not wait here */
  remove(call: Call): PoolCall<Call> | undefined {
    const place = this.#places.get(call);
    if (place === undefined) return undefined;
    this.#places.delete(call);
    const { before, after, older, newer, entry, flow } = place;
    this.#leaveBlock(place);
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    if (before === undefined) this.#noteServed(place);
    flow.count -= 1;
    if (flow.count === 0) this.#flows.delete(entry.caller);
    return entry;
  }

  /** @returns undefined where the call does not wait here */
  find(call: Call): PoolCall<Call> | undefined {
    return this.#places.get(call)?.entry;
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

  /** In their turns. A call may be removed while it is visited. */
  *[Symbol.iterator](): Generator<PoolCall<Call>> {
    for (let place = this.#first; place !== undefined; place = place.after) yield place.entry;
  }

  /** From the last turn to the first. */
  *backwards(): Generator<PoolCall<Call>> {
    for (let place = this.#last; place !== undefined; place = place.before) yield place.entry;
  }

  #noteServed({ turn, entry: { caller }, flow }: Place<Call>): void {
    if (turn > this.#turn || this.length === 0) this.#served.clear();
    this.#turn = Math.max(this.#turn, turn);
    // Where nobody waits, turns begin anew.
    if (this.length === 0) this.#turn += 1;
    else if (turn === this.#turn) this.#served.set(caller, flow.first);
  }

  #turnFor(entry: PoolCall<Call>): number {
    const next = this.#nextTurnOf(entry.caller);
    const flow = this.#flows.get(entry.caller);
    if (flow === undefined) return next;
    if (!isBefore(entry, flow.newest)) return Math.max(next, flow.lastTurn + 1);
    // It waited elsewhere before: it comes before those of its caller that arrived later.
    for (let place = this.#first; place !== undefined; place = place.after) {
      if (place.entry.caller === entry.caller && isBefore(entry, place.entry)) return place.turn;
    }
    return Math.max(next, flow.lastTurn);
  }

  /** The first one in which a caller has had no call yet. */
  #nextTurnOf(caller: string | undefined): number {
    const next = Math.max(this.#turn, this.#first?.turn ?? 0);
    return next === this.#turn && this.#served.has(caller) ? next + 1 : next;
  }

  #insert(place: Place<Call>): void {
    const last = this.#last;
    const after =
      last !== undefined && comesBefore(place, last) ? this.#placeAfter(place) : undefined;
    const before = after === undefined ? last : after.before;
    place.before = before;
    place.after = after;
    if (before === undefined) this.#first = place;
    else before.after = place;
    if (after === undefined) this.#last = place;
    else after.before = place;
    if (after !== undefined) place.block = after.block;
    else if (last !== undefined && last.block.count < BLOCK_CALLS) place.block = last.block;
    else this.#addBlock(place);
    if (after === undefined) place.block.last = place;
    place.block.count += 1;
    if (place.block.count > 2 * BLOCK_CALLS) this.#split(place.block);
  }

  /** The first one that comes after a place, of those that do. */
  #placeAfter(place: Place<Call>): Place<Call> | undefined {
    let block = this.#firstBlock;
    while (block !== undefined && comesBefore(block.last, place)) block = block.after;
    let after = block?.before === undefined ? this.#first : block.before.last.after;
    while (after !== undefined && comesBefore(after, place)) ({ after } = after);
    return after;
  }

  #addBlock(place: Place<Call>): void {
    const block = new Block(place);
    const before = place.before?.block;
    block.before = before;
    if (before === undefined) this.#firstBlock = block;
    else before.after = block;
    place.block = block;
  }

  /** The second half becomes a block of its own. */
  #split(block: Block<Call>): void {
    const half = new Block(block.last);
    let place: Place<Call> | undefined = block.last;
    for (; place !== undefined && half.count < BLOCK_CALLS; place = place.before) {
      place.block = half;
      half.count += 1;
    }
    block.count -= half.count;
    block.last = place as Place<Call>;
    half.before = block;
    half.after = block.after;
    if (half.after !== undefined) half.after.before = half;
    block.after = half;
  }

  #leaveBlock(place: Place<Call>): void {
    const { block, before } = place;
    block.count -= 1;
    if (block.count > 0) {
      // The one before the block's last one is the block's too.
      if (block.last === place) block.last = before as Place<Call>;
      return;
    }
    if (block.before === undefined) this.#firstBlock = block.after;
    else block.before.after = block.after;
    if (block.after !== undefined) block.after.before = block.before;
  }

  #noteArrival(place: Place<Call>): void {
    let older = this.#newest;
    let newer: Place<Call> | undefined;
    if (older !== undefined && isBefore(place.entry, older.entry)) {
      // A call that comes back is an old one: the search begins with the oldest.
      newer = this.#oldest;
      while (newer !== undefined && isBefore(newer.entry, place.entry)) ({ newer } = newer);
      older = newer?.older;
    }
    place.older = older;
    place.newer = newer;
    if (older === undefined) this.#oldest = place;
    else older.newer = place;
    if (newer === undefined) this.#newest = place;
    else newer.older = place;
  }
}

function comesBefore<Call>(one: Place<Call>, other: Place<Call>): boolean {
  if (one.turn !== other.turn) return one.turn < other.turn;
  if (one.flow === other.flow) return isBefore(one.entry, other.entry);
  return isBefore(one.flow.first, other.flow.first);
}
