/**
 * `/api/v1/boxes/{box}/calls`: what runs on a box and what it keeps. The gateway knows no calls; the box
 * does, and is asked over its link like an app (docs/protocol.md, "Operations").
 */
import * as z from "zod";
import { verifyResultToken } from "../../../auth/result-token.ts";
import { isObjectName } from "../../../routing/names.ts";
import { CALL_ID } from "../../../routing/wire/messages.ts";
import type {
  AgentOperationName,
  AgentOperationParameters,
  AgentOperationValue,
  CallCursor,
  CallDescription,
} from "../../../routing/wire/operations.ts";
import { askAgent } from "../proxy/agent-client.ts";
import type { Env } from "../../contracts/env.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { type Operation, operation } from "./operation.ts";
import { ApiProblem } from "./problems.ts";
import { PAGE_QUERY, pageOf } from "./schemas.ts";

const TAG = "calls";

const CALL = {
  name: "Call",
  schema: z.object({
    call: z.string(),
    endpoint: z.string(),
    method: z.string().optional(),
    path: z.string().optional(),
    status: z.enum([
      "pending",
      "running",
      "success",
      "failure",
      "init_failure",
      "terminated",
      "timeout",
      "lost",
    ]),
    box: z.string(),
    container: z
      .string()
      .optional()
      .meta({ description: "Which works on it; not of an ended call" }),
    kept: z.boolean().meta({ description: "Its answer is or will be on the box's disk" }),
    elapsed_ms: z.number(),
    timeline: z.array(z.object({ state: z.string(), at_ms: z.number() })),
  }),
};

const CALLS = pageOf(CALL);

/** After a running call, or after one that has ended. */
const CURSOR = /^(r[0-9]{1,15}(\.[0-9]{1,17})?|e[0-9]{1,15}-[0-9a-f-]{36})$/;

export const CALL_OPERATIONS: readonly Operation[] = [
  operation({
    id: "listCalls",
    method: "get",
    path: "/boxes/{box}/calls",
    tag: TAG,
    summary: "List the calls that run on a box, then those that it keeps, the newest of each first",
    needs: "read",
    query: PAGE_QUERY.extend({
      cursor: z
        .string()
        .regex(CURSOR, "must be the next_cursor of an earlier page")
        .optional()
        .meta({ description: "`next_cursor` of the page before; the first page without it" }),
    }),
    answer: { status: 200, ...CALLS },
    async run({ env, caller, path: { box = "" }, query: { limit, cursor } }) {
      const { workspace } = caller;
      const after = cursor === undefined ? undefined : parseCursor(cursor);
      const { calls, next } = await ask(env, { workspace, box }, "listCalls", {
        workspace,
        limit,
        ...(after !== undefined && { after }),
      });
      return {
        items: calls.map((call) => toApiCall(call, box)),
        next_cursor: next === undefined ? null : formatCursor(next),
      };
    },
  }),
  operation({
    id: "inspectCall",
    method: "get",
    path: "/boxes/{box}/calls/{id}",
    tag: TAG,
    summary: "Show one call and its timeline",
    needs: "read",
    answer: { status: 200, ...CALL },
    async run({ env, caller, path: { box = "", id = "" } }) {
      const { workspace } = caller;
      const parameters = { workspace, callId: callIdOf(id) };
      return toApiCall(await ask(env, { workspace, box }, "inspectCall", parameters), box);
    },
  }),
  operation({
    id: "cancelCall",
    method: "delete",
    path: "/boxes/{box}/calls/{id}",
    tag: TAG,
    summary: "Cancel a call that waits or runs",
    description: "Idempotent: a call that has ended is left as it is.",
    needs: "deploy",
    async run({ env, caller, path: { box = "", id = "" } }) {
      const { workspace } = caller;
      await ask(env, { workspace, box }, "cancelCall", { workspace, callId: callIdOf(id) });
    },
  }),
];

/**
 * `DELETE /calls/{token}`: whoever holds a result URL may cancel its call, unless the endpoint is private;
 * then it takes an API token and the operation above.
 */
export async function cancelByToken(env: Env, token: string): Promise<void> {
  const { resultTokens } = await gatewayKeys(env);
  const verdict = await verifyResultToken(token, resultTokens, Date.now() / 1000);
  if (verdict.kind === "forged") throw new ApiProblem("no_such_call", "the token is not ours");
  if (verdict.kind === "expired") throw new ApiProblem("result_expired", "the token is too old");
  const { workspace, box, callId } = verdict.claims;
  await ask(env, { workspace, box }, "cancelCall", { callId });
}

/** Asks the agent of a box of the workspace. @throws {ApiProblem} with its reason where it refuses */
async function ask<Name extends AgentOperationName>(
  env: Env,
  { workspace, box }: { workspace: string; box: string },
  name: Name,
  parameters: AgentOperationParameters<Name>,
): Promise<AgentOperationValue<Name>> {
  const known = isObjectName(box) ? await workspaceStub(env, workspace).box(box) : undefined;
  if (known === undefined) throw new ApiProblem("not_found", "there is no box of this name");
  const place = { workspace, box: { box, links: known.links } };
  const answer = await askAgent(env, place, name, parameters);
  if (!answer.ok) throw new ApiProblem(answer.error.code, answer.error.detail);
  return answer.value;
}

/** @throws {ApiProblem} for what can be the id of no call */
function callIdOf(text: string): string {
  if (CALL_ID.safeParse(text).success) return text;
  throw new ApiProblem("no_such_call", "the box does not know this call");
}

function toApiCall(
  { callId, durable, elapsedMs, timeline, ...call }: CallDescription,
  box: string,
): z.output<typeof CALL.schema> {
  return {
    call: callId,
    ...call,
    kept: durable,
    box,
    elapsed_ms: elapsedMs,
    timeline: timeline.map(({ state, atMs }) => ({ state, at_ms: atMs })),
  };
}

/** A cursor as clients carry it. CURSOR is its form. */
function formatCursor(cursor: CallCursor): string {
  return cursor.kind === "running"
    ? `r${cursor.openedAt}`
    : `e${cursor.acceptedAtMs}-${cursor.callId}`;
}

/** @param text that CURSOR matches */
function parseCursor(text: string): CallCursor {
  if (text.startsWith("r")) return { kind: "running", openedAt: Number(text.slice(1)) };
  const dash = text.indexOf("-");
  return {
    kind: "ended",
    acceptedAtMs: Number(text.slice(1, dash)),
    callId: text.slice(dash + 1),
  };
}
