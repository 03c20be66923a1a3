/**
 * Decides when an endpoint whose container failed may start again. Pure: time is an argument, in milliseconds of
 * any clock. Requests cause the starts; this policy keeps a broken app from being started for each request.
 */

/** The endpoint's failures since it last served for long enough, and the time before which it may not start. */
export interface FailureHistory {
  readonly failures: number;
  /** No start before this time. */
  readonly notBeforeMs: number;
  /** The first container that became ready after the last failure did so at this time. */
  readonly readySinceMs?: number;
}

export const NO_FAILURES: FailureHistory = { failures: 0, notBeforeMs: 0 };

const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 60_000;

/** A container that served this long was well: earlier failures do not count any more. */
const WELL_AFTER_MS = 60_000;

/** So many failures without a container that was well between them are a crash loop. */
export const FAILURES_OF_A_CRASH_LOOP = 3;

export function afterReady(history: FailureHistory, nowMs: number): FailureHistory {
  return history.readySinceMs === undefined ? { ...history, readySinceMs: nowMs } : history;
}

/** The container did not become ready: a second, then twice as long each time, up to a minute. */
export function afterFailedStart(history: FailureHistory, nowMs: number): FailureHistory {
  const failures = recent(history, nowMs);
  return after(failures, FIRST_DELAY_MS * 2 ** failures, nowMs);
}

/** The container ended by itself after it had been ready: the first time it may start again at once. */
export function afterCrash(
  history: FailureHistory,
  readyForMs: number,
  nowMs: number,
): FailureHistory {
  const failures = readyForMs >= WELL_AFTER_MS ? 0 : recent(history, nowMs);
  return after(failures, failures === 0 ? 0 : FIRST_DELAY_MS * 2 ** (failures - 1), nowMs);
}

/** The failures that count: none since a container became ready, if that was long enough ago. */
function recent({ failures, readySinceMs = Infinity }: FailureHistory, nowMs: number): number {
  return nowMs - readySinceMs >= WELL_AFTER_MS ? 0 : failures;
}

function after(failures: number, delayMs: number, nowMs: number): FailureHistory {
  return { failures: failures + 1, notBeforeMs: nowMs + Math.min(MAX_DELAY_MS, delayMs) };
}
