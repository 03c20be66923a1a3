/**
 * Cuts calls whose clients hold a container up while others wait for it. The rule: while calls wait, each running one
 * whose client has taken nothing of the response for `stall_timeout`, with the app held back by that, is ended; so is
 * one whose client has sent nothing of a body that the app waits for. The same holds at a container that is to make room
 * for another endpoint's or its successor's, since only its calls keep its GPU. A stored response is never held up by
 * its client. WebSockets are left alone: silence is no fault of theirs.
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

interface RunningCall {
  readonly call: StallingCall;
  readonly container?: { readonly id: string } | undefined;
}

export interface StallWatchOptions {
  readonly stallTimeoutMs: number;
  /** Calls that wait for a place. */
  readonly countWaiting: () => number;
  /** Calls that have one. */
  readonly running: () => Iterable<RunningCall>;
  readonly timer?: Timer;
  readonly now?: () => number;
}

export class StallWatch {
  readonly #options: StallWatchOptions;
  readonly #timer: Timer;
  readonly #now: () => number;
  #cancel: (() => void) | undefined;
  /** Containers that are to make room. */
  readonly #draining = new Set<string>();

  constructor(options: StallWatchOptions) {
    this.#options = options;
    this.#timer = options.timer ?? systemTimer;
    this.#now = options.now ?? (() => performance.now());
  }

  /** A call has to wait. */
  onWaiting(): void {
    if (this.#cancel === undefined) this.#check();
  }

  /** The container takes no more calls, and what it has of the box is wanted when those that it has are over. */
  onDrains(containerId: string): void {
    this.#draining.add(containerId);
    this.onWaiting();
  }

  /** It has no more calls. */
  onDrained(containerId: string): void {
    this.#draining.delete(containerId);
  }

  /** Cuts no more. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** No more calls are cut than wait, besides those that hold up a container; those that are stalled longest go first. */
  #check(): void {
    this.#cancel = undefined;
    const { stallTimeoutMs, countWaiting, running } = this.#options;
    const nowMs = this.#now();
    const waiting = countWaiting();
    const held = [...running()]
      .map(({ call, container }) => ({ call, isInTheWay: this.#draining.has(container?.id ?? "") }))
      .filter(({ isInTheWay }) => isInTheWay || waiting > 0);
    if (waiting === 0 && held.length === 0) return;
    const stalled = held
      .flatMap(({ call, isInTheWay }) => {
        const { stalledSinceMs } = call;
        return stalledSinceMs === undefined ? [] : [{ call, isInTheWay, stalledSinceMs }];
      })
      .toSorted((one, other) => one.stalledSinceMs - other.stalledSinceMs);
    const cut = stalled.filter(
      ({ isInTheWay, stalledSinceMs }, index) =>
        nowMs - stalledSinceMs >= stallTimeoutMs && (isInTheWay || index < waiting),
    );
    for (const { call } of cut) call.cut(stallTimeoutMs / SECOND_MS);
    // A call that stalls from now on is due after the limit.
    const next = stalled.find((one) => !cut.includes(one))?.stalledSinceMs ?? nowMs;
    const inMs = Math.max(RECHECK_MS, next + stallTimeoutMs - nowMs);
    this.#cancel = this.#timer(() => this.#check(), inMs);
  }
}
