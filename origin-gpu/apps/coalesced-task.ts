/**
 * Something that is done again whenever it may be due, one at a time: asked for meanwhile, it is done once
 * more; where it fails, it is tried again after a while. For states that are exchanged whole.
 */

const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

/** Calls back after so many milliseconds; the result takes it back. */
export type Later = (callback: () => void, delayMs: number) => () => void;

export const laterByTimer: Later = (callback, delayMs) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};

export class CoalescedTask {
  readonly #action: () => Promise<void>;
  readonly #onFailure: (error: unknown) => void;
  readonly #later: Later;
  #due = false;
  #closed = false;
  #running: Promise<void> | undefined;
  #failures = 0;
  #forget: (() => void) | undefined;

  constructor(action: () => Promise<void>, onFailure: (error: unknown) => void, later: Later) {
    this.#action = action;
    this.#onFailure = onFailure;
    this.#later = later;
  }

  /** It may be due. */
  ask(): void {
    this.#due = true;
    this.#forget?.();
    this.#forget = undefined;
    this.#running ??= this.#run();
  }

  /** Resolves when nothing is being done. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  close(): void {
    this.#closed = true;
    this.#forget?.();
  }

  async #run(): Promise<void> {
    try {
      while (this.#due && !this.#closed) {
        this.#due = false;
        await this.#action();
        this.#failures = 0;
      }
    } catch (error) {
      if (!this.#closed) this.#retryAfter(error);
    } finally {
      this.#running = undefined;
    }
  }

  #retryAfter(error: unknown): void {
    this.#onFailure(error);
    const delayMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#forget = this.#later(() => this.ask(), delayMs);
  }
}
