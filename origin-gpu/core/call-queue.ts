/**
 * The calls that wait for one container, or for any: those of batch callers after all others, and both kinds in turns
 * by their callers. Pure.
 */
import { FairQueue } from "./fair-queue.ts";
import { isBefore, type PoolCall } from "./pool-call.ts";

export class CallQueue<Call> {
  /** The container that they wait for; undefined: any. */
  readonly #container: number | undefined;
  readonly #interactive = new FairQueue<Call>();
  readonly #batch = new FairQueue<Call>();
  #asynchronous = 0;
  #active = 0;

  constructor(container?: number) {
    this.#container = container;
  }

  get length(): number {
    return this.#interactive.length + this.#batch.length;
  }

  /** Calls without a client that waits for them. */
  get asynchronous(): number {
    return this.#asynchronous;
  }

  /** Calls that are not passive. */
  get active(): number {
    return this.#active;
  }

  /** The call whose turn is next. */
  get first(): PoolCall<Call> | undefined {
    return this.#interactive.first ?? this.#batch.first;
  }

  /** The call that has waited longest. */
  get oldest(): PoolCall<Call> | undefined {
    const [one, other] = [this.#interactive.oldest, this.#batch.oldest];
    return other === undefined || (one !== undefined && isBefore(one, other)) ? one : other;
  }

  /** Takes a call in. One that waited here before has its old turn. */
  add(entry: PoolCall<Call>): void {
    const container = this.#container;
    const known = entry.turn?.container === container ? entry.turn?.number : undefined;
    entry.turn = { container, number: this.#queueOf(entry).add(entry, known) };
    this.#count(entry, 1);
  }

  /** @returns undefined where the call does not wait here */
  remove(call: Call): PoolCall<Call> | undefined {
    const entry = this.#interactive.remove(call) ?? this.#batch.remove(call);
    if (entry !== undefined) this.#count(entry, -1);
    return entry;
  }

  has(call: Call): boolean {
    return this.#interactive.has(call) || this.#batch.has(call);
  }

  /** @returns undefined where the call does not wait here */
  find(call: Call): PoolCall<Call> | undefined {
    return this.#interactive.find(call) ?? this.#batch.find(call);
  }

  /** How many wait before this one; undefined where it does not wait here. */
  positionOf(call: Call): number | undefined {
    const position = this.#interactive.positionOf(call);
    if (position !== undefined) return position;
    const inBatch = this.#batch.positionOf(call);
    return inBatch === undefined ? undefined : inBatch + this.#interactive.length;
  }

  /**
   * The call that gives way to one that has come, where not all may wait: the last one of a batch caller, else of the
   * caller that has the most. Undefined where the one that has come is the one to go.
   */
  displacedBy(entry: PoolCall<Call>): PoolCall<Call> | undefined {
    const queue = this.#queueOf(entry);
    if (queue === this.#interactive) {
      const batch = lastOf(this.#batch);
      if (batch !== undefined) return batch;
    }
    const greediest = queue.greediest;
    if (queue.countOf(greediest) <= queue.countOf(entry.caller)) return undefined;
    return lastOf(queue, greediest);
  }

  /** In their turns. A call may be removed while it is visited. */
  *[Symbol.iterator](): Generator<PoolCall<Call>> {
    yield* this.#interactive;
    yield* this.#batch;
  }

  #queueOf({ batch }: PoolCall<Call>): FairQueue<Call> {
    return batch === true ? this.#batch : this.#interactive;
  }

  #count({ asynchronous, passive }: PoolCall<Call>, by: 1 | -1): void {
    if (asynchronous) this.#asynchronous += by;
    if (!passive) this.#active += by;
  }
}

/** The last call that a client waits for, and was not told to go on. @param caller its caller, where it is given */
function lastOf<Call>(
  queue: FairQueue<Call>,
  ...caller: (string | undefined)[]
): PoolCall<Call> | undefined {
  for (const entry of queue.backwards()) {
    const isTheirs = caller.length === 0 || entry.caller === caller[0];
    if (isTheirs && !entry.accepted && !entry.asynchronous) return entry;
  }
  return undefined;
}
