/**
 * Tombstones in memory: the callIds of calls that this agent, or the last one, ran and has let go of. A gateway that lost
 * sight of a call attaches to it, and opens it again only when this agent certainly never saw it. Without a
 * tombstone, "never came" and "came and has ended" would look alike, and the call would run twice.
 *
 * Memory is bounded: each generation that is forgotten shortens the time for which the agent knows all calls. Pure:
 * time is an argument.
 */

import { z } from "zod";

/** A gateway tries for 30 s after it lost sight of a call, and may notice the loss 15 s after the agent. */
const REMEMBERED_MS = 120_000;

/** Of each generation. About 10 MB for both; at 1,000 calls a second, a minute and more. */
const MAX_TOMBSTONES = 65_536;

/** The callIds that were added one after the other. */
interface Generation {
  readonly callIds: Set<string>;
  /** When its first and its last call ended, in milliseconds. */
  readonly beganAt: number;
  endedAt: number;
}

export const LEFT_TOMBSTONES = z.object({
  /** Every call of the last so many milliseconds is known. */
  knownForMs: z.number().nonnegative(),
  callIds: z.array(z.string()),
});

/** All that an agent which has ended every call leaves to the next one. */
export type LeftTombstones = z.infer<typeof LEFT_TOMBSTONES>;

export class Tombstones {
  readonly #maximum: number;
  #newer: Generation | undefined;
  /**
   * Forgotten as a whole. In a Map that loses its oldest entry with each new one V8 keeps a place for what was deleted,
   * and finding the oldest passes all of these: that took a third of a short call's CPU.
   */
  #older: Generation | undefined;
  /** Every call that was opened after this time is known here, or never came. */
  #knownSince: number | undefined;

  /** @param maximum of each of the two generations */
  constructor(maximum = MAX_TOMBSTONES) {
    this.#maximum = maximum;
  }

  /** Takes over what the last agent left. Nothing came since. */
  inherit({ knownForMs, callIds }: LeftTombstones, now: number): void {
    this.#knownSince = now - knownForMs;
    this.#newer = { callIds: new Set(callIds), beganAt: now, endedAt: now };
  }

  /**
   * For the next agent, which `inherit`s it.
   * @returns undefined before the first welcome
   */
  leave(now: number): LeftTombstones | undefined {
    if (this.#knownSince === undefined) return undefined;
    const callIds = [...(this.#older?.callIds ?? []), ...(this.#newer?.callIds ?? [])];
    return { knownForMs: now - this.#knownSince, callIds };
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
    let generation = this.#newer;
    if (generation === undefined || this.#isOver(generation, now)) {
      generation = { callIds: new Set(), beganAt: now, endedAt: now };
      this.#forget(this.#older);
      this.#older = this.#newer;
      this.#newer = generation;
    }
    generation.callIds.add(callId);
    generation.endedAt = now;
  }

  #isOver({ callIds, beganAt }: Generation, now: number): boolean {
    return callIds.size >= this.#maximum || now - beganAt >= REMEMBERED_MS;
  }

  #forget(generation: Generation | undefined): void {
    if (generation === undefined) return;
    const { endedAt } = generation;
    this.#knownSince = Math.max(this.#knownSince ?? endedAt, endedAt);
  }

  /**
   * For how many milliseconds back this agent knows every call that came.
   * @returns undefined when this very call came
   */
  knownSinceMs(callId: string, now: number): number | undefined {
    if (this.#newer?.callIds.has(callId) || this.#older?.callIds.has(callId)) return undefined;
    return this.#knownSince === undefined ? 0 : Math.floor(now - this.#knownSince);
  }
}
