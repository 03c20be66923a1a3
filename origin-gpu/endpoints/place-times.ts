/** The time of a pool's containers, shared by the calls there, for those who charge calls that came with a token. */
import { SharedTime } from "../core/shared-time.ts";
import type { QueuedCall } from "./queued-call.ts";

/** Hears of the calls that came with a token. */
export interface CallUsage {
  /** The call got a place. @param time of its container, which it has entered */
  begin(queued: QueuedCall, time: SharedTime, nowMs: number): void;
  /** The call gives it back; without a place nothing happens. */
  end(queued: QueuedCall, nowMs: number): void;
}

export class PlaceTimes {
  readonly #usage: CallUsage | undefined;
  /** By the container's number. */
  readonly #times = new Map<number, SharedTime>();

  constructor(usage: CallUsage | undefined) {
    this.#usage = usage;
  }

  /** A call got a place in a container. */
  given(queued: QueuedCall, container: number, nowMs: number): void {
    let time = this.#times.get(container);
    if (time === undefined) this.#times.set(container, (time = new SharedTime()));
    time.enter(nowMs);
    queued.time = time;
    if (queued.call.head.caller !== undefined) this.#usage?.begin(queued, time, nowMs);
  }

  /** A call is over, or waits again: it gives back the place that it has, if any. */
  givenBack(queued: QueuedCall, nowMs: number): void {
    const { time } = queued;
    if (time === undefined) return;
    this.#usage?.end(queued, nowMs);
    time.leave(nowMs);
    queued.time = undefined;
  }

  /** The container is gone. Its calls may end later. */
  forget(container: number): void {
    this.#times.delete(container);
  }
}
