/**
 * Gives a box its share of a pool, by what it says of itself. Each share has a number, which the box says when it asks
 * again. A smaller share holds at the box only when it has heard of it: until then it may start containers by the earlier
 * one, and others may not have them. Pure.
 */
import {
  type BoxUse,
  fairShares,
  grantable,
  NO_SHARE,
  type PoolBounds,
  type Turn,
} from "./pool-shares.ts";

/** A box by its own account. */
export interface SaidUse extends Pick<BoxUse, "box" | "needs" | "has"> {
  /** Absent for an agent that does not say it. */
  readonly starting?: boolean;
  /** The share that it goes by, 0 for none; absent for an agent that does not say it. */
  readonly grant?: number;
}

export interface GrantedUse extends BoxUse {
  /** The number of its share. */
  readonly grant: number;
}

/**
 * The box with the share that it has from now on.
 * @param before undefined where its lease has ended
 * @param others boxes whose leases have not ended
 */
export function granted(
  said: SaidUse,
  before: GrantedUse | undefined,
  others: readonly BoxUse[],
  bounds: PoolBounds,
  turn: Turn,
): GrantedUse {
  const { nowMs } = turn;
  const mine = currentUse(said, before, nowMs);
  const uses = [mine, ...others];
  const share = grantable(0, fairShares(uses, bounds, turn), uses, bounds);
  const isSame = before?.granted.most === share.most;
  const had = Math.max(mine.granted.most, mine.unconfirmed);
  return {
    ...mine,
    granted: share,
    unconfirmed: had > share.most ? had : 0,
    grant: isSame ? before.grant : Math.max(nowMs, (before?.grant ?? 0) + 1),
    sinceMs: stateOf(mine) === stateOf({ ...mine, granted: share }) ? mine.sinceMs : nowMs,
  };
}

/** Whether others may have more as soon as the box says that it goes by this share. */
export function isToConfirm({ has, granted: { most }, unconfirmed }: BoxUse): boolean {
  return unconfirmed > Math.max(has, most);
}

function currentUse(
  { box, needs, has, starting: isStarting = false, grant }: SaidUse,
  before: GrantedUse | undefined,
  nowMs: number,
): BoxUse {
  const isConfirmed = grant === undefined || grant === before?.grant;
  const unconfirmed = isConfirmed ? 0 : (before?.unconfirmed ?? 0);
  const share = before?.granted ?? NO_SHARE;
  const said = { box, needs, has, isStarting, granted: share, unconfirmed };
  const use = { ...said, sinceMs: before?.sinceMs ?? nowMs };
  const hasStarted = before?.isStarting === true && !isStarting && has > 0;
  const isSame = before !== undefined && stateOf(before) === stateOf(use) && !hasStarted;
  return isSame ? use : { ...use, sinceMs: nowMs };
}

/** A box's turn begins when it gets a share, and anew when its container has started; its wait when it needs one. */
function stateOf({ needs, granted: { most } }: BoxUse): "has" | "waits" | "idle" {
  if (most > 0) return "has";
  return needs > 0 ? "waits" : "idle";
}
