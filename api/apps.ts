/** `/apps`. Apps are what a workspace serves, deployed or not. */
import * as z from "zod";
import { APP_STATES } from "./app-states.ts";
import { apiOperation } from "./operation.ts";
import { AUTH_KINDS } from "../routing/wire/auth-settings.ts";
import { VERSION_STATES } from "../routing/wire/deployments.ts";
import { SCALING_BY_FUNCTION } from "./scaling.ts";
import { OBJECT_NAME, PAGE_QUERY, TIME, pageOf } from "./schemas.ts";

const TAG = "apps";

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
  private: z.boolean().meta({
    description: "Callers need a token of the workspace, or are let in by `auth`",
  }),
  auth: z.array(z.enum(AUTH_KINDS)).meta({
    description:
      "Who else may call it. `jwt`: the holders of another issuer's tokens; `oidc`: people who sign in",
  }),
});

/** A box that a version was placed on. */
export const VERSION_BOX = z.object({
  name: OBJECT_NAME,
  connected: z.boolean(),
  has_code: z.boolean().meta({ description: "Whether the version's code is on its disk" }),
  state: z.enum(VERSION_STATES).nullable().meta({ description: "null until it has said" }),
  detail: z.string(),
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
    scaling: SCALING_BY_FUNCTION,
    boxes: z.array(VERSION_BOX).meta({ description: "Where it runs, or is to" }),
    last_error: z.string().meta({
      description:
        "Why no box runs it, or one does not, else why its newest version failed; empty where nothing is wrong",
    }),
    created_at: TIME,
    stopped_at: TIME.nullable(),
  }),
};

/** An app as the API shows it. */
export type ApiApp = z.output<typeof APP.schema>;

export const LIST_APPS = apiOperation({
  id: "listApps",
  method: "get",
  path: "/apps",
  tag: TAG,
  summary: "List apps, newest first; stopped ones for 30 days",
  needs: "read",
  query: PAGE_QUERY.extend({
    environment: OBJECT_NAME.optional().meta({ description: "Of this one alone" }),
  }),
  response: { status: 200, ...pageOf(APP) },
});

export const GET_APP = apiOperation({
  id: "getApp",
  method: "get",
  path: "/apps/{app}",
  tag: TAG,
  summary: "Show an app; of several of one name the one that lives, else the one stopped last",
  needs: "read",
  query: ENVIRONMENT_QUERY,
  response: { status: 200, ...APP },
});

export const STOP_APP = apiOperation({
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
  response: { status: 200, ...APP },
});

const APP_ID = /^ap-[0-9a-f]{26}$/;

/** Whether a text has the form of an app's id, which no app may have as its name. */
export function isAppId(text: string): boolean {
  return APP_ID.test(text);
}
