/** Time that never goes back, by a clock that may be set back: then it stands still for a moment, and goes on. Pure. */
export class SteadyTime {
  #last = Number.NEGATIVE_INFINITY;
  /** By how much it is ahead of the clock. */
  #aheadMs = 0;

  /** @param now milliseconds by the clock */
  at(now: number): number {
    this.#aheadMs = Math.max(this.#aheadMs, this.#last - now);
    this.#last = now + this.#aheadMs;
    return this.#last;
  }
}
