/** `/api/v1/apps`: what a workspace serves, deployed or not. Their versions are in versions.ts. */
import type { Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import { type AppView, type AppAddress, type BoxView } from "../../contracts/workspace/apps.ts";
import { isAppId, type ApiApp } from "../../../api/apps.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { ApiProblem } from "./problems.ts";
import { type ApiHandler, handle } from "./operation-router.ts";
import { LIST_APPS, GET_APP, STOP_APP, ENVIRONMENT_QUERY, VERSION_BOX } from "../../../api/apps.ts";
import { pageRequest, toPage, toTime } from "./documents.ts";
import type * as z from "zod";

export const APP_HANDLERS: readonly ApiHandler[] = [
  handle(LIST_APPS, async ({ env, caller, query }) => {
    const { environment, ...page } = query;
    const stub = workspaceStub(env, caller.workspace);
    const listed = await stub.listApps(environment, pageRequest(page));
    return toPage(unlessRefused(listed), toApiApp);
  }),
  handle(GET_APP, async ({ env, caller, path, query }) => {
    const address = appAddress(path, query);
    const app = await workspaceStub(env, caller.workspace).app(address);
    if (app === undefined) throw noApp(address);
    return toApiApp(app);
  }),
  handle(STOP_APP, async ({ env, caller, path, query }) => {
    const stub = workspaceStub(env, caller.workspace);
    return toApiApp(unlessRefused(await stub.stopApp(appAddress(path, query))));
  }),
];

/** The app that a path and its query speak of. */
export function appAddress(
  { app = "" }: Readonly<Record<string, string>>,
  { environment }: z.output<typeof ENVIRONMENT_QUERY>,
): AppAddress {
  return { app, environment };
}

export function noApp({ app, environment }: AppAddress): ApiProblem {
  const where = isAppId(app) ? "" : ` in environment ${environment}`;
  return new ApiProblem("not_found", `there is no app ${app}${where}`);
}

/** The value of a result. @throws ApiProblem for a refusal */
export function unlessRefused<Value>(result: Result<Value, Refusal>): Value {
  if (!result.ok) throw new ApiProblem(result.error.code, result.error.detail);
  return result.value;
}

function toApiApp(app: AppView): ApiApp {
  const { id, name, environment, state, version, candidate, endpoints, boxes } = app;
  return {
    id,
    name,
    environment,
    state,
    version,
    candidate,
    endpoints: [...endpoints],
    scaling: { ...app.scaling },
    boxes: boxes.map(toApiBoxOfVersion),
    last_error: app.lastError,
    created_at: toTime(app.createdAt),
    stopped_at: app.stoppedAt === null ? null : toTime(app.stoppedAt),
  };
}

export function toApiBoxOfVersion({ hasCode, ...box }: BoxView): z.output<typeof VERSION_BOX> {
  return { ...box, has_code: hasCode };
}
