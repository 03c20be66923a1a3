/** The claims of a box: those that wait (`Waiter`) and those that have what they need (`Holder`). */
import type { Card } from "./cards.ts";
import type { Claim, ClaimNeeds, Rollout } from "./claims.ts";

export interface Waiter {
  readonly claim: Claim;
  readonly needs: ClaimNeeds;
  /** Its place in the line; undefined where no call waits for it. */
  turnMs: number | undefined;
  /** No call waits for it: a new version alone has a place in the line with it. */
  isInAdvance: boolean;
  /** Calls wait for this container alone. */
  isAwaited: boolean;
  /** Of a new version that is being prepared. */
  rollout: Rollout | undefined;
  /** Its pool knows that it waits for room beside the version that serves. */
  isRoomAwaited: boolean;
  /** Its pool knows that it waits for a card which is out. */
  isCardOut: boolean;
  /** A container that wakes has the cards that it slept on, and no other ones. */
  readonly ownCards: readonly Card[] | undefined;
}

export interface Holder {
  readonly claim: Claim;
  readonly needs: ClaimNeeds;
  readonly cards: readonly Card[];
  rollout: Rollout | undefined;
  readonly grantedAtMs: number;
  /** Since when it has been ready; undefined while it loads. */
  usefulAtMs: number | undefined;
  inFlight: number;
  oldestWaiterMs: number | undefined;
  /** When it became busy or idle. */
  usedAtMs: number;
  /** When it was asked last to make room for another one: its turn was over. */
  turnEndedMs: number | undefined;
  /** It was asked to yield, or ends by itself. */
  isLeaving: boolean;
  /** Its process can't be ended: no plan counts on it. */
  isStuck: boolean;
  /** Its process has given its cards back, and has its port. */
  isAsleep: boolean;
}

/** A holder that has just been granted its cards. */
export function newHolder(
  granted: Pick<Holder, "claim" | "needs" | "cards" | "rollout">,
  nowMs: number,
): Holder {
  return {
    ...granted,
    grantedAtMs: nowMs,
    usefulAtMs: undefined,
    inFlight: 0,
    oldestWaiterMs: undefined,
    usedAtMs: nowMs,
    turnEndedMs: undefined,
    isLeaving: false,
    isStuck: false,
    isAsleep: false,
  };
}

/** The holder that has slept longest, of those that are not to wake; undefined while one that slept ends. */
export function sleeperToEnd(
  holders: readonly Holder[],
  waiters: ReadonlyMap<string, Waiter>,
): Holder | undefined {
  const sleepers = holders.filter(({ isAsleep }) => isAsleep);
  if (sleepers.some(({ isLeaving, isStuck }) => isLeaving && !isStuck)) return undefined;
  const [oldest] = sleepers
    .filter(({ claim, isLeaving }) => !isLeaving && !waiters.has(claim.id))
    .toSorted((one, other) => one.grantedAtMs - other.grantedAtMs);
  return oldest;
}

/** Belongs to a new version that is being prepared. */
export function isCandidate({ rollout }: Pick<Holder, "rollout">): boolean {
  return rollout !== undefined;
}

/** Is ready, and has nothing to do. */
export function isIdle(holder: Holder): boolean {
  return holder.usefulAtMs !== undefined && !isBusy(holder);
}

/** Works on calls, or is about to. */
export function isBusy({ inFlight, oldestWaiterMs }: Holder): boolean {
  return inFlight > 0 || oldestWaiterMs !== undefined;
}

/** Whole cards are asked for. */
export function needsWholeCards({ gpus, gpuMemoryBytes }: ClaimNeeds): boolean {
  return gpuMemoryBytes === undefined && gpus !== undefined && gpus.length > 0;
}

/** A claim of nothing never reaches the box. */
export function needsNothing(needs: ClaimNeeds): boolean {
  return needs.port === undefined && needs.gpuMemoryBytes === undefined && !needsWholeCards(needs);
}
