/**
 * Tombstones in memory: the callIds of calls that this agent ran and has let go of. A gateway that lost
 * sight of a call attaches to it, and opens it again only when this agent certainly never saw it. Without a
 * tombstone, "never came" and "came and has ended" would look alike, and the call would run twice.
 *
 * Memory is bounded: each forgotten tombstone shortens the time for which the agent knows all calls. Pure:
 * time is an argument.
 */

/** A gateway tries for 30 s after it lost sight of a call, and may notice the loss 15 s after the agent. */
const REMEMBERED_MS = 120_000;

/** About 10 MB at the most; at 1,000 calls a second, a minute. */
const MAX_TOMBSTONES = 65_536;

export class Tombstones {
  readonly #maximum: number;
  /** By callId, the time in milliseconds at which the call ended; oldest first. */
  readonly #endedAt = new Map<string, number>();
  /** Every call that was opened after this time is known here, or never came. */
  #knownSince: number | undefined;

  constructor(maximum = MAX_TOMBSTONES) {
    this.#maximum = maximum;
  }

  /**
   * The gateway has welcomed every link of this agent. Before that, an earlier agent process may still hold
   * a link and receive calls. Only the first event counts.
   */
  onWelcomed(now: number): void {
    this.#knownSince ??= now;
  }

  /** Remembers a call that has ended and is known nowhere else. */
  add(callId: string, now: number): void {
    this.#endedAt.set(callId, now);
    for (const [oldest, endedAt] of this.#endedAt) {
      const full = this.#endedAt.size > this.#maximum;
      if (!full && now - endedAt < REMEMBERED_MS) break;
      this.#endedAt.delete(oldest);
      this.#knownSince = Math.max(this.#knownSince ?? endedAt, endedAt);
    }
  }

  /**
   * For how many milliseconds back this agent knows every call that came.
   * @returns undefined when this very call came
   */
  knownSinceMs(callId: string, now: number): number | undefined {
    if (this.#endedAt.has(callId)) return undefined;
    return this.#knownSince === undefined ? 0 : Math.floor(now - this.#knownSince);
  }
}
