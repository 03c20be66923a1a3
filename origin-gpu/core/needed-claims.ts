/** Which of a pool's claims calls need. The others are for containers that are to be there in advance. Pure. */
import type { TrackedContainer } from "./pool-containers.ts";
import type { Waiting } from "./waiting.ts";

/** Calls wait for it alone, and it is not ready. */
export function isComing({ state, number }: TrackedContainer, waiting: Waiting): boolean {
  return state !== "ready" && waiting.isAwaited(number);
}

/**
 * @param containers of one pool
 * @param needed how many of them calls need
 * @returns the numbers of those that claim and are needed
 */
export function neededClaims(
  containers: readonly TrackedContainer[],
  needed: number,
  waiting: Waiting,
): ReadonlySet<number> {
  const claims = new Set<number>();
  // Calls that wait for one container alone get nothing of another one.
  let missing = needed;
  for (const container of containers) {
    const { number, isClaiming, isPresent } = container;
    if (isComing(container, waiting)) {
      missing -= 1;
      if (isClaiming) claims.add(number);
    } else if (isPresent && !isClaiming) missing -= 1;
  }
  const others = containers.filter((one) => one.isClaiming && !claims.has(one.number));
  for (const { number } of others.slice(0, Math.max(0, missing))) claims.add(number);
  return claims;
}
