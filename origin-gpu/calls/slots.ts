/**
 * An endpoint's slots and the queue before them: first come, first served, bounded (calls that nobody
 * waits for have a bound of their own), and left by whoever goes. Pure; who holds a slot does the work,
 * and gives it back when its answer's body has ended, not at the headers: capacity that is counted too
 * early sends work to a busy GPU.
 */

/** A place in the queue, then a slot. */
export interface Ticket {
  /** Gives the slot back, or leaves the queue. Any number of times. */
  release(): void;
}

/** Somebody who asked: first in the queue, which is a list that anybody may leave, then in a slot. */
class Turn implements Ticket {
  readonly granted: () => void;
  readonly asynchronous: boolean;
  readonly #leave: (turn: Turn) => void;
  state: "waiting" | "held" | "gone" = "waiting";
  before: Turn | undefined;
  after: Turn | undefined;

  constructor(granted: () => void, asynchronous: boolean, leave: (turn: Turn) => void) {
    this.granted = granted;
    this.asynchronous = asynchronous;
    this.#leave = leave;
  }

  release(): void {
    this.#leave(this);
  }
}

export class Slots {
  #limit: number;
  readonly #maxPending: number;
  readonly #maxPendingAsync: number;
  #first: Turn | undefined;
  #last: Turn | undefined;
  #waiting = 0;
  #waitingAsync = 0;
  #taken = 0;
  #unused: PromiseWithResolvers<void> | undefined;

  readonly #leave = (turn: Turn): void => {
    const { state } = turn;
    turn.state = "gone";
    if (state === "waiting") this.#unlink(turn);
    if (state !== "held") return;
    this.#taken -= 1;
    // The slot goes from hand to hand: nobody who comes later can take it in between.
    this.#grantWaiting();
    if (this.#taken > 0) return;
    this.#unused?.resolve();
    this.#unused = undefined;
  };

  /**
   * @param limit calls that run at a time
   * @param maxPending calls that may wait for one of them
   * @param maxPendingAsync asynchronous ones that may wait besides
   */
  constructor(limit: number, maxPending: number, maxPendingAsync = 0) {
    this.#limit = limit;
    this.#maxPending = maxPending;
    this.#maxPendingAsync = maxPendingAsync;
  }

  get taken(): number {
    return this.#taken;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Asks for a slot: `granted` is called when it is there, at once where one is free.
   * @param asynchronous nobody waits for the answer
   * @returns undefined when the queue is full
   */
  request(granted: () => void, asynchronous = false): Ticket | undefined {
    const turn = new Turn(granted, asynchronous, this.#leave);
    if (this.#taken < this.#limit) this.#grant(turn);
    else if (this.#full(asynchronous)) return undefined;
    else this.#append(turn);
    return turn;
  }

  /** So many calls run at a time from now on; those that hold a slot keep it. */
  resize(limit: number): void {
    this.#limit = limit;
    this.#grantWaiting();
  }

  /** Resolves when nobody holds a slot. */
  async unused(): Promise<void> {
    if (this.#taken === 0) return;
    this.#unused ??= Promise.withResolvers();
    await this.#unused.promise;
  }

  #grantWaiting(): void {
    for (let next = this.#first; next !== undefined; next = this.#first) {
      if (this.#taken >= this.#limit) return;
      this.#unlink(next);
      this.#grant(next);
    }
  }

  #full(asynchronous: boolean): boolean {
    if (asynchronous) return this.#waitingAsync >= this.#maxPendingAsync;
    return this.#waiting - this.#waitingAsync >= this.#maxPending;
  }

  #grant(turn: Turn): void {
    this.#taken += 1;
    turn.state = "held";
    turn.granted();
  }

  #append(turn: Turn): void {
    turn.before = this.#last;
    if (this.#last === undefined) this.#first = turn;
    else this.#last.after = turn;
    this.#last = turn;
    this.#count(turn, 1);
  }

  #unlink(turn: Turn): void {
    const { before, after } = turn;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    turn.before = undefined;
    turn.after = undefined;
    this.#count(turn, -1);
  }

  #count({ asynchronous }: Turn, by: 1 | -1): void {
    this.#waiting += by;
    if (asynchronous) this.#waitingAsync += by;
  }
}
