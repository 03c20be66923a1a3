/** Time that passes as fast as its events are worked on, in milliseconds: a binary heap of what is due. */

interface DueEvent {
  readonly atMs: number;
  /** Orders events of the same time. */
  readonly sequence: number;
  readonly act: () => void;
}

export class VirtualTime {
  nowMs = 0;
  readonly #heap: DueEvent[] = [];
  #lastSequence = 0;

  /** Calls `act` when `atMs` has come. */
  at(atMs: number, act: () => void): void {
    this.#lastSequence += 1;
    const event = { atMs: Math.max(atMs, this.nowMs), sequence: this.#lastSequence, act };
    this.#heap.push(event);
    let index = this.#heap.length - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#isBefore(index, parent)) break;
      this.#swap(index, parent);
      index = parent;
    }
  }

  /** Works on all events up to this time. */
  runUntil(endMs: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= endMs; next = this.#heap[0]) {
      this.#removeFirst();
      this.nowMs = next.atMs;
      next.act();
    }
    this.nowMs = endMs;
  }

  #removeFirst(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    for (let index = 0; ;) {
      let least = index;
      for (const child of [2 * index + 1, 2 * index + 2]) {
        if (child < this.#heap.length && this.#isBefore(child, least)) least = child;
      }
      if (least === index) return;
      this.#swap(index, least);
      index = least;
    }
  }

  #isBefore(one: number, other: number): boolean {
    const [first, second] = [this.#heap[one], this.#heap[other]];
    if (first === undefined || second === undefined) return false;
    if (first.atMs !== second.atMs) return first.atMs < second.atMs;
    return first.sequence < second.sequence;
  }

  #swap(one: number, other: number): void {
    const [first, second] = [this.#heap[one], this.#heap[other]];
    if (first === undefined || second === undefined) return;
    this.#heap[one] = second;
    this.#heap[other] = first;
  }
}
