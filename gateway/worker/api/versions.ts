/**
 * `/api/v1/apps/{app}/versions`: deploying. A version is staged, its code goes to a box (boxes.ts), then
 * it is started and watched until it serves or failed.
 */
import * as z from "zod";
import { VERSION_STATES, type VersionContent } from "../../../routing/wire/deployments.ts";
import type { VersionView, VersionAddress } from "../../contracts/workspace.ts";
import { VERSION_STATUSES } from "../../contracts/version-status.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { appAddress, ENDPOINT, ENVIRONMENT_QUERY, noApp, unlessRefused } from "./apps.ts";
import { contradictionIn, LINE, VERSION_CONTENT } from "./version-content.ts";
import { type Operation, operation } from "./operation.ts";
import { ApiProblem } from "./problems.ts";
import { OBJECT_NAME, PAGE_QUERY, pageOf, pageRequest, shownPage, shownTime } from "./schemas.ts";

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
        content: VERSION_CONTENT,
        deploying_box: OBJECT_NAME.optional().meta({
          description: "Where it runs if the configuration says nothing, if it is a box",
        }),
        tag: LINE.default(""),
        commit: LINE.default(""),
      }),
    },
    answer: { status: 201, ...VERSION },
    async run({ env, caller, path, query, body }) {
      const { content, deploying_box: deployingBox, tag, commit } = body;
      const { id, name } = caller.token;
      const contradiction = contradictionIn(content as VersionContent);
      if (contradiction !== undefined) throw new ApiProblem("conflict", contradiction);
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
    throw new ApiProblem("not_found", `a version is a number, not ${version}`);
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
