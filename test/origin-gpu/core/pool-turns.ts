/** Whose turn it is among the calls that wait for the same: checks each assignment of a pool. */
import { demand, type WaitingCall } from "./pool-refusal-rules.ts";

export class PoolTurns {
  /** Of each caller that waits for any container: how many calls of each other one were served since its last one. */
  readonly #served = new Map<string, Map<string, number>>();

  /** A caller's later calls keep their turns where one before them leaves: it may wait longer. */
  readonly #withGaps = new Set<string>();

  /** A call waits no more, or for its session's container, and was not served. */
  onLeft(call: WaitingCall): void {
    this.#withGaps.add(callerOf(call));
  }

  /** @param others that wait for the same container, or for any, and for which there is a place */
  demandTurn(
    call: WaitingCall & {
      readonly isBack: boolean;
      readonly waitedMs: number;
      readonly session: unknown;
    },
    others: readonly WaitingCall[],
    isFree: boolean,
  ): void {
    for (const other of others) {
      demand(call.batch <= other.batch, "batch calls wait for those that are not");
      const isSameCaller = other.caller === call.caller && other.batch === call.batch;
      // One that comes back has its old turn: one that waited elsewhere before may have come meanwhile.
      const isInOrder = call.isBack || isBefore(call, other);
      demand(!isSameCaller || isInOrder, "calls of a caller go in their order");
    }
    const own = callerOf(call);
    if (isFree) this.#served.delete(own);
    // One that comes back may be served again in one turn, and one with a session may wait for its container.
    if (!isFree || call.isBack || call.waitedMs > 0 || call.session !== undefined) return;
    const waiting = others.filter((other) => other.batch === call.batch).map(callerOf);
    for (const caller of new Set(waiting)) {
      if (caller === own || this.#withGaps.has(caller)) continue;
      const counts = this.#served.get(caller) ?? new Map<string, number>();
      this.#served.set(caller, counts);
      const count = (counts.get(own) ?? 0) + 1;
      counts.set(own, count);
      demand(count <= 1, "while a caller waits no other one is served twice");
    }
  }

  /** These wait, after an event. */
  onWaiting(calls: readonly WaitingCall[]): void {
    const callers = new Set(calls.map(callerOf));
    for (const known of [this.#served, this.#withGaps]) {
      for (const caller of known.keys()) if (!callers.has(caller)) known.delete(caller);
    }
  }
}

/** Batch calls are in turns of their own. */
function callerOf({ batch, caller }: WaitingCall): string {
  return JSON.stringify([batch, caller]);
}

function isBefore(one: WaitingCall, other: WaitingCall): boolean {
  if (one.arrivedAtMs !== other.arrivedAtMs) return one.arrivedAtMs < other.arrivedAtMs;
  return one.call < other.call;
}
