/**
 * `/api/v1/boxes`: the GPU boxes of a workspace. Enrolling gives a box its key; the code of an app goes
 * to a box through here, over the link that the box dialled.
 */
import { MAX_CODE_BYTES } from "../../../routing/wire/deployments.ts";
import { isObjectName } from "../../../routing/names.ts";
import { askAgent } from "../proxy/agent-client.ts";
import { maxBodyBytes } from "../../contracts/env.ts";
import { type BoxInfo } from "../../contracts/workspace/boxes.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { askBox } from "./ask-box.ts";
import { uploadOf } from "./upload.ts";
import { unlessRefused } from "./apps.ts";
import { ApiProblem } from "./problems.ts";
import { type ApiHandler, handle } from "./operation-router.ts";
import {
  LIST_BOXES,
  LIST_BOX_ENDPOINTS,
  ENROL_BOX,
  GET_BOX,
  REVOKE_BOX,
  UPLOAD_CODE,
  type ApiBox,
} from "../../../api/boxes.ts";
import { pageRequest, toPage, toTime } from "./documents.ts";

export const BOX_HANDLERS: readonly ApiHandler[] = [
  handle(LIST_BOXES, async ({ env, caller, query }) => {
    const stub = workspaceStub(env, caller.workspace);
    return toPage(await stub.listBoxes(pageRequest(query)), toApiBox);
  }),
  handle(LIST_BOX_ENDPOINTS, async ({ env, caller, path: { box }, query: { limit, cursor } }) => {
    const { workspace } = caller;
    const page = { workspace, limit, ...(cursor !== undefined && { after: cursor }) };
    const { endpoints, hasMore } = await askBox(env, { workspace, box }, "listEndpoints", page);
    const last = endpoints.at(-1)?.endpoint;
    return { items: endpoints, next_cursor: hasMore && last !== undefined ? last : null };
  }),
  handle(ENROL_BOX, async ({ env, caller, body }) => {
    const { workspace, token } = caller;
    const enrolled = unlessRefused(await workspaceStub(env, workspace).enrolBox(body, token.id));
    const { box, serial, key } = enrolled;
    return { ...toApiBox(box), workspace, serial, key, audience: env.POSTERN_BASE_DOMAIN };
  }),
  handle(GET_BOX, async ({ env, caller, path: { box: name } }) => {
    const box = isObjectName(name)
      ? await workspaceStub(env, caller.workspace).box(name)
      : undefined;
    if (box === undefined) throw notEnrolled();
    return toApiBox(box);
  }),
  handle(REVOKE_BOX, async ({ env, caller, path: { box } }) => {
    await workspaceStub(env, caller.workspace).revokeBox(box);
  }),
  handle(UPLOAD_CODE, async ({ env, caller, path: { box: name, hash }, request }) => {
    const content = uploadOf(request, Math.min(MAX_CODE_BYTES, maxBodyBytes(env)));
    if (!isCodeHash(hash)) {
      throw new ApiProblem("parameter_invalid", "hash: must be a SHA-256 in 64 hex digits");
    }
    const { workspace } = caller;
    const box = isObjectName(name) ? await workspaceStub(env, workspace).box(name) : undefined;
    if (box === undefined) throw notEnrolled();
    const place = { workspace, box: { box: name, links: box.links } };
    const answer = await askAgent(env, place, "putCode", { hash }, content);
    if (!answer.ok) throw new ApiProblem(answer.error.code, answer.error.detail);
    await workspaceStub(env, workspace).codeTaken(name, hash);
  }),
];

/** SHA-256 in lower-case hex, as the packer spells it. */
function isCodeHash(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

function notEnrolled(): ApiProblem {
  return new ApiProblem("not_found", "the workspace has no box of this name");
}

function toApiBox(box: BoxInfo): ApiBox {
  const { name, region, ephemeral, agent, createdBy } = box;
  return {
    name,
    region,
    ephemeral,
    connected: box.connectedAt !== null,
    connected_at: timeOrNull(box.connectedAt),
    last_seen_at: timeOrNull(box.lastSeenAt),
    agent,
    created_at: toTime(box.createdAt),
    created_by: createdBy,
  };
}

function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : toTime(ms);
}
