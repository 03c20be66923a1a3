/**
 * Deadlines of many waits at the price of one timer. Waits of one length expire in the order in which they
 * began, so a set in that order and a timer for its first are enough. A timer for each request would cost more
 * than the rest of its way through the object.
 */

/** Beyond so many lengths one is rounded up: what clients have left of their patience is of any length. */
const EXACT_LENGTHS = 32;

/** By this part of a length at most, so that there are 32 lengths between one and its double. */
const ROUNDED_BY = 1 / 32;

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
  /** By length in milliseconds. */
  readonly #groups = new Map<number, Group>();

  /**
   * Calls `expired` after `askedMs`, unless the returned function is called before. Where there are many lengths it is
   * called later, by a 32nd at most.
   */
  start(askedMs: number, expired: () => void): () => void {
    const isExact = this.#groups.size < EXACT_LENGTHS || this.#groups.has(askedMs);
    const lengthMs = isExact ? askedMs : roundedUp(askedMs);
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

function roundedUp(lengthMs: number): number {
  const grainMs = Math.max(1, 2 ** Math.floor(Math.log2(lengthMs * ROUNDED_BY)));
  return Math.ceil(lengthMs / grainMs) * grainMs;
}
