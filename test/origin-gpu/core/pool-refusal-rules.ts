/** Which refusals of a pool are legal. A call that waits is lost by each other one. */
import type { PoolEffect, PoolSettings } from "../../../origin-gpu/core/pool-effects.ts";
import type { Pool } from "../../../origin-gpu/core/pool.ts";
import type { PoolStarts } from "./pool-starts.ts";

export interface WaitingCall {
  readonly call: number;
  readonly arrivedAtMs: number;
  readonly accepted: boolean;
  readonly asynchronous: boolean;
  readonly batch: boolean;
  readonly caller: string | undefined;
}

export interface Refusal extends Pick<
  PoolEffect<number> & { readonly type: "refuse" },
  "code" | "retryAfterS"
> {
  readonly refused: WaitingCall;
  /** In which the call is refused: a start has failed, or this call has come. */
  readonly event: "failed" | "other" | number;
  /** The call that has come, where it is the event. */
  readonly came: WaitingCall | undefined;
  /** More calls of the refused one's kind wait than may. */
  readonly isOverfull: boolean;
  /** The calls that wait for any container. */
  readonly free: readonly WaitingCall[];
  readonly starts: PoolStarts;
  readonly settings: PoolSettings;
  readonly pool: Pool<number>;
  readonly nowMs: number;
}

export function demandLegal(refusal: Refusal): void {
  const { code, refused, pool, settings } = refusal;
  if (code === "gave_up") {
    const { mostFailures = Infinity } = settings;
    demand(pool.hasGivenUp && refusal.starts.failures >= mostFailures, "it has given up");
    return;
  }
  demand(!refused.accepted, "an accepted call is refused by a pool that has given up alone");
  if (code === "queue_full") demandFull(refusal);
  else demandInVain(refusal);
}

/** No container is there for the call, and the last start says that none will be. */
function demandInVain({
  code,
  retryAfterS,
  refused,
  event,
  starts,
  settings,
  pool,
  nowMs,
}: Refusal): void {
  demand(code === starts.lastCode, "the call is told of the last failure");
  demand(retryAfterS >= 1 && retryAfterS <= 60, "it is told when the next start may be");
  demand(pool.counts.ready === 0, "no call is refused for a failed start while one serves");
  if (event === "failed") {
    const isLate = nowMs - refused.arrivedAtMs >= settings.startupTimeoutMs;
    demand(starts.isHopeless || isLate, "a call waits for the next start");
  } else {
    demand(
      event === refused.call,
      "a failed start refuses those that wait, and its pause who comes",
    );
    demand(starts.isHopeless && nowMs < pool.notBeforeMs, "who comes may be served later");
  }
}

function demandFull({ refused, came, isOverfull, free, retryAfterS }: Refusal): void {
  demand(came !== undefined && isOverfull, "a queue is full when a call comes");
  demand(retryAfterS >= 1 && retryAfterS <= 600, "it is told when there may be room");
  const mayGiveWay = ({ accepted, asynchronous }: WaitingCall) => !accepted && !asynchronous;
  const countOf = ({ caller, batch }: WaitingCall) =>
    free.filter((one) => one.caller === caller && one.batch === batch).length;
  if (refused !== came) {
    demand(!came.asynchronous && mayGiveWay(refused), "who gives way may");
    demand(free.includes(refused), "only who waits for any container gives way");
    if (refused.batch === came.batch)
      demand(countOf(refused) > countOf(came), "who has more gives way");
    else demand(refused.batch, "batch calls give way");
  } else if (!came.asynchronous && !came.batch && free.includes(came)) {
    demand(!free.some((one) => one.batch && mayGiveWay(one)), "batch calls give way first");
  }
}

export function demand(isSo: boolean, what: string): asserts isSo {
  if (!isSo) throw new Error(`not so: ${what}`);
}
