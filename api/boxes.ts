/** `/boxes`. Boxes are the GPU machines of a workspace. Enrolling one gives it a key; code goes to it through here. */
import * as z from "zod";
import { apiOperation } from "./operation.ts";
import { OBJECT_NAME, PAGE_QUERY, TIME, pageOf } from "./schemas.ts";

const TAG = "boxes";

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

/** A box as the API shows it. */
export type ApiBox = z.output<typeof BOX.schema>;

export const LIST_BOXES = apiOperation({
  id: "listBoxes",
  method: "get",
  path: "/boxes",
  tag: TAG,
  summary: "List the workspace's boxes, newest first",
  needs: "read",
  query: PAGE_QUERY,
  response: { status: 200, name: "Boxes", schema: pageOf(BOX).schema },
});

const BOX_ENDPOINT = {
  name: "BoxEndpoint",
  schema: z.object({
    endpoint: z.string().meta({ description: "`<environment>/<app>/<function>`" }),
    ready: z.int().meta({ description: "Containers that take requests" }),
    starting: z.int().meta({ description: "Containers that start" }),
    failed: z.int().meta({ description: "Containers that did not start, or ended by themselves" }),
    asleep: z.int().meta({ description: "Containers that have given their GPUs back" }),
    draining: z
      .int()
      .meta({ description: "Containers that finish their calls, or are being ended" }),
    stuck: z.int().default(0).meta({ description: "Containers that have outlived SIGKILL" }),
    waiting: z.int().meta({ description: "Requests that wait for their turn or for a container" }),
    error: z
      .string()
      .meta({ description: "Why a container failed, or that one is stuck; or empty" }),
  }),
};

/** An endpoint on a box as the API shows it. */
export type ApiBoxEndpoint = z.output<typeof BOX_ENDPOINT.schema>;

export const LIST_BOX_ENDPOINTS = apiOperation({
  id: "listBoxEndpoints",
  method: "get",
  path: "/boxes/{box}/endpoints",
  tag: TAG,
  summary: "List the endpoints that a box serves, with what their containers and requests are at",
  description: "The box itself is asked. Functions that share containers are one endpoint.",
  needs: "read",
  query: PAGE_QUERY.extend({
    cursor: z
      .string()
      .regex(/^[\w./-]{1,512}$/, "must be the next_cursor of an earlier page")
      .optional()
      .meta({ description: "`next_cursor` of the page before; the first page without it" }),
  }),
  response: { status: 200, ...pageOf(BOX_ENDPOINT) },
});

export const ENROL_BOX = apiOperation({
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
  response: {
    status: 201,
    name: "EnrolledBox",
    schema: BOX.schema.extend({
      workspace: z.string(),
      serial: z.string().meta({ description: "Tells this enrolment from earlier and later ones" }),
      key: z
        .string()
        .meta({ description: "What the box signs its credentials with. Shown this once" }),
      audience: z.string().meta({ description: "Whom the box's credentials are for" }),
    }),
  },
});

export const GET_BOX = apiOperation({
  id: "getBox",
  method: "get",
  path: "/boxes/{box}",
  tag: TAG,
  summary: "Show a box",
  needs: "read",
  response: { status: 200, ...BOX },
});

export const REVOKE_BOX = apiOperation({
  id: "revokeBox",
  method: "delete",
  path: "/boxes/{box}",
  tag: TAG,
  summary: "Revoke a box: its links are cut and its key opens nothing any more",
  description: "Idempotent: revoking it again is answered alike.",
  needs: "deploy",
});

export const UPLOAD_CODE = apiOperation({
  id: "uploadCode",
  method: "put",
  path: "/boxes/{box}/code/{hash}",
  tag: TAG,
  summary: "Give a connected box the packed code of an app",
  description: "Idempotent: code that the box has already is left as it is.",
  needs: "deploy",
  takesBytes: true,
});
