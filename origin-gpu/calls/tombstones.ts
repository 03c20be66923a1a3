/**
 * The ids of calls that this agent ran and has let go of. A gateway that lost sight of a call asks for it
 * again, and opens it again only when this agent says that it never saw it: "never saw" and "saw, and is
 * done with it" must not look alike, or the call would run twice. Memory is bounded; what was forgotten
 * shortens the time for which this agent vouches. Pure: time is an argument.
 */

/** A gateway tries for 30 s after it lost sight of a call; it may notice the loss 15 s after the agent. */
const REMEMBERED_MS = 120_000;

/** About 10 MB at the most; at 1,000 calls a second, a minute. */
const MAX_REMEMBERED = 65_536;

export class Tombstones {
  readonly #maximum: number;
  /** Ids with the time in milliseconds at which each ended, oldest first. */
  readonly #ended = new Map<string, number>();
  /** Every call that was opened after this time is known here, or never came. */
  #since: number | undefined;

  constructor(maximum = MAX_REMEMBERED) {
    this.#maximum = maximum;
  }

  /**
   * The gateway has welcomed every link of this agent: from here on no call goes to an earlier agent, which
   * may have held on to one link when this one had another. Only the first time counts.
   */
  welcomed(now: number): void {
    this.#since ??= now;
  }

  /** A call is over and will not be known by anybody else. */
  add(id: string, now: number): void {
    this.#ended.set(id, now);
    for (const [oldest, at] of this.#ended) {
      const full = this.#ended.size > this.#maximum;
      if (!full && now - at < REMEMBERED_MS) break;
      this.#ended.delete(oldest);
      this.#since = Math.max(this.#since ?? at, at);
    }
  }

  /**
   * For how many milliseconds back this agent vouches that the call never came to it; undefined when it
   * did come.
   */
  vouchedMs(id: string, now: number): number | undefined {
    if (this.#ended.has(id)) return undefined;
    return this.#since === undefined ? 0 : Math.floor(now - this.#since);
  }
}
