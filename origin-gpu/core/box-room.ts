/** Whether a claim would find room on a box soon: before it is made, for those who choose between boxes. Pure. */
import type { Card } from "./cards.ts";
import { type Holder, isBusy, isIdle, needsNothing, type Waiter } from "./claim-entries.ts";
import { ClaimPlanner, type JudgeYield } from "./claim-planner.ts";
import type { ClaimNeeds } from "./claims.ts";

/** Containers that no call uses make room; a claim does not wait long for them. */
const idleYields: JudgeYield = (holder) => {
  const yields = holder.isAsleep || isIdle(holder) || (holder.isLeaving && !isBusy(holder));
  return yields && !holder.isStuck ? { dueMs: -Infinity, cost: "idle" } : undefined;
};

/** Whether a claim would wait for what containers in use have, or claims in front of it. @param line in their order */
export function isBlocked(
  needs: ClaimNeeds,
  cards: readonly Card[],
  holders: Iterable<Holder>,
  line: readonly Waiter[],
): boolean {
  if (needsNothing(needs)) return false;
  const planner = new ClaimPlanner(cards, holders, idleYields);
  for (const waiter of line) planner.reserve(waiter);
  const claim = { id: "", pool: "", endpoint: "", app: "" };
  const about = { isInAdvance: false, isAwaited: false, isCardOut: false, isRoomAwaited: false };
  const own = { rollout: undefined, ownCards: undefined };
  const asked = { claim, needs, turnMs: 0, ...about, ...own };
  return planner.room(asked) === undefined && planner.reserve(asked) === undefined;
}
