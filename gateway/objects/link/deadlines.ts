/**
 * Deadlines of many waits at the price of one timer. Waits of one length expire in the order in which
 * they began, so that a set in that order and a timer for its first are enough; a timer for each
 * request would cost more than the rest of its way through the object.
 */

interface Wait {
  readonly at: number;
  readonly expired: () => void;
}

export class Deadlines {
  /** By length in milliseconds; there are few (the request timeout, and what clients ask for). */
  readonly #byLength = new Map<number, Set<Wait>>();

  /** Calls `expired` after `lengthMs`, unless the returned function is called before. */
  start(lengthMs: number, expired: () => void): () => void {
    let waits = this.#byLength.get(lengthMs);
    if (waits === undefined) {
      waits = new Set();
      this.#byLength.set(lengthMs, waits);
      this.#arm(lengthMs, waits, lengthMs);
    }
    const wait = { at: Date.now() + lengthMs, expired };
    const group = waits;
    group.add(wait);
    return () => group.delete(wait);
  }

  #arm(lengthMs: number, waits: Set<Wait>, delayMs: number): void {
    setTimeout(() => {
      const now = Date.now();
      for (const wait of waits) {
        if (wait.at > now) {
          this.#arm(lengthMs, waits, wait.at - now);
          return;
        }
        waits.delete(wait);
        wait.expired();
      }
      this.#byLength.delete(lengthMs);
    }, delayMs);
  }
}
