/**
 * Gives each of many streams its turn once an interval, their turns spread evenly over the interval. The
 * clock is an argument: a caller that is late makes up for the turns that it missed.
 */
export class Pacer<Stream> {
  /** One for each millisecond of the interval. */
  readonly #slots: readonly Set<Stream>[];
  #placed = 0;
  #turnedUntilMs: number;

  constructor(intervalMs: number, nowMs: number) {
    this.#slots = Array.from({ length: intervalMs }, () => new Set<Stream>());
    this.#turnedUntilMs = Math.floor(nowMs);
  }

  /** Returns what takes the stream out again. */
  add(stream: Stream): () => void {
    // The golden ratio spreads any count of streams, also one that is no divisor of the interval.
    const share = (this.#placed++ * 0.618_033_988_75) % 1;
    const slot = this.#slots[Math.floor(share * this.#slots.length)] as Set<Stream>;
    slot.add(stream);
    return () => slot.delete(stream);
  }

  /** Calls `turn` for each stream whose turn came since the last call. */
  advance(nowMs: number, turn: (stream: Stream) => void): void {
    for (; this.#turnedUntilMs < Math.floor(nowMs); this.#turnedUntilMs++) {
      const slot = this.#slots[this.#turnedUntilMs % this.#slots.length] as Set<Stream>;
      for (const stream of slot) turn(stream);
    }
  }
}
