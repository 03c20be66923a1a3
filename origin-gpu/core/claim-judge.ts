/** Whether, and from when on, a holder may be asked to yield to a claim: the rules that core/box.ts documents. */
import { type Holder, isBusy, isCandidate, isIdle, type Waiter } from "./claim-entries.ts";
import type { YieldVerdict } from "./claim-planner.ts";
import type { ArbitrationLimits } from "./claims.ts";

export interface JudgedSituation {
  readonly nowMs: number;
  readonly limits: ArbitrationLimits;
  /** By pool, the containers that it has to serve with. */
  readonly counts: ReadonlyMap<string, number>;
}

const NOW = -Infinity;

/** @returns undefined where the holder never yields to the claim */
export function judgeYield(
  holder: Holder,
  { claim, rollout, turnMs, isAwaited }: Waiter,
  { nowMs, limits, counts }: JudgedSituation,
): YieldVerdict | undefined {
  if (holder.isStuck) return undefined;
  if (holder.isLeaving) return { dueMs: NOW, cost: isBusy(holder) ? "ends_later" : "ends_soon" };
  if (turnMs === undefined) return undefined;
  const isOwnPool = holder.claim.pool === claim.pool;
  if (isOwnPool && (!isAwaited || rollout !== undefined)) return undefined;
  if (holder.isAsleep) return { dueMs: NOW, cost: "idle" };
  if (isCandidate(holder)) {
    // The pools of a new version prove their starts one after the other where they don't fit together.
    if (!isIdle(holder) || holder.usefulAtMs === undefined) return undefined;
    const isOwn = rollout !== undefined && holder.claim.app === claim.app;
    if (isOwn) return { dueMs: NOW, cost: "own_idle" };
    // Another box may take long to prepare the version, and calls wait here meanwhile.
    const dueMs = Math.max(turnMs, holder.usefulAtMs) + limits.mostPatienceMs;
    return { dueMs: passed(dueMs, nowMs), cost: "busy" };
  }
  if (rollout !== undefined && holder.claim.endpoint === claim.endpoint) {
    if (rollout === "overlap") return undefined;
    return { dueMs: NOW, cost: isIdle(holder) ? "own_idle" : "own_busy" };
  }
  if (holder.usefulAtMs === undefined) return { dueMs: Infinity, cost: "busy" };
  const settledMs = holder.usefulAtMs + limits.residencyMs;
  // The calls that wait at its own pool are none of its own.
  const isInUse = isOwnPool ? holder.inFlight > 0 : isBusy(holder);
  if (!isInUse) return { dueMs: passed(settledMs, nowMs), cost: "idle" };
  const [own = 0, others = 0] = [counts.get(claim.pool), counts.get(holder.claim.pool)];
  if (!isAwaited && own >= others) return { dueMs: Infinity, cost: "busy" };
  // Of one turn: the holder serves and the claim waits.
  const sinceMs = Math.max(turnMs, holder.usefulAtMs);
  const hasOlder = holder.oldestWaiterMs !== undefined && holder.oldestWaiterMs < sinceMs;
  const { patienceMs, mostPatienceMs } = limits;
  const loadMs = holder.usefulAtMs - holder.grantedAtMs;
  const waitsMs = hasOlder
    ? mostPatienceMs
    : Math.min(mostPatienceMs, Math.max(patienceMs, loadMs));
  return { dueMs: passed(Math.max(settledMs, sinceMs + waitsMs), nowMs), cost: "busy" };
}

/** Whether some claim sees older calls at a busy holder than before, or no older ones any more. */
export function changesVerdict(
  { oldestWaiterMs: now, usefulAtMs = 0 }: Holder,
  before: number | undefined,
  waiters: Iterable<Waiter>,
): boolean {
  const isOlder = (atMs: number | undefined, sinceMs: number) =>
    atMs !== undefined && atMs < sinceMs;
  for (const { turnMs = Infinity } of waiters) {
    const sinceMs = Math.max(turnMs, usefulAtMs);
    if (isOlder(before, sinceMs) !== isOlder(now, sinceMs)) return true;
  }
  return false;
}

/** How many containers each pool has to serve with. */
export function countsByPool(holders: Iterable<Holder>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { claim, isLeaving, isStuck, isAsleep } of holders) {
    if (isLeaving || isStuck || isAsleep) continue;
    counts.set(claim.pool, (counts.get(claim.pool) ?? 0) + 1);
  }
  return counts;
}

/** All times that have come are equal. */
function passed(atMs: number, nowMs: number): number {
  return atMs <= nowMs ? NOW : atMs;
}
