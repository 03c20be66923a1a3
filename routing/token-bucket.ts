/**
 * A rate limit where one place sees all requests: a bucket of tokens that fills at the rate, up to the burst. A request
 * takes a token. In any time t no more than `burst + perSecond * t` are taken, and none is refused while one is there.
 */
import type { Rate } from "./wire/rate.ts";

/** The parts of a token that come one after the other do not always sum up to one in binary. */
const ROUNDING = 1e-9;

export class TokenBucket {
  readonly rate: Rate;
  #tokens: number;
  /** When the bucket had that many, in milliseconds. */
  #at: number;

  /** @param now milliseconds, of any clock that all calls share */
  constructor(rate: Rate, now: number) {
    this.rate = rate;
    this.#tokens = rate.burst;
    this.#at = now;
  }

  /** Takes a token. @returns 0, or the milliseconds until there is one where none was taken */
  take(now: number): number {
    const { perSecond, burst } = this.rate;
    // A clock that is set back fills nothing.
    const elapsed = Math.max(0, now - this.#at);
    this.#tokens = Math.min(burst, this.#tokens + (elapsed * perSecond) / 1000);
    this.#at = now;
    if (this.#tokens < 1 - ROUNDING) return ((1 - this.#tokens) * 1000) / perSecond;
    this.#tokens -= 1;
    return 0;
  }

  /** Returns a token whose request was refused for another reason. */
  putBack(): void {
    this.#tokens = Math.min(this.rate.burst, this.#tokens + 1);
  }
}
