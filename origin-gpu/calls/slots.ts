/**
 * An endpoint's slots and the queue before them: first come, first served, bounded (calls that nobody
 * waits for have a bound of their own), and left by whoever goes. Pure; who holds a slot does the work, and gives it back when its answer's body has ended, not
 * at the headers: capacity that is counted too early sends work to a busy GPU.
 */

/** A place in the queue, then a slot. */
export interface Ticket {
  /** Gives the slot back, or leaves the queue. Any number of times. */
  release(): void;
}

export class Slots {
  readonly #limit: number;
  readonly #maxPending: number;
  readonly #maxPendingAsync: number;
  /** In the order of arrival; a Set lets anybody leave from the middle. */
  readonly #waiting = new Set<() => void>();
  #waitingAsync = 0;
  #taken = 0;

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
    return this.#waiting.size;
  }

  /**
   * Asks for a slot: `granted` is called when it is there, at once where one is free.
   * @param asynchronous nobody waits for the answer
   * @returns undefined when the queue is full
   */
  request(granted: () => void, asynchronous = false): Ticket | undefined {
    if (this.#taken < this.#limit) {
      this.#taken += 1;
      granted();
      return this.#slot();
    }
    if (this.#full(asynchronous)) return undefined;
    let held = false;
    const turn = (): void => {
      held = true;
      if (asynchronous) this.#waitingAsync -= 1;
      granted();
    };
    this.#waiting.add(turn);
    if (asynchronous) this.#waitingAsync += 1;
    const slot = this.#slot();
    return {
      release: () => {
        if (held) slot.release();
        else if (this.#waiting.delete(turn) && asynchronous) this.#waitingAsync -= 1;
      },
    };
  }

  #full(asynchronous: boolean): boolean {
    if (asynchronous) return this.#waitingAsync >= this.#maxPendingAsync;
    return this.#waiting.size - this.#waitingAsync >= this.#maxPending;
  }

  #slot(): Ticket {
    let released = false;
    return {
      release: () => {
        if (released) return;
        released = true;
        const [next] = this.#waiting;
        if (next === undefined) this.#taken -= 1;
        else {
          // The slot goes from hand to hand: nobody who comes later can take it in between.
          this.#waiting.delete(next);
          next();
        }
      },
    };
  }
}
