/** How long a call whose container died waits before it is run again. Pure. */
import { SECOND_MS } from "../../base/units.ts";
import type { RetryPolicy } from "../config/app-config.ts";

/** @param reruns how often it was run again before */
export function delayBeforeRerunMs(
  { initialDelay, backoffCoefficient, maxDelay }: RetryPolicy,
  reruns: number,
): number {
  return Math.min(initialDelay * backoffCoefficient ** reruns, maxDelay) * SECOND_MS;
}
