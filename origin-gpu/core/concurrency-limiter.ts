/**
 * The counted places of an endpoint, and the queue for them. Places go in the order of arrival. The queue
 * is bounded; asynchronous calls have a bound of their own. Pure.
 *
 * The holder of a permit releases it when its response's body has ended, not at the response's head:
 * capacity that returns too early sends work to a busy GPU.
 */

/** A place in the queue, then a place at the endpoint. */
export interface Permit {
  /** Returns the place, or leaves the queue. Repeating it has no effect. */
  release(): void;
}

/** A permit with its links in the queue, which any member can leave. */
class QueuedPermit implements Permit {
  readonly onGranted: () => void;
  readonly asynchronous: boolean;
  readonly #release: (permit: QueuedPermit) => void;
  state: "waiting" | "held" | "released" = "waiting";
  before: QueuedPermit | undefined;
  after: QueuedPermit | undefined;

  constructor(
    onGranted: () => void,
    asynchronous: boolean,
    release: (permit: QueuedPermit) => void,
  ) {
    this.onGranted = onGranted;
    this.asynchronous = asynchronous;
    this.#release = release;
  }

  release(): void {
    this.#release(this);
  }
}

export class ConcurrencyLimiter {
  #limit: number;
  readonly #maxPending: number;
  readonly #maxPendingAsync: number;
  #first: QueuedPermit | undefined;
  #last: QueuedPermit | undefined;
  #waiting = 0;
  #waitingAsync = 0;
  #held = 0;
  #unused: PromiseWithResolvers<void> | undefined;

  readonly #release = (permit: QueuedPermit): void => {
    const { state } = permit;
    permit.state = "released";
    if (state === "waiting") this.#unlink(permit);
    if (state !== "held") return;
    this.#held -= 1;
    // Granted in this turn: a later call can't take the place of one that waits.
    this.#grantWaiting();
    if (this.#held > 0) return;
    this.#unused?.resolve();
    this.#unused = undefined;
  };

  /**
   * @param limit permits that may be held at a time
   * @param maxPending synchronous calls that may wait for one
   * @param maxPendingAsync asynchronous calls that may wait besides
   */
  constructor(limit: number, maxPending: number, maxPendingAsync = 0) {
    this.#limit = limit;
    this.#maxPending = maxPending;
    this.#maxPendingAsync = maxPendingAsync;
  }

  /** Permits that are held. */
  get held(): number {
    return this.#held;
  }

  /** Permits that wait in the queue. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Asks for a permit. `onGranted` is called when it is held: within this call where a place is free.
   * @param asynchronous no client waits for the response
   * @returns undefined when the queue is full
   */
  acquire(onGranted: () => void, asynchronous = false): Permit | undefined {
    const permit = new QueuedPermit(onGranted, asynchronous, this.#release);
    if (this.#held < this.#limit) this.#grant(permit);
    else if (this.#isFull(asynchronous)) return undefined;
    else this.#append(permit);
    return permit;
  }

  /** Changes how many permits may be held at a time. Held ones stay held. */
  resize(limit: number): void {
    this.#limit = limit;
    this.#grantWaiting();
  }

  /** Resolves when no permit is held. */
  async unused(): Promise<void> {
    if (this.#held === 0) return;
    this.#unused ??= Promise.withResolvers();
    await this.#unused.promise;
  }

  #grantWaiting(): void {
    for (let next = this.#first; next !== undefined; next = this.#first) {
      if (this.#held >= this.#limit) return;
      this.#unlink(next);
      this.#grant(next);
    }
  }

  #isFull(asynchronous: boolean): boolean {
    if (asynchronous) return this.#waitingAsync >= this.#maxPendingAsync;
    return this.#waiting - this.#waitingAsync >= this.#maxPending;
  }

  #grant(permit: QueuedPermit): void {
    this.#held += 1;
    permit.state = "held";
    permit.onGranted();
  }

  #append(permit: QueuedPermit): void {
    permit.before = this.#last;
    if (this.#last === undefined) this.#first = permit;
    else this.#last.after = permit;
    this.#last = permit;
    this.#count(permit, 1);
  }

  #unlink(permit: QueuedPermit): void {
    const { before, after } = permit;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    permit.before = undefined;
    permit.after = undefined;
    this.#count(permit, -1);
  }

  #count({ asynchronous }: QueuedPermit, by: 1 | -1): void {
    this.#waiting += by;
    if (asynchronous) this.#waitingAsync += by;
  }
}
