/**
 * `/api/v1/boxes/{box}/calls`: what runs on a box and what it keeps. The gateway knows no calls; the box
 * does, and is asked over its link like an app (docs/protocol.md, "Questions to the agent").
 */
import * as z from "zod";
import { verifyResultToken } from "../../../auth/result-token.ts";
import { isObjectName } from "../../../routing/names.ts";
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

/** As agents spell it: after a running call, or after one that has ended. */
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
      const page = new URLSearchParams({ limit: `${limit}`, ...(cursor && { cursor }) });
      const place = { workspace, box };
      return await ask<z.output<typeof CALLS.schema>>(
        env,
        place,
        workspace,
        "GET",
        `?${page.toString()}`,
      );
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
      const place = { workspace, box };
      const target = `/${encodeURIComponent(id)}`;
      return await ask<z.output<typeof CALL.schema>>(env, place, workspace, "GET", target);
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
      await ask(env, { workspace, box }, workspace, "DELETE", `/${encodeURIComponent(id)}`);
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
  await ask(env, { workspace, box }, undefined, "DELETE", `/${encodeURIComponent(callId)}`);
}

/** Asks a box's agent. @param asking the caller's workspace; undefined: the holder of a result token */
async function ask<Answer>(
  env: Env,
  { workspace, box }: { workspace: string; box: string },
  asking: string | undefined,
  method: "GET" | "DELETE",
  belowCalls: string,
): Promise<Answer> {
  const known = isObjectName(box) ? await workspaceStub(env, workspace).box(box) : undefined;
  if (known === undefined) throw new ApiProblem("not_found", "there is no box of this name");
  const answer = await askAgent(
    env,
    workspace,
    { box, links: known.links },
    {
      method,
      target: `/calls${belowCalls}`,
      headers: asking === undefined ? [] : ["postern-workspace", asking],
    },
  );
  if (answer.kind === "failed") throw new ApiProblem(answer.failure.code, answer.failure.detail);
  if (answer.kind !== "response") throw new ApiProblem("unavailable", "the box did not answer");
  return await new Response(answer.body).json<Answer>();
}
