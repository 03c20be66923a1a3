/**
 * Learns how soon room becomes free that waiting calls have taken, for those that found none. It measures from the first
 * refusal on; a measurement that nobody has asked for a while begins anew. Pure.
 */
import { MINUTE_MS, SECOND_MS } from "../../base/units.ts";

const LEAST_RETRY_S = 1;
const MOST_RETRY_S = 600;

/** After this time the older half of a measurement counts half, and one that nobody used is over. */
const WINDOW_MS = MINUTE_MS;

export class RoomPace {
  /** When it began to measure; undefined where it does not. */
  #sinceMs: number | undefined;
  #freedBytes = 0;
  #askedAtMs = -Infinity;

  /** So much was given back. */
  onFreed(bytes: number): void {
    if (this.#sinceMs !== undefined) this.#freedBytes += bytes;
  }

  /** Whole seconds after which somebody who lacks so much may find it, by what became free so far. */
  retryAfterS(missingBytes: number, nowMs: number): number {
    if (this.#sinceMs === undefined || nowMs - this.#askedAtMs > WINDOW_MS) {
      this.#sinceMs = nowMs;
      this.#freedBytes = 0;
    }
    this.#askedAtMs = nowMs;
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs > WINDOW_MS) {
      this.#sinceMs += elapsedMs / 2;
      this.#freedBytes /= 2;
    }
    // Where nothing has become free yet, that may take as long again.
    const share = this.#freedBytes === 0 ? 1 : missingBytes / this.#freedBytes;
    const seconds = Math.ceil((share * elapsedMs) / SECOND_MS);
    return Math.min(MOST_RETRY_S, Math.max(LEAST_RETRY_S, seconds));
  }
}
