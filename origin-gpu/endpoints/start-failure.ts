/** Makes the failure that a client gets for a container that did not start. The reason is in the operator's log. */
import type { Failure } from "../../routing/wire/messages.ts";
import { StartFailure } from "../containers/container.ts";

const DETAILS = {
  starting_failed: "its process did not become ready; the box's log says why",
  startup_timeout: "it was not ready within its startup_timeout; the box's log says more",
} as const satisfies Record<StartFailure["code"], string>;

/** The failure of a call that found no container. */
export function failureOfStart(error: unknown): Failure {
  if (error instanceof StartFailure) {
    return { code: error.code, detail: DETAILS[error.code], retryAfter: 5 };
  }
  const detail = error instanceof Error ? error.message : String(error);
  return { code: "origin_error", detail };
}
