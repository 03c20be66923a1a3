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

/**
 * Numbers of what has begun and not ended, by owner, for as long as it is young. The end of some of it is never heard of:
 * it is forgotten after one to two periods.
 */
export class YoungCounts {
  readonly #periodMs: number;
  #beganAt = Number.NEGATIVE_INFINITY;
  #before = new Counts();
  #now = new Counts();

  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  /** The counts at this time, which never goes back. */
  at(nowMs: number): Pick<Counts, "of" | "total"> {
    this.#forget(nowMs);
    const [before, now] = [this.#before, this.#now];
    return { of: (owner) => before.of(owner) + now.of(owner), total: before.total + now.total };
  }

  add(owner: string, nowMs: number): Uncount {
    this.#forget(nowMs);
    return this.#now.add(owner);
  }

  #forget(nowMs: number): void {
    const age = nowMs - this.#beganAt;
    if (age < this.#periodMs) return;
    this.#before = age < 2 * this.#periodMs ? this.#now : new Counts();
    this.#now = new Counts();
    this.#beganAt = nowMs;
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
