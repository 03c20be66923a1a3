/** Timers that the test lets go off. */
import type { Later } from "../../../origin-gpu/apps/coalesced-task.ts";

export class ManualTimers {
  readonly #waiting = new Map<() => void, number>();

  readonly later: Later = (callback, delayMs) => {
    this.#waiting.set(callback, delayMs);
    return () => this.#waiting.delete(callback);
  };

  /** Milliseconds of those that wait. */
  get delays(): number[] {
    return [...this.#waiting.values()];
  }

  /** All that wait now. */
  fire(): void {
    const callbacks = [...this.#waiting.keys()];
    this.#waiting.clear();
    for (const callback of callbacks) callback();
  }
}
