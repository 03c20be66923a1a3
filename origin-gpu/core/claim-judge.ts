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
  { claim, rollout, turnMs }: Waiter,
  { nowMs, limits, counts }: JudgedSituation,
): YieldVerdict | undefined {
  if (holder.isStuck) return undefined;
  if (holder.isLeaving) return { dueMs: NOW, cost: isBusy(holder) ? "ends_later" : "ends_soon" };
  if (holder.claim.pool === claim.pool || turnMs === undefined) return undefined;
  if (holder.isAsleep) return { dueMs: NOW, cost: "idle" };
  if (isCandidate(holder)) {
    // The pools of a new version prove their starts one after the other where they don't fit together.
    const isOwn = rollout !== undefined && holder.claim.app === claim.app;
    return isOwn && isIdle(holder) ? { dueMs: NOW, cost: "own_idle" } : undefined;
  }
  if (rollout !== undefined && holder.claim.endpoint === claim.endpoint) {
    if (rollout === "overlap") return undefined;
    return { dueMs: NOW, cost: isIdle(holder) ? "own_idle" : "own_busy" };
  }
  if (holder.usefulAtMs === undefined) return { dueMs: Infinity, cost: "busy" };
  const settledMs = holder.usefulAtMs + limits.residencyMs;
  if (!isBusy(holder)) return { dueMs: passed(settledMs, nowMs), cost: "idle" };
  const [own = 0, others = 0] = [counts.get(claim.pool), counts.get(holder.claim.pool)];
  if (own >= others) return { dueMs: Infinity, cost: "busy" };
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

/** All times that have come are equal. */
function passed(atMs: number, nowMs: number): number {
  return atMs <= nowMs ? NOW : atMs;
}
