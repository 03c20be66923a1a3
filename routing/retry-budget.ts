/**
 * How many calls of an endpoint may be sent again, so that retries never multiply an outage: one for each five requests,
 * and some in any case. Time is an argument.
 */
import { SECOND_MS } from "../base/units.ts";

/** Retries that each request allows. */
const RETRIES_PER_REQUEST = 0.2;

/** Retries that are allowed each second, however few requests come. */
const RETRIES_PER_SECOND = 10;

/** As many as a link may have lost at once. */
const MOST_RETRIES = 200;

export class RetryBudget {
  #left = MOST_RETRIES;
  #countedAtMs = 0;

  /** A request has come, which is no retry. */
  onRequest(): void {
    this.#add(RETRIES_PER_REQUEST);
  }

  /** Takes a retry out of the budget. @returns false where there is none left */
  take(nowMs: number): boolean {
    this.#add((Math.max(0, nowMs - this.#countedAtMs) / SECOND_MS) * RETRIES_PER_SECOND);
    this.#countedAtMs = nowMs;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  #add(retries: number): void {
    this.#left = Math.min(MOST_RETRIES, this.#left + retries);
  }
}
