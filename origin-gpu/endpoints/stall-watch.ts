/**
 * Cuts calls whose clients hold a container up while others wait for it. The rule: while calls wait, each running one
 * whose client has taken nothing of the response for `stall_timeout`, with the app held back by that, is ended; so is
 * one whose client has sent nothing of a body that the app waits for. A stored response is never held up by its client.
 * WebSockets are left alone: silence is no fault of theirs.
 */
import { systemTimer, type Timer } from "../../base/runtime/timer.ts";
import { SECOND_MS } from "../../base/units.ts";

/** Stalled calls that were left alone, since no more others waited, are looked at again after this time. */
const RECHECK_MS = 1_000;

/** A call, as far as it can stall. */
export interface StallingCall {
  readonly stalledSinceMs: number | undefined;
  cut(forS: number): void;
}

export interface StallWatchOptions {
  readonly stallTimeoutMs: number;
  /** Calls that wait for a place. */
  readonly countWaiting: () => number;
  /** Calls that have one. */
  readonly running: () => Iterable<{ readonly call: StallingCall }>;
  readonly timer?: Timer;
  readonly now?: () => number;
}

export class StallWatch {
  readonly #options: StallWatchOptions;
  readonly #timer: Timer;
  readonly #now: () => number;
  #cancel: (() => void) | undefined;

  constructor(options: StallWatchOptions) {
    this.#options = options;
    this.#timer = options.timer ?? systemTimer;
    this.#now = options.now ?? (() => performance.now());
  }

  /** A call has to wait. */
  onWaiting(): void {
    if (this.#cancel === undefined) this.#check();
  }

  /** Cuts no more. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** No more calls are cut than wait; those that are stalled longest go first. */
  #check(): void {
    this.#cancel = undefined;
    const { stallTimeoutMs, countWaiting, running } = this.#options;
    const nowMs = this.#now();
    const waiting = countWaiting();
    if (waiting === 0) return;
    const stalled = [...running()]
      .flatMap(({ call }) => {
        const { stalledSinceMs } = call;
        return stalledSinceMs === undefined ? [] : [{ call, stalledSinceMs }];
      })
      .toSorted((one, other) => one.stalledSinceMs - other.stalledSinceMs);
    const isDue = ({ stalledSinceMs }: { stalledSinceMs: number }): boolean =>
      nowMs - stalledSinceMs >= stallTimeoutMs;
    const cut = stalled.filter(isDue).slice(0, waiting);
    for (const { call } of cut) call.cut(stallTimeoutMs / SECOND_MS);
    // A call that stalls from now on is due after the limit.
    const next = stalled[cut.length]?.stalledSinceMs ?? nowMs;
    const inMs = Math.max(RECHECK_MS, next + stallTimeoutMs - nowMs);
    this.#cancel = this.#timer(() => this.#check(), inMs);
  }
}
