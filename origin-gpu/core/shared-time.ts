/**
 * The busy time of a container, of which each call there has its share: of a second with three calls each has a third. So
 * the shares of all calls are the seconds in which there was one. Pure.
 */
export class SharedTime {
  /** The share of a call that has been there from the beginning, up to `#atMs`. */
  #shareMs = 0;
  #atMs = 0;
  #calls = 0;

  /** One call more is there. */
  enter(nowMs: number): void {
    this.#advance(nowMs);
    this.#calls += 1;
  }

  /** One call less. */
  leave(nowMs: number): void {
    this.#advance(nowMs);
    this.#calls -= 1;
  }

  /** The share of a call between two moments, while it is there, is the difference of what this says at them. */
  shareMs(nowMs: number): number {
    this.#advance(nowMs);
    return this.#shareMs;
  }

  #advance(nowMs: number): void {
    if (this.#calls > 0) this.#shareMs += Math.max(0, nowMs - this.#atMs) / this.#calls;
    this.#atMs = Math.max(this.#atMs, nowMs);
  }
}
