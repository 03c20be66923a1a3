/**
 * The fewest container-seconds with which no call of a trace waits, by somebody who knows all arrivals before: the bound
 * that the scaler is compared with. Containers start in time, and no call moves between them.
 */
import { SECOND_MS } from "../../../base/units.ts";
import type { TraceCall } from "./traces.ts";

interface Change {
  readonly atMs: number;
  readonly by: 1 | -1;
}

/**
 * @param startMs a container's start, which costs as much as work
 * @returns container-seconds
 */
export function bestContainerSeconds(
  calls: readonly TraceCall[],
  { maxInputs, startMs }: { readonly maxInputs: number; readonly startMs: number },
): number {
  const changes: Change[] = calls
    .flatMap(({ atMs, serviceMs }): Change[] => [
      { atMs, by: 1 },
      { atMs: atMs + serviceMs, by: -1 },
    ])
    .toSorted((one, other) => one.atMs - other.atMs);
  // The n-th container is needed while more than (n - 1) * maxInputs calls run.
  const neededSinceMs: (number | undefined)[] = [];
  const endedAtMs: (number | undefined)[] = [];
  let totalMs = 0;
  let running = 0;
  for (const { atMs, by } of changes) {
    const before = Math.ceil(running / maxInputs);
    running += by;
    const after = Math.ceil(running / maxInputs);
    if (after > before) {
      const idleMs = atMs - (endedAtMs[before] ?? -Infinity);
      // It stays over a pause that costs less than another start.
      totalMs += Math.min(idleMs, startMs);
      neededSinceMs[before] = atMs;
    } else if (after < before) {
      totalMs += atMs - (neededSinceMs[after] ?? atMs);
      endedAtMs[after] = atMs;
    }
  }
  return totalMs / SECOND_MS;
}
