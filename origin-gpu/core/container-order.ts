/** Which of a pool's containers comes before another one, to end or to start. Pure. */
import type { TrackedContainer } from "./pool-containers.ts";

/** In the order in which they are to end: by their sessions, then those without calls, then the newest first. */
export function lastNeededFirst(
  containers: readonly TrackedContainer[],
  nowMs: number,
): TrackedContainer[] {
  const sessionsOf = ({ sessions }: TrackedContainer): number => Math.round(sessions.all(nowMs));
  const busy = ({ activeCalls }: TrackedContainer): number => Math.min(1, activeCalls);
  return containers
    .toReversed()
    .toSorted((one, other) => sessionsOf(one) - sessionsOf(other) || busy(one) - busy(other));
}

/** A container that sleeps, and one that has no process yet and can give its place to it. */
export function preferredSleeper(
  containers: readonly TrackedContainer[],
): { readonly sleeper: TrackedContainer; readonly claiming: TrackedContainer } | undefined {
  const sleeper = containers.find(({ state, isClaiming }) => state === "asleep" && !isClaiming);
  const claiming = sleeper && containers.findLast(({ state }) => state === "claiming");
  return claiming && { sleeper, claiming };
}
