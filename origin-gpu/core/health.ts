/**
 * Decides when a container is hung, by the answers at its health path. Pure: time is an argument, in milliseconds of any
 * clock.
 *
 * An app that computes may be unable to answer at all: a Python server that does so in its event loop. So silence alone
 * does not count against a container that works on calls, before a call of the same age would have hit its `timeout`.
 */

export type HealthAnswer =
  /** 2xx. */
  | "well"
  /** Another status, or no connection. */
  | "unwell"
  /** A connection, and no answer in time. */
  | "silent";

/** The questions since the last good answer. */
export interface HealthHistory {
  readonly failures: number;
  /** When the first of them was asked. */
  readonly sinceMs: number;
}

export const WELL: HealthHistory = { failures: 0, sinceMs: Infinity };

/** A single bad answer may be a moment's: an app that reloads, a machine that slept. */
export const FAILURES_OF_A_HUNG_CONTAINER = 3;

export interface HealthQuestion {
  readonly answer: HealthAnswer;
  readonly askedAtMs: number;
  readonly nowMs: number;
  /** How long a call may be silent, where the container works on one; 0 where it does not. */
  readonly patienceMs: number;
}

export function afterQuestion(
  history: HealthHistory,
  { answer, askedAtMs }: HealthQuestion,
): HealthHistory {
  if (answer === "well") return WELL;
  const { failures, sinceMs } = history;
  return { failures: failures + 1, sinceMs: Math.min(sinceMs, askedAtMs) };
}

/** @param history with the question in it */
export function isHung(
  { failures, sinceMs }: HealthHistory,
  { answer, nowMs, patienceMs }: HealthQuestion,
): boolean {
  if (failures < FAILURES_OF_A_HUNG_CONTAINER) return false;
  return answer === "unwell" || nowMs - sinceMs >= patienceMs;
}
