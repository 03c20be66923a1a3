/**
 * `/api/v1/apps/{app}/versions`: deploying. A version is staged, its code goes to a box (boxes.ts), then
 * it is started and watched until it serves or failed.
 */
import * as z from "zod";
import {
  MAX_CODE_BYTES,
  MAX_VERSION_CONFIG_BYTES,
  VERSION_STATES,
  type VersionContent,
} from "../../routing/wire/deployments.ts";
import type { VersionView } from "../workspace/app-views.ts";
import { VERSION_STATUSES } from "../workspace/version-states.ts";
import type { VersionAddress } from "../workspace/deployments.ts";
import { workspaceStub } from "../workspace/workspace.ts";
import { appAddress, ENDPOINT, ENVIRONMENT_QUERY, noApp, unlessRefused } from "./apps.ts";
import { type Operation, operation } from "./operation.ts";
import { ApiProblem } from "./problems.ts";
import { OBJECT_NAME, PAGE_QUERY, pageOf, pageRequest, shownPage, shownTime } from "./schemas.ts";

const TAG = "versions";

/** Of one app. */
const MAX_ENDPOINTS = 100;
const MAX_PATTERNS = 100;
const MAX_SECRETS = 100;
const MAX_DURATION_S = 86_400;
const MAX_RESULT_TTL_S = 604_800;

