/**
 * Deadlines of many waits at the price of one timer. Waits of one length expire in the order in which they
 * began, so a set in that order and a timer for its first are enough. A timer for each request would cost more
 * than the rest of its way through the object.
 */

interface Wait {
  readonly at: number;
  readonly expired: () => void;
}

/** The waits of one length, and the timer of the first. */
interface Group {
  readonly waits: Set<Wait>;
  timer: ReturnType<typeof setTimeout>;
}

export class Deadlines {
  /** By length in milliseconds; there are few (the request timeout, and what clients ask for). */
  readonly #groups = new Map<number, Group>();

  /** Calls `expired` after `lengthMs`, unless the returned function is called before. */
  start(lengthMs: number, expired: () => void): () => void {
    const wait = { at: Date.now() + lengthMs, expired };
    let group = this.#groups.get(lengthMs);
    if (group === undefined) {
      group = { waits: new Set(), timer: this.#arm(lengthMs, lengthMs) };
      this.#groups.set(lengthMs, group);
    }
    const { waits } = group;
    waits.add(wait);
    return () => waits.delete(wait);
  }

  /**
   * Clears the timers that nothing waits for. An ended wait leaves its group's timer running, since most waits
   * end and are followed by others.
   */
  trim(): void {
    for (const [lengthMs, { waits, timer }] of this.#groups) {
      if (waits.size > 0) continue;
      clearTimeout(timer);
      this.#groups.delete(lengthMs);
    }
  }

  #arm(lengthMs: number, delayMs: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => this.#expire(lengthMs), delayMs);
  }

  #expire(lengthMs: number): void {
    const group = this.#groups.get(lengthMs);
    if (group === undefined) return;
    const now = Date.now();
    for (const wait of group.waits) {
      if (wait.at > now) {
        group.timer = this.#arm(lengthMs, wait.at - now);
        return;
      }
      group.waits.delete(wait);
      try {
        wait.expired();
      } catch (error) {
        // One wait that throws must not take the others of its length along.
        console.error(`a deadline of ${lengthMs} ms: ${String(error)}`);
      }
    }
    this.#groups.delete(lengthMs);
  }
}
