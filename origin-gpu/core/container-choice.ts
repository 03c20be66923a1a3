/** Chooses the container of a pool for one call more. Pure. */
import type { TrackedContainer } from "./pool-containers.ts";
import type { PoolSettings } from "./pool-effects.ts";
import type { Session } from "./session-table.ts";

/**
 * Up to `targetInputs` the fullest one gets a call, so that others fall idle and can end; above that the one with the
 * fewest calls. A container that says that it is busier than its calls counts so. The oldest one of several.
 */
export function placeForCall(
  containers: readonly TrackedContainer[],
  { targetInputs, maxInputs }: PoolSettings,
): TrackedContainer | undefined {
  let best: TrackedContainer | undefined;
  let bestLoad = 0;
  for (const container of containers) {
    const { state, calls } = container;
    if (state !== "ready" || calls >= maxInputs) continue;
    const load = loadOf(container, maxInputs);
    if (best !== undefined && !isBetter(load, bestLoad, targetInputs)) continue;
    best = container;
    bestLoad = load;
  }
  return best;
}

/**
 * A session begins at a container with about the fewest sessions, and of those at the one with the fewest calls. One
 * that is only advised begins where the fewest calls are.
 */
export function placeForSession(
  containers: readonly TrackedContainer[],
  { isAdvice, isAnonymous }: Session,
  { maxInputs }: PoolSettings,
  nowMs: number,
): TrackedContainer | undefined {
  const open = containers.filter(({ state, calls }) => state === "ready" && calls < maxInputs);
  const countOf = (container: TrackedContainer): number => {
    if (isAdvice) return loadOf(container, maxInputs);
    const { sessions } = container;
    // Nothing says that a client without a key comes back.
    return isAnonymous ? sessions.all(nowMs) : sessions.lasting;
  };
  const most = aboutAsManyAs(Math.min(...open.map(countOf)));
  const [best] = open
    .filter((container) => countOf(container) <= most)
    .toSorted(
      (one, other) =>
        loadOf(one, maxInputs) - loadOf(other, maxInputs) ||
        countOf(one) - countOf(other) ||
        one.sessions.advised - other.sessions.advised ||
        one.sessions.all(nowMs) - other.sessions.all(nowMs),
    );
  return best;
}

/** Calls more than they have that ready containers are busy with by their own account. */
export function reportedCalls(
  containers: readonly TrackedContainer[],
  { maxInputs }: PoolSettings,
): number {
  return containers
    .filter(({ state }) => state === "ready")
    .reduce((sum, container) => sum + loadOf(container, maxInputs) - container.calls, 0);
}

/** Its calls, or as many as it is busy with by its own account. */
function loadOf({ calls, reportedUse }: TrackedContainer, maxInputs: number): number {
  return Math.max(calls, Math.floor(reportedUse * maxInputs));
}

/** Counts that are nearly the same do not outweigh calls. Up to seven sessions each one counts. */
function aboutAsManyAs(count: number): number {
  return count * 1.1 + 0.25;
}

/** Whether a container with such a load comes before another one. */
function isBetter(load: number, othersLoad: number, targetInputs: number): boolean {
  if (load >= targetInputs) return load < othersLoad;
  return othersLoad >= targetInputs || load > othersLoad;
}
