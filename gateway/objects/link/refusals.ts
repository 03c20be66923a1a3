/** The attempts of a link's object that get no stream. */
import type { Failure } from "../../../routing/wire/messages.ts";
import { attemptResponse } from "../../contracts/attempt.ts";
import { LEFT } from "../../contracts/watched-calls.ts";

const NO_LINK = JSON.stringify({
  code: "no_origin",
  detail: "the box is not connected",
  retryAfter: 1,
} satisfies Failure);

const UNKNOWN_CALL = JSON.stringify({
  code: "call_lost",
  detail: "the object was reset",
} satisfies Failure);

const BOX_REVOKED = JSON.stringify({
  code: "call_lost",
  detail: "the box that ran the call was revoked",
} satisfies Failure);

/** There is no link. */
export function noLink(cause: "no_link" | "link_away" | "link_unknown"): Response {
  return attemptResponse({ kind: "failed", cause, failure: NO_LINK });
}

/** There is no link, and its box will not bring the call back. */
export function revokedBox(): Response {
  return attemptResponse({ kind: "failed", cause: "reset", failure: BOX_REVOKED });
}

/** The object does not know the call any more; the agent may. */
export function unknownCall(): Response {
  return attemptResponse({ kind: "failed", cause: "link_lost", failure: UNKNOWN_CALL });
}

/** The client has left before the link was there. */
export function clientLeft(): Response {
  return attemptResponse({ kind: "failed", cause: "cancelled", failure: JSON.stringify(LEFT) });
}
