/**
 * The use of this box by tokens: calls that got a place, and their container-seconds. A call that runs is charged whenever
 * somebody collects, so that one of an hour is not free until its end. Knows no calls without a token. Pure.
 */
import type { UsageRow } from "../../routing/wire/usage.ts";
import type { SharedTime } from "./shared-time.ts";

/** Whose a call is. */
export interface CallOwner {
  readonly token: string;
  /** `<environment>/<app>/<function>`. */
  readonly endpoint: string;
}

interface Sum extends CallOwner {
  requests: number;
  /** Not collected yet. */
  containerMs: number;
  /** Calls that run. */
  running: number;
}

interface RunningCall {
  readonly sum: Sum;
  readonly time: SharedTime;
  /** Its share of the container's time when it was charged last. */
  chargedMs: number;
}

export class TokenUsage<Call extends object> {
  readonly #sums = new Map<string, Sum>();
  readonly #running = new Map<Call, RunningCall>();

  /** Whether there is something to collect, or will be. */
  get isEmpty(): boolean {
    return this.#sums.size === 0;
  }

  /**
   * A call got a place in a container.
   * @param time of the container, which the call has entered
   * @param isAgain it had one before, and is no other request
   */
  begin(call: Call, owner: CallOwner, time: SharedTime, isAgain: boolean, nowMs: number): void {
    const sum = this.#sumOf(owner);
    if (!isAgain) sum.requests += 1;
    sum.running += 1;
    this.#running.set(call, { sum, time, chargedMs: time.shareMs(nowMs) });
  }

  /** The call gives its place back, which it has not left. */
  end(call: Call, nowMs: number): void {
    const running = this.#running.get(call);
    if (running === undefined) return;
    charge(running, nowMs);
    running.sum.running -= 1;
    this.#running.delete(call);
  }

  /** Takes what has come since the last time, in whole milliseconds: at most so many rows. */
  collect(mostRows: number, nowMs: number): UsageRow[] {
    for (const running of this.#running.values()) charge(running, nowMs);
    const rows: UsageRow[] = [];
    for (const [key, sum] of this.#sums) {
      if (rows.length === mostRows) break;
      const { token, endpoint, requests } = sum;
      const containerMs = Math.floor(sum.containerMs);
      if (requests > 0 || containerMs > 0) rows.push({ token, endpoint, requests, containerMs });
      sum.requests = 0;
      sum.containerMs -= containerMs;
      // The part of a millisecond that is left is given up with the last call.
      if (sum.running === 0) this.#sums.delete(key);
    }
    return rows;
  }

  #sumOf(owner: CallOwner): Sum {
    const key = `${owner.token} ${owner.endpoint}`;
    const known = this.#sums.get(key);
    if (known !== undefined) return known;
    const { token, endpoint } = owner;
    const sum = { token, endpoint, requests: 0, containerMs: 0, running: 0 };
    this.#sums.set(key, sum);
    return sum;
  }
}

function charge(running: RunningCall, nowMs: number): void {
  const shareMs = running.time.shareMs(nowMs);
  running.sum.containerMs += shareMs - running.chargedMs;
  running.chargedMs = shareMs;
}
