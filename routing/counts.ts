/** Things that are counted by their owners, and who may have one more of what all share. Pure. */
import { STREAMS_PER_FREE_ONE } from "./wire/limits.ts";

/** Takes what was counted out again; once is enough. */
export type Uncount = () => void;

/** Numbers by owner. An owner that has nothing takes no memory. */
export class Counts {
  readonly #counts = new Map<string, number>();
  #total = 0;

  /** Of all owners. */
  get total(): number {
    return this.#total;
  }

  of(owner: string): number {
    return this.#counts.get(owner) ?? 0;
  }

  /** Counts one more of this owner's. */
  add(owner: string): Uncount {
    this.#total += 1;
    this.#counts.set(owner, (this.#counts.get(owner) ?? 0) + 1);
    let isCounted = true;
    return () => {
      if (!isCounted) return;
      isCounted = false;
      this.#total -= 1;
      const left = (this.#counts.get(owner) ?? 1) - 1;
      if (left === 0) this.#counts.delete(owner);
      else this.#counts.set(owner, left);
    };
  }
}

/** An owner gets this part of all in any case: what others have too much of is not its fault. */
const CERTAIN_PART = 1 / 16;

/**
 * Whether an owner may have one more of what all share. It may while it has fewer than three times those that are free:
 * alone it gets three quarters, and the next owner always finds some.
 * @param total of all owners
 */
export function mayHaveOneMore(own: number, total: number, max: number): boolean {
  return own < Math.max(STREAMS_PER_FREE_ONE * (max - total), max * CERTAIN_PART);
}
