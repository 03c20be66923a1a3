/** A clock that the test advances, with the timers that wait for it. */
import type { Timer } from "../../base/runtime/timer.ts";

export class VirtualClock {
  #nowMs = 0;
  readonly #waiting = new Map<() => void, number>();
  readonly #settle: () => Promise<void>;

  /** @param settle resolves when everything has happened that is only a chain of promises */
  constructor(settle = settleAll) {
    this.#settle = settle;
  }

  readonly now = (): number => this.#nowMs;

  readonly timer: Timer = (callback, delayMs) => {
    // A function of its own: the same callback may wait twice.
    const fire = (): void => callback();
    this.#waiting.set(fire, this.#nowMs + delayMs);
    return () => this.#waiting.delete(fire);
  };

  /** Timers that wait. */
  get pending(): number {
    return this.#waiting.size;
  }

  /** Lets time pass: each timer goes off at its time, and promises settle behind it. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      const [next] = [...this.#waiting].toSorted(([, one], [, other]) => one - other);
      if (next === undefined || next[1] > untilMs) break;
      const [fire, atMs] = next;
      this.#waiting.delete(fire);
      this.#nowMs = atMs;
      fire();
      await this.#settle();
    }
    this.#nowMs = untilMs;
    await this.#settle();
  }
}

/** I/O that was due has happened too. */
async function settleAll(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** For many steps in one test. */
export async function settlePromises(): Promise<void> {
  await new Promise<void>((resolve) => {
    process.nextTick(resolve);
  });
}
