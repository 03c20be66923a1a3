/**
 * The Idempotency-Keys that this box has lately released for another one. A request that was on its way when its key
 * was released must not begin a call here: the other box may run it. Pure: time is an argument.
 */

/** An edge knows the former boxes for 5 s, and a request waits up to 5 s for a link. */
const REMEMBERED_MS = 10_000;

/** About 15 MB at the most; at 6,000 new keys a second, ten seconds. Beyond it the oldest is forgotten. */
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
