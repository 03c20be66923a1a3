/**
 * `/apps/{app}/versions`. A deploy stages a version, sends its code to a box (boxes.ts), starts the version, and
 * watches it until it serves or has failed.
 */
import * as z from "zod";
import { apiOperation } from "./operation.ts";
import { OBJECT_NAME, PAGE_QUERY, pageOf } from "./schemas.ts";
import { VERSION_STATUSES } from "./version-status.ts";
import { LINE, VERSION_CONTENT } from "./version-content.ts";
import { ENDPOINT, ENVIRONMENT_QUERY, VERSION_BOX } from "./apps.ts";
import { SCALING_CHANGE, SCALINGS, WHOLE_SCALING } from "./scaling.ts";

const TAG = "versions";

const VERSION = {
  name: "Version",
  schema: z.object({
    version: z.int(),
    status: z.enum(VERSION_STATUSES).meta({
      description:
        "`staged`, `candidate` and `serving` follow on each other; `superseded` by a newer one before " +
        "it served, `replaced` after it did",
    }),
    detail: z.string().meta({
      description:
        "Why it failed, or why no box runs it although it serves, in one line; empty otherwise",
    }),
    lines: z.array(z.string()).meta({ description: "What the failed container printed last" }),
    created_at: z.iso.datetime(),
    created_by: z.string().meta({ description: "The API token that made it" }),
    created_by_name: z.string().meta({ description: "The token's name" }),
    tag: z.string(),
    commit: z.string().meta({ description: "Of git; `*` behind it: with uncommitted changes" }),
    rollback_of: z.int().nullable().meta({ description: "The version whose content it has" }),
    endpoints: z.array(ENDPOINT),
    scalings: SCALINGS,
    boxes: z.array(VERSION_BOX),
  }),
};

/** A version as the API shows it. */
export type ApiVersion = z.output<typeof VERSION.schema>;

export const LIST_VERSIONS = apiOperation({
  id: "listVersions",
  method: "get",
  path: "/apps/{app}/versions",
  tag: TAG,
  summary: "Show a deployed app's history, newest version first",
  needs: "read",
  query: PAGE_QUERY.extend(ENVIRONMENT_QUERY.shape),
  response: { status: 200, ...pageOf(VERSION) },
});

export const STAGE_VERSION = apiOperation({
  id: "stageVersion",
  method: "post",
  path: "/apps/{app}/versions",
  tag: TAG,
  summary: "Make a new version of an app, or the first one of a new app",
  description:
    "Not idempotent: each call makes a version. Its boxes are chosen and its names reserved; nothing " +
    "else changes before it is started. One that is not started within 10 minutes is forgotten.",
  needs: "deploy",
  query: ENVIRONMENT_QUERY,
  body: {
    name: "NewVersion",
    schema: z.strictObject({
      content: VERSION_CONTENT,
      deploying_box: OBJECT_NAME.optional().meta({
        description: "Where it runs if the configuration says nothing, if it is a box",
      }),
      tag: LINE.default(""),
      commit: LINE.default(""),
    }),
  },
  response: { status: 201, ...VERSION },
});

export const GET_VERSION = apiOperation({
  id: "getVersion",
  method: "get",
  path: "/apps/{app}/versions/{version}",
  tag: TAG,
  summary: "Show a version, and how far its boxes are with it",
  needs: "read",
  query: ENVIRONMENT_QUERY,
  response: { status: 200, ...VERSION },
});

export const START_VERSION = apiOperation({
  id: "startVersion",
  method: "post",
  path: "/apps/{app}/versions/{version}/start",
  tag: TAG,
  summary: "Let a staged version take over when its boxes are ready",
  description:
    "Idempotent: starting it again is answered alike. An older version that was on its way is " +
    "superseded; the one that serves goes on until this one is ready.",
  needs: "deploy",
  query: ENVIRONMENT_QUERY,
  response: { status: 200, ...VERSION },
});

export const ABANDON_VERSION = apiOperation({
  id: "abandonVersion",
  method: "delete",
  path: "/apps/{app}/versions/{version}",
  tag: TAG,
  summary: "Take back a version that was not started",
  description: "Idempotent: taking it back again is answered alike.",
  needs: "deploy",
  query: ENVIRONMENT_QUERY,
});

export const ROLLBACK_APP = apiOperation({
  id: "rollbackApp",
  method: "post",
  path: "/apps/{app}/rollback",
  tag: TAG,
  summary: "Start a new version with the content of an old one",
  description: "Not idempotent: each call makes and starts a version.",
  needs: "deploy",
  query: ENVIRONMENT_QUERY,
  body: {
    name: "Rollback",
    schema: z.strictObject({
      version: z
        .int()
        .min(1)
        .optional()
        .meta({ description: "Without it: the one that served before the present one" }),
    }),
  },
  response: { status: 201, ...VERSION },
});

export const SCALE_FUNCTION = apiOperation({
  id: "scaleFunction",
  method: "patch",
  path: "/apps/{app}/functions/{function}/scaling",
  tag: TAG,
  summary: "Change how many containers a function has, until the next deployment",
  description:
    "Idempotent. It holds at once, on all boxes of the version that serves. Settings that are not named " +
    "stay as they are; the next version begins with those of its configuration.",
  needs: "deploy",
  query: ENVIRONMENT_QUERY,
  body: {
    name: "ScalingChange",
    schema: SCALING_CHANGE.refine(
      (change) => Object.keys(change).length > 0,
      `must name one of ${Object.keys(SCALING_CHANGE.shape).join(", ")}`,
    ).meta({ minProperties: 1 }),
  },
  response: {
    status: 200,
    name: "ScaledFunction",
    schema: z.object({
      version: z.int().meta({ description: "The one that serves" }),
      function: z.string(),
      settings: WHOLE_SCALING.meta({ description: "As they hold now" }),
    }),
  },
});
