/** Makes the failure that a client gets for a call that its pool refuses. Reasons are in the operator's log. */
import type { PoolEffect } from "../core/pool-effects.ts";
import type { Failure } from "../../routing/wire/messages.ts";

type PoolRefusal = Omit<Extract<PoolEffect<never>, { type: "refuse" }>, "call" | "type">;

const DETAILS = {
  starting_failed: () => "its process did not become ready; the box's log says why",
  startup_timeout: () => "it was not ready within its startup_timeout; the box's log says more",
  gave_up: () => "it failed too often and is not started any more; the box's log says why",
  session_lost: () => "the container that had it has ended",
  queue_full: (functionName: string) => `${functionName} has as many calls waiting as it may`,
} as const satisfies Record<PoolRefusal["code"], (functionName: string) => string>;

/**
 * The failure of a call that its pool refuses.
 * @param functionName that was called
 * @param claimFailure why no process could be begun; undefined where one failed
 */
export function failureOfRefusal(
  { code, retryAfterS }: PoolRefusal,
  functionName: string,
  claimFailure?: string,
): Failure {
  if (code === "gave_up") {
    return { code: "starting_failed", detail: DETAILS[code](), retryAfter: null };
  }
  if (code === "session_lost") return { code, detail: DETAILS[code]() };
  const own = code === "starting_failed" ? claimFailure : undefined;
  return { code, detail: own ?? DETAILS[code](functionName), retryAfter: retryAfterS };
}
