/**
 * Counts the calls of a token, and refuses one whose token has as many as it may have on this box. A call of an earlier
 * agent was counted there: it counts here, and is not refused.
 */
import type { Call } from "../calls/call.ts";
import type { TokenCalls } from "../core/token-calls.ts";

/** @returns whether the call may go on; one that may not has failed, and was not begun */
export function entersForToken(call: Call, tokenCalls: TokenCalls<Call> | undefined): boolean {
  if (tokenCalls === undefined || call.over) return true;
  const { token, most } = call.head.caller ?? {};
  if (token === undefined || most === undefined) return true;
  if (tokenCalls.enter(call, token, call.isPromised ? Infinity : most)) return true;
  const detail = `this token may have ${most} calls at a time on each box`;
  call.fail({ code: "rate_limited", detail, retryAfter: 1 });
  return false;
}
