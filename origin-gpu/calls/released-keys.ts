/**
 * The Idempotency-Keys that this box has lately released for another one. A request that was on its way when its key
 * was released must not begin a call here: the other box may run it. Pure: time is an argument.
 */

/**
 * An edge may know the former boxes alone for 5 s. A request may then ask other boxes for 15 s, and try to get over a
 * cut link for 30 s, before it begins here.
 */
const REMEMBERED_MS = 60_000;

/** About 15 MB at the most; at 1,000 new keys a second, a minute. Beyond it the oldest is forgotten. */
const MAX_KEYS = 65_536;

export class ReleasedKeys {
  readonly #maximum: number;
  /** By key, the time in milliseconds at which it was released; oldest first. */
  readonly #releasedAt = new Map<string, number>();

  constructor(maximum = MAX_KEYS) {
    this.#maximum = maximum;
  }

  /** Remembers a key that was released. */
  add(key: string, now: number): void {
    this.#releasedAt.delete(key);
    this.#releasedAt.set(key, now);
    for (const [oldest, releasedAt] of this.#releasedAt) {
      if (this.#releasedAt.size <= this.#maximum && now - releasedAt < REMEMBERED_MS) break;
      this.#releasedAt.delete(oldest);
    }
  }

  /** Whether a key was released a moment ago. */
  has(key: string, now: number): boolean {
    const releasedAt = this.#releasedAt.get(key);
    return releasedAt !== undefined && now - releasedAt < REMEMBERED_MS;
  }
}
