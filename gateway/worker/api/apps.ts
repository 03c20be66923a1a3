/** `/api/v1/apps`: what a workspace serves, deployed or not. Their versions are in versions.ts. */
import * as z from "zod";
import type { ErrorCode } from "../../../routing/wire/errors.ts";
import {
  APP_STATES,
  type AppView,
  type AppAddress,
  type Refusal,
  isAppId,
} from "../../contracts/workspace.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { type Operation, operation } from "./operation.ts";
import { ApiProblem } from "./problems.ts";
import { OBJECT_NAME, PAGE_QUERY, pageOf, pageRequest, shownPage, shownTime } from "./schemas.ts";

const TAG = "apps";

const TIME = z.iso.datetime();

/** The environment that an app called by its name is in. */
export const ENVIRONMENT_QUERY = z.strictObject({
  environment: OBJECT_NAME.default("main").meta({
    description: "Which one the app is in; says nothing where the app is called by its id",
  }),
});

/** Where an endpoint is. */
export const ENDPOINT = z.object({
  function: z.string(),
  url: z.url(),
  private: z.boolean().meta({ description: "Callers need a proxy auth token" }),
});

const APP = {
  name: "App",
  schema: z.object({
    id: z.string().meta({ description: "Tells it from a later app of the same name" }),
    name: OBJECT_NAME,
    environment: OBJECT_NAME,
    state: z.enum(APP_STATES).meta({
      description:
        "`starting`: its first version does not serve yet; `failed`: none ever did; `in_place` and " +
        "`ephemeral`: a box serves it without a deployment (postern up, postern serve)",
    }),
    version: z.int().nullable().meta({ description: "The one that serves" }),
    candidate: z.int().nullable().meta({ description: "The one that is to" }),
    endpoints: z.array(ENDPOINT),
    boxes: z.array(OBJECT_NAME).meta({ description: "Where it runs, or is to" }),
    created_at: TIME,
    stopped_at: TIME.nullable(),
  }),
};

export const APP_OPERATIONS: readonly Operation[] = [
  operation({
    id: "listApps",
    method: "get",
    path: "/apps",
    tag: TAG,
    summary: "List apps, newest first; stopped ones for 30 days",
    needs: "read",
    query: PAGE_QUERY.extend({
      environment: OBJECT_NAME.optional().meta({ description: "Of this one alone" }),
    }),
    answer: { status: 200, ...pageOf(APP) },
    async run({ env, caller, query }) {
      const { environment, ...page } = query;
      const stub = workspaceStub(env, caller.workspace);
      const listed = await stub.listApps(environment, pageRequest(page));
      return shownPage(unlessRefused(listed), shownApp);
    },
  }),
  operation({
    id: "getApp",
    method: "get",
    path: "/apps/{app}",
    tag: TAG,
    summary: "Show an app; of several of one name the one that lives, else the one stopped last",
    needs: "read",
    query: ENVIRONMENT_QUERY,
    answer: { status: 200, ...APP },
    async run({ env, caller, path, query }) {
      const address = appAddress(path, query);
      const app = await workspaceStub(env, caller.workspace).app(address);
      if (app === undefined) throw noApp(address);
      return shownApp(app);
    },
  }),
  operation({
    id: "stopApp",
    method: "post",
    path: "/apps/{app}/stop",
    tag: TAG,
    summary: "End a deployed app on all its boxes",
    description:
      "Idempotent: stopping it again is answered alike. Its URLs answer 410 until another app takes " +
      "their names. It does not start again; a later deployment under its name is a new app.",
    needs: "deploy",
    query: ENVIRONMENT_QUERY,
    answer: { status: 200, ...APP },
    async run({ env, caller, path, query }) {
      const stub = workspaceStub(env, caller.workspace);
      return shownApp(unlessRefused(await stub.stopApp(appAddress(path, query))));
    },
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

/** @throws ApiProblem for a refusal */
export function unlessRefused<Answer extends object>(
  answer: Answer,
): Exclude<Answer, { readonly refused: ErrorCode }> {
  if ("refused" in answer) {
    const { refused, detail } = answer as unknown as Refusal;
    throw new ApiProblem(refused, detail);
  }
  return answer as Exclude<Answer, { readonly refused: ErrorCode }>;
}

function shownApp(app: AppView) {
  const { id, name, environment, state, version, candidate, endpoints, boxes } = app;
  return {
    id,
    name,
    environment,
    state,
    version,
    candidate,
    endpoints: [...endpoints],
    boxes: [...boxes],
    created_at: shownTime(app.createdAt),
    stopped_at: app.stoppedAt === null ? null : shownTime(app.stoppedAt),
  };
}
