/**
 * `/api/v1/apps/{app}/versions`: deploying. A version is staged, its code goes to a box (boxes.ts), then
 * it is started and watched until it serves or failed.
 */
import { type VersionContent } from "../../../routing/wire/deployments.ts";
import type { ScalingView, VersionView, VersionAddress } from "../../contracts/workspace/apps.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { appAddress, noApp, toApiBoxOfVersion, unlessRefused } from "./apps.ts";
import { contradictionIn } from "./version-content.ts";
import { ApiProblem } from "./problems.ts";
import { type ApiHandler, handle } from "./operation-router.ts";
import {
  LIST_VERSIONS,
  STAGE_VERSION,
  GET_VERSION,
  START_VERSION,
  ABANDON_VERSION,
  ROLLBACK_APP,
  SCALE_FUNCTION,
  type ApiVersion,
} from "../../../api/versions.ts";
import type { ApiScaling } from "../../../api/scaling.ts";
import type { ENVIRONMENT_QUERY } from "../../../api/apps.ts";
import { pageRequest, toPage, toTime } from "./documents.ts";
import type * as z from "zod";

export const VERSION_HANDLERS: readonly ApiHandler[] = [
  handle(LIST_VERSIONS, async ({ env, caller, path, query }) => {
    const { environment, ...page } = query;
    const address = appAddress(path, { environment });
    const stub = workspaceStub(env, caller.workspace);
    const versions = await stub.listVersions(address, pageRequest(page));
    if (versions === undefined) throw noApp(address);
    return toPage(versions, toApiVersion);
  }),
  handle(STAGE_VERSION, async ({ env, caller, path, query, body }) => {
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
    return toApiVersion(unlessRefused(staged));
  }),
  handle(GET_VERSION, async ({ env, caller, path, query }) => {
    const stub = workspaceStub(env, caller.workspace);
    return toApiVersion(unlessRefused(await stub.version(versionAddress(path, query))));
  }),
  handle(START_VERSION, async ({ env, caller, path, query }) => {
    const stub = workspaceStub(env, caller.workspace);
    return toApiVersion(unlessRefused(await stub.startVersion(versionAddress(path, query))));
  }),
  handle(ABANDON_VERSION, async ({ env, caller, path, query }) => {
    const stub = workspaceStub(env, caller.workspace);
    unlessRefused(await stub.abandonVersion(versionAddress(path, query)));
  }),
  handle(ROLLBACK_APP, async ({ env, caller, path, query, body }) => {
    const { id, name } = caller.token;
    const stub = workspaceStub(env, caller.workspace);
    const address = appAddress(path, query);
    const started = await stub.rollbackApp(address, body.version, { id, name });
    return toApiVersion(unlessRefused(started));
  }),
  handle(SCALE_FUNCTION, async ({ env, caller, path, query, body: change }) => {
    const { id, name } = caller.token;
    const app = appAddress(path, query);
    const scaling = { app, function: path.function, change, by: { id, name } };
    return unlessRefused(await workspaceStub(env, caller.workspace).scaleFunction(scaling));
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

function toApiVersion(version: VersionView): ApiVersion {
  const { status, detail, lines, createdBy, tag, commit, endpoints, boxes } = version;
  return {
    version: version.version,
    status,
    detail,
    lines: [...lines],
    created_at: toTime(version.createdAt),
    created_by: createdBy.id,
    created_by_name: createdBy.name,
    tag,
    commit,
    rollback_of: version.rollbackOf,
    endpoints: [...endpoints],
    scalings: version.scalings.map(toApiScaling),
    boxes: boxes.map(toApiBoxOfVersion),
  };
}

function toApiScaling({ createdAt, createdBy, ...rest }: ScalingView): ApiScaling {
  return {
    ...rest,
    created_at: toTime(createdAt),
    created_by: createdBy.id,
    created_by_name: createdBy.name,
  };
}
