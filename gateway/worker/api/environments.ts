/** `/api/v1/environments`: the parts of a workspace that keep apps and secrets apart. */
import { ok } from "../../../base/result.ts";
import { type EnvironmentInfo, noEnvironment } from "../../contracts/workspace/environments.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { unlessRefused } from "./apps.ts";
import { type ApiHandler, handle } from "./operation-router.ts";
import {
  LIST_ENVIRONMENTS,
  CREATE_ENVIRONMENT,
  GET_ENVIRONMENT,
  UPDATE_ENVIRONMENT,
  DELETE_ENVIRONMENT,
  type ApiEnvironment,
} from "../../../api/environments.ts";
import { pageRequest, toPage, toTime } from "./documents.ts";

export const ENVIRONMENT_HANDLERS: readonly ApiHandler[] = [
  handle(LIST_ENVIRONMENTS, async ({ env, caller, query }) => {
    const stub = workspaceStub(env, caller.workspace);
    return toPage(await stub.listEnvironments(pageRequest(query)), toApiEnvironment);
  }),
  handle(CREATE_ENVIRONMENT, async ({ env, caller, body: { name, web_suffix: webSuffix } }) => {
    const stub = workspaceStub(env, caller.workspace);
    const created = await stub.createEnvironment({ name, webSuffix }, caller.token.id);
    return toApiEnvironment(unlessRefused(created));
  }),
  handle(GET_ENVIRONMENT, async ({ env, caller, path: { environment: name } }) => {
    const found = await workspaceStub(env, caller.workspace).environment(name);
    return toApiEnvironment(unlessRefused(found === undefined ? noEnvironment(name) : ok(found)));
  }),
  handle(UPDATE_ENVIRONMENT, async ({ env, caller, path, body }) => {
    const { name, web_suffix: webSuffix } = body;
    const change = {
      ...(name === undefined ? {} : { name }),
      ...(webSuffix === undefined ? {} : { webSuffix }),
    };
    const stub = workspaceStub(env, caller.workspace);
    return toApiEnvironment(unlessRefused(await stub.updateEnvironment(path.environment, change)));
  }),
  handle(DELETE_ENVIRONMENT, async ({ env, caller, path: { environment } }) => {
    const stub = workspaceStub(env, caller.workspace);
    unlessRefused(await stub.deleteEnvironment(environment));
  }),
];

function toApiEnvironment({
  name,
  webSuffix,
  createdAt,
  createdBy,
}: EnvironmentInfo): ApiEnvironment {
  return {
    name,
    web_suffix: webSuffix,
    created_at: toTime(createdAt),
    created_by: createdBy,
  };
}
