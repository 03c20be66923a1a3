/**
 * `/api/v1/boxes/{box}/calls`: what runs on a box and what it stores. The gateway knows no calls; it asks the
 * box over its link (docs/protocol.md, "Operations").
 */
import { validKeys } from "../../../auth/keys.ts";
import { type ApiCall, CANCEL_CALL, INSPECT_CALL, LIST_CALLS } from "../../../api/calls.ts";
import { verifyAppToken } from "../../../auth/app-token.ts";
import { appToken } from "../../../auth/credential.ts";
import { verifyResultToken } from "../../../auth/result-token.ts";
import { CALL_ID } from "../../../routing/wire/messages.ts";
import type { CallCursor, CallDescription } from "../../../routing/wire/call-descriptions.ts";
import type { Env } from "../../contracts/env.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import { toTime } from "./documents.ts";
import { askBox } from "./ask-box.ts";
import { type ApiHandler, handle } from "./operation-router.ts";
import { ApiProblem } from "./problems.ts";

export const CALL_HANDLERS: readonly ApiHandler[] = [
  handle(LIST_CALLS, async ({ env, caller, path: { box }, query: { limit, cursor } }) => {
    const { workspace } = caller;
    const after = cursor === undefined ? undefined : parseCursor(cursor);
    const { calls, next } = await askBox(env, { workspace, box }, "listCalls", {
      workspace,
      limit,
      ...(after !== undefined && { after }),
    });
    return {
      items: calls.map((call) => toApiCall(call, box)),
      next_cursor: next === undefined ? null : formatCursor(next),
    };
  }),
  handle(INSPECT_CALL, async ({ env, caller, path: { box, id } }) => {
    const { workspace } = caller;
    const parameters = { workspace, callId: callIdOf(id) };
    return toApiCall(await askBox(env, { workspace, box }, "inspectCall", parameters), box);
  }),
  handle(CANCEL_CALL, async ({ env, caller, path: { box, id } }) => {
    const { workspace } = caller;
    await askBox(env, { workspace, box }, "cancelCall", { workspace, callId: callIdOf(id) });
  }),
];

/**
 * `DELETE /calls/{token}`: the holder of a result URL may cancel its call, unless the endpoint is private. Then an API
 * token cancels it by another path, and here the app's own token, or a call token.
 */
export async function cancelByToken(env: Env, token: string, headers: Headers): Promise<void> {
  const keys = await gatewayKeys(env);
  const nowS = Date.now() / 1000;
  const verdict = await verifyResultToken(
    token,
    validKeys(keys).map(({ resultTokens }) => resultTokens),
    nowS,
  );
  if (verdict.kind === "forged") throw new ApiProblem("no_such_call", "the token is not ours");
  if (verdict.kind === "expired") throw new ApiProblem("result_expired", "the token is too old");
  const { workspace, box, callId, appId: id } = verdict.claims;
  const own = appToken(headers);
  const isApp =
    own !== undefined && (await verifyAppToken(keys, own, { workspace, id }, nowS)) === "allowed";
  const parameters = isApp ? { workspace, callId } : { callId };
  await askBox(env, { workspace, box }, "cancelCall", parameters);
}

/** @throws {ApiProblem} for what can be the id of no call */
function callIdOf(text: string): string {
  if (CALL_ID.safeParse(text).success) return text;
  throw new ApiProblem("no_such_call", "the box does not know this call");
}

function toApiCall(
  { callId, durable, openedAtMs, elapsedMs, timeline, ...call }: CallDescription,
  box: string,
): ApiCall {
  return {
    call: callId,
    ...call,
    kept: durable,
    box,
    ...(openedAtMs !== undefined && { created_at: toTime(openedAtMs) }),
    elapsed_ms: elapsedMs,
    timeline: timeline.map(({ state, atMs }) => ({ state, at_ms: atMs })),
  };
}

/** A cursor as clients carry it. CALL_CURSOR is its form. */
function formatCursor(cursor: CallCursor): string {
  return cursor.kind === "running"
    ? `r${cursor.openedAt}`
    : `e${cursor.acceptedAtMs}-${cursor.callId}`;
}

/** @param text that CALL_CURSOR matches */
function parseCursor(text: string): CallCursor {
  if (text.startsWith("r")) return { kind: "running", openedAt: Number(text.slice(1)) };
  const dash = text.indexOf("-");
  return {
    kind: "ended",
    acceptedAtMs: Number(text.slice(1, dash)),
    callId: text.slice(dash + 1),
  };
}
