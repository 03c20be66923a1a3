/**
 * `/api/v1/boxes`: the GPU boxes of a workspace. Enrolling gives a box its key; the code of an app goes
 * to a box through here, over the link that the box dialled.
 */
import * as z from "zod";
import { MAX_CODE_BYTES } from "../../../routing/wire/deployments.ts";
import { isObjectName } from "../../../routing/names.ts";
import { askAgent } from "../proxy/agent-client.ts";
import { maxBodyBytes } from "../../contracts/env.ts";
import { MAX_BOXES, type BoxInfo } from "../../contracts/workspace.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { type Operation, operation, uploadOf } from "./operation.ts";
import { ApiProblem } from "./problems.ts";
import { OBJECT_NAME, PAGE_QUERY, pageOf, pageRequest, shownPage, shownTime } from "./schemas.ts";

const TAG = "boxes";

const TIME = z.iso.datetime();

const REGION = z
  .string()
  .regex(/^[a-z0-9-]{0,64}$/, "must be at most 64 lower-case letters, digits and dashes")
  .meta({ description: "Where it stands, as the operator names it; empty: not said" });

const BOX = {
  name: "Box",
  schema: z.object({
    name: OBJECT_NAME,
    region: REGION,
    ephemeral: z
      .boolean()
      .meta({ description: "Forgotten when it has not been connected for 60 s" }),
    connected: z.boolean(),
    connected_at: TIME.nullable().meta({ description: "Since when; null while it is not" }),
    last_seen_at: TIME.nullable(),
    agent: z.string().meta({ description: "The agent's version; empty before it first connected" }),
    created_at: TIME,
    created_by: z.string().meta({ description: "The API token that enrolled it" }),
  }),
};

export const BOX_OPERATIONS: readonly Operation[] = [
  operation({
    id: "listBoxes",
    method: "get",
    path: "/boxes",
    tag: TAG,
    summary: "List the workspace's boxes, newest first",
    needs: "read",
    query: PAGE_QUERY,
    answer: { status: 200, name: "Boxes", schema: pageOf(BOX).schema },
    async run({ env, caller, query }) {
      const stub = workspaceStub(env, caller.workspace);
      return shownPage(await stub.listBoxes(pageRequest(query)), shown);
    },
  }),
  operation({
    id: "enrolBox",
    method: "post",
    path: "/boxes",
    tag: TAG,
    summary: "Enrol a box: give it a key to connect with",
    description:
      "Not idempotent: the key is shown once and kept nowhere. A box that is enrolled already gets a " +
      "new key, and its old one opens nothing any more; that is refused while it is connected.",
    needs: "deploy",
    body: {
      name: "NewBox",
      schema: z.strictObject({
        name: OBJECT_NAME,
        region: REGION.default(""),
        ephemeral: z.boolean().default(false),
      }),
    },
    answer: {
      status: 201,
      name: "EnrolledBox",
      schema: BOX.schema.extend({
        workspace: z.string(),
        serial: z
          .string()
          .meta({ description: "Tells this enrolment from earlier and later ones" }),
        key: z
          .string()
          .meta({ description: "What the box signs its credentials with. Shown this once" }),
        audience: z.string().meta({ description: "Whom the box's credentials are for" }),
      }),
    },
    async run({ env, caller, body }) {
      const { workspace, token } = caller;
      const enrolled = await workspaceStub(env, workspace).enrolBox(body, token.id);
      if ("refused" in enrolled)
        throw new ApiProblem("conflict", refusals(body.name)[enrolled.refused]);
      const { box, serial, key } = enrolled;
      return { ...shown(box), workspace, serial, key, audience: env.POSTERN_BASE_DOMAIN };
    },
  }),
  operation({
    id: "getBox",
    method: "get",
    path: "/boxes/{box}",
    tag: TAG,
    summary: "Show a box",
    needs: "read",
    answer: { status: 200, ...BOX },
    async run({ env, caller, path: { box: name = "" } }) {
      const box = isObjectName(name)
        ? await workspaceStub(env, caller.workspace).box(name)
        : undefined;
      if (box === undefined) throw notEnrolled();
      return shown(box);
    },
  }),
  operation({
    id: "revokeBox",
    method: "delete",
    path: "/boxes/{box}",
    tag: TAG,
    summary: "Revoke a box: its links are cut and its key opens nothing any more",
    description: "Idempotent: revoking it again is answered alike.",
    needs: "deploy",
    async run({ env, caller, path: { box = "" } }) {
      await workspaceStub(env, caller.workspace).revokeBox(box);
    },
  }),
  operation({
    id: "uploadCode",
    method: "put",
    path: "/boxes/{box}/code/{hash}",
    tag: TAG,
    summary: "Give a connected box the packed code of an app",
    description: "Idempotent: code that the box has already is left as it is.",
    needs: "deploy",
    takesBytes: true,
    async run({ env, caller, path: { box: name = "", hash = "" }, request }) {
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
    },
  }),
];

/** SHA-256 in lower-case hex, as the packer spells it. */
function isCodeHash(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

function notEnrolled(): ApiProblem {
  return new ApiProblem("not_found", "the workspace has no box of this name");
}

function refusals(name: string) {
  return {
    too_many: `the workspace has its ${MAX_BOXES} boxes; revoke one first`,
    connected: `box ${name} is connected: stop its agent, or enrol under another name`,
  };
}

function shown(box: BoxInfo) {
  const { name, region, ephemeral, agent, createdBy } = box;
  return {
    name,
    region,
    ephemeral,
    connected: box.connectedAt !== null,
    connected_at: timeOrNull(box.connectedAt),
    last_seen_at: timeOrNull(box.lastSeenAt),
    agent,
    created_at: shownTime(box.createdAt),
    created_by: createdBy,
  };
}

function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : shownTime(ms);
}