const LINE = (characters: number) =>
  z
    .string()
    .refine(
      (text) => new RegExp(`^[^\\p{Cc}\\p{Cs}]{0,${characters}}$`, "u").test(text),
      `must be at most ${characters} characters on one line`,
    )
    .meta({ pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", maxLength: characters });

const TEXTS = z.array(z.string().min(1).max(256)).max(MAX_PATTERNS);

const CORS = z.union([
  z.boolean(),
  z.strictObject({
    origins: TEXTS.optional(),
    headers: TEXTS.optional(),
    credentials: z.boolean().optional(),
  }),
]);

const VERSION_ENDPOINT = z.strictObject({
  function: z.string().min(1).max(128),
  label: z.string().max(63).optional(),
  pool: z
    .string()
    .min(1)
    .max(128)
    .meta({ description: "The function whose containers serve it: itself, or another of the app" }),
  settings: z.strictObject({
    requiresProxyAuth: z.boolean().optional(),
    timeout: z.number().positive().max(MAX_DURATION_S),
    resultTtl: z.number().min(0).max(MAX_RESULT_TTL_S),
    cors: CORS.optional(),
  }),
  secrets: z.array(OBJECT_NAME).max(MAX_SECRETS),
  boxes: z
    .array(z.string().regex(/^[A-Za-z0-9._*?-]{1,64}$/, "must be a box's name, with * and ?"))
    .min(1)
    .max(MAX_PATTERNS)
    .optional()
    .meta({ description: "Boxes that its containers may run on; `*` and `?` as in file names" }),
  region: z
    .array(z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, "must be a region's name"))
    .min(1)
    .max(MAX_PATTERNS)
    .optional()
    .meta({ description: "Regions of those boxes; `eu` has `eu-west-1`" }),
  startupTimeout: z.number().positive().max(MAX_DURATION_S).optional(),
});

const CONTENT = z
  .strictObject({
    config: z
      .record(z.string(), z.unknown())
      .refine(
        (config) => byteLength(JSON.stringify(config)) <= MAX_VERSION_CONFIG_BYTES,
        `must be at most ${MAX_VERSION_CONFIG_BYTES} bytes of JSON`,
      )
      .meta({ description: "The app's postern.toml as JSON" }),
    code: z
      .strictObject({
        hash: z.string().regex(/^[0-9a-f]{64}$/, "must be a SHA-256 in 64 hex digits"),
        bytes: z.int().min(1).max(MAX_CODE_BYTES),
      })
      .nullable(),
    endpoints: z.array(VERSION_ENDPOINT).min(1).max(MAX_ENDPOINTS),
  })
  .superRefine(({ config, endpoints }, context) => {
    const pools = new Set(
      endpoints.filter((one) => one.pool === one.function).map((one) => one.function),
    );
    const seen = new Set<string>();
    for (const [index, endpoint] of endpoints.entries()) {
      const at = ["endpoints", index];
      if (seen.has(endpoint.function)) {
        context.addIssue({ code: "custom", path: [...at, "function"], message: "is there twice" });
      }
      seen.add(endpoint.function);
      if (!pools.has(endpoint.pool)) {
        const message = "must be the endpoint's own function, or another's that has containers";
        context.addIssue({ code: "custom", path: [...at, "pool"], message });
      }
    }
    const tables = Array.isArray(config["endpoint"]) ? config["endpoint"] : [];
    const configured = tables.map((table) =>
      typeof table === "object" && table !== null && "function" in table ? table["function"] : null,
    );
    const matches =
      configured.length === endpoints.length &&
      endpoints.every((one, index) => one.function === configured[index]);
    if (!matches) {
      const message = "must have the same functions as `endpoints`, in the same order";
      context.addIssue({ code: "custom", path: ["config", "endpoint"], message });
    }
  });

const VERSION = {
  name: "Version",
  schema: z.object({
    version: z.int(),
    status: z.enum(VERSION_STATUSES).meta({
      description:
        "`staged`, `candidate` and `serving` follow on each other; `superseded` by a newer one before " +
        "it served, `replaced` after it did",
    }),
    detail: z.string().meta({ description: "Why it failed, in one line; empty otherwise" }),
    lines: z.array(z.string()).meta({ description: "What the failed container printed last" }),
    created_at: z.iso.datetime(),
    created_by: z.string().meta({ description: "The API token that made it" }),
    created_by_name: z.string().meta({ description: "The token's name" }),
    tag: z.string(),
    commit: z.string().meta({ description: "Of git; `*` behind it: with uncommitted changes" }),
    rollback_of: z.int().nullable().meta({ description: "The version whose content it has" }),
    endpoints: z.array(ENDPOINT),
    boxes: z.array(
      z.object({
        name: OBJECT_NAME,
        connected: z.boolean(),
        has_code: z.boolean().meta({ description: "Whether the version's code is on its disk" }),
        state: z.enum(VERSION_STATES).nullable().meta({ description: "null until it has said" }),
        detail: z.string(),
      }),
    ),
  }),
};

export const VERSION_OPERATIONS: readonly Operation[] = [
  operation({
    id: "listVersions",
    method: "get",
    path: "/apps/{app}/versions",
    tag: TAG,
    summary: "Show a deployed app's history, newest version first",
    needs: "read",
    query: PAGE_QUERY.extend(ENVIRONMENT_QUERY.shape),
    answer: { status: 200, ...pageOf(VERSION) },
    async run({ env, caller, path, query }) {
      const { environment, ...page } = query;
      const address = appAddress(path, { environment });
      const stub = workspaceStub(env, caller.workspace);
      const versions = await stub.listVersions(address, pageRequest(page));
      if (versions === undefined) throw noApp(address);
      return shownPage(versions, shownVersion);
    },
  }),
  operation({
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
        content: CONTENT,
        deploying_box: OBJECT_NAME.optional().meta({
          description: "Where it runs if the configuration says nothing, if it is a box",
        }),
        tag: LINE(64).default(""),
        commit: LINE(64).default(""),
      }),
    },
    answer: { status: 201, ...VERSION },
    async run({ env, caller, path, query, body }) {
      const { content, deploying_box: deployingBox, tag, commit } = body;
      const { id, name } = caller.token;
      const staged = await workspaceStub(env, caller.workspace).stageVersion({
        app: appAddress(path, query),
        content: content as VersionContent,
        deployingBox,
        tag,
        commit,
        by: { id, name },
      });
      return shownVersion(unlessRefused(staged));
    },
  }),
  operation({
    id: "getVersion",
    method: "get",
    path: "/apps/{app}/versions/{version}",
    tag: TAG,
    summary: "Show a version, and how far its boxes are with it",
    needs: "read",
    query: ENVIRONMENT_QUERY,
    answer: { status: 200, ...VERSION },
    async run({ env, caller, path, query }) {
      const stub = workspaceStub(env, caller.workspace);
      return shownVersion(unlessRefused(await stub.version(versionAddress(path, query))));
    },
  }),
  operation({
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
    answer: { status: 200, ...VERSION },
    async run({ env, caller, path, query }) {
      const stub = workspaceStub(env, caller.workspace);
      return shownVersion(unlessRefused(await stub.startVersion(versionAddress(path, query))));
    },
  }),
  operation({
    id: "abandonVersion",
    method: "delete",
    path: "/apps/{app}/versions/{version}",
    tag: TAG,
    summary: "Take back a version that was not started",
    description: "Idempotent: taking it back again is answered alike.",
    needs: "deploy",
    query: ENVIRONMENT_QUERY,
    async run({ env, caller, path, query }) {
      const stub = workspaceStub(env, caller.workspace);
      const refusal = await stub.abandonVersion(versionAddress(path, query));
      if (refusal !== undefined) unlessRefused(refusal);
    },
  }),
  operation({
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
    answer: { status: 201, ...VERSION },
    async run({ env, caller, path, query, body }) {
      const { id, name } = caller.token;
      const stub = workspaceStub(env, caller.workspace);
      const address = appAddress(path, query);
      const started = await stub.rollbackApp(address, body.version, { id, name });
      return shownVersion(unlessRefused(started));
    },
  }),
];

function versionAddress(
  path: Readonly<Record<string, string>>,
  query: z.output<typeof ENVIRONMENT_QUERY>,
): VersionAddress {
  const { version = "" } = path;
  if (!/^[1-9]\d{0,8}$/.test(version)) {
    throw new ApiProblem("parameter_invalid", "version: must be a version's number");
  }
  return { app: appAddress(path, query), version: Number(version) };
}

function shownVersion(version: VersionView) {
  const { status, detail, lines, createdBy, tag, commit, endpoints, boxes } = version;
  return {
    version: version.version,
    status,
    detail,
    lines: [...lines],
    created_at: shownTime(version.createdAt),
    created_by: createdBy.id,
    created_by_name: createdBy.name,
    tag,
    commit,
    rollback_of: version.rollbackOf,
    endpoints: [...endpoints],
    boxes: boxes.map(({ name, connected, hasCode, state, detail: said }) => ({
      name,
      connected,
      has_code: hasCode,
      state,
      detail: said,
    })),
  };
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
