/** `/api/v1/environments`: the parts of a workspace that keep apps and secrets apart. */
import * as z from "zod";
import {
  type EnvironmentInfo,
  MAX_ENVIRONMENTS,
  noEnvironment,
} from "../../contracts/workspace.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { unlessRefused } from "./apps.ts";
import { type Operation, operation } from "./operation.ts";
import { OBJECT_NAME, PAGE_QUERY, pageOf, pageRequest, shownPage, shownTime } from "./schemas.ts";

const TAG = "environments";

/** Something of it must be left in URLs, which know letters, digits and dashes. */
const ENVIRONMENT_NAME = z
  .string()
  .max(64)
  .regex(
    /^[._-]*[A-Za-z0-9][A-Za-z0-9._-]*$/,
    'must be 1 to 64 ASCII letters, digits, "-", "." and "_", and not without a letter or digit',
  );

const WEB_SUFFIX = z
  .string()
  .max(64)
  .regex(
    /^([._-]*[A-Za-z0-9][A-Za-z0-9._-]*)?$/,
    'must be empty, or up to 64 ASCII letters, digits, "-", "." and "_", and not without a letter or digit',
  );

const ENVIRONMENT = {
  name: "Environment",
  schema: z.object({
    name: OBJECT_NAME,
    web_suffix: z.string().meta({
      description:
        "Follows the workspace's name in URLs: `<workspace>-<suffix>--<label>`; empty for one " +
        "environment at most",
    }),
    created_at: z.iso.datetime(),
    created_by: z.string().meta({ description: "The API token that made it" }),
  }),
};

export const ENVIRONMENT_OPERATIONS: readonly Operation[] = [
  operation({
    id: "listEnvironments",
    method: "get",
    path: "/environments",
    tag: TAG,
    summary: "List the workspace's environments, newest first",
    needs: "read",
    query: PAGE_QUERY,
    answer: { status: 200, ...pageOf(ENVIRONMENT) },
    async run({ env, caller, query }) {
      const stub = workspaceStub(env, caller.workspace);
      return shownPage(await stub.listEnvironments(pageRequest(query)), shown);
    },
  }),
  operation({
    id: "createEnvironment",
    method: "post",
    path: "/environments",
    tag: TAG,
    summary: `Make an environment, one of at most ${MAX_ENVIRONMENTS}`,
    description: "Not idempotent: a name or web suffix that is taken is refused.",
    needs: "deploy",
    body: {
      name: "NewEnvironment",
      schema: z.strictObject({
        name: ENVIRONMENT_NAME,
        web_suffix: WEB_SUFFIX.optional().meta({ description: "Its name without" }),
      }),
    },
    answer: { status: 201, ...ENVIRONMENT },
    async run({ env, caller, body: { name, web_suffix: webSuffix } }) {
      const stub = workspaceStub(env, caller.workspace);
      const created = await stub.createEnvironment({ name, webSuffix }, caller.token.id);
      return shown(unlessRefused(created));
    },
  }),
  operation({
    id: "getEnvironment",
    method: "get",
    path: "/environments/{environment}",
    tag: TAG,
    summary: "Show an environment",
    needs: "read",
    answer: { status: 200, ...ENVIRONMENT },
    async run({ env, caller, path: { environment: name = "" } }) {
      const found = await workspaceStub(env, caller.workspace).environment(name);
      return shown(unlessRefused(found ?? noEnvironment(name)));
    },
  }),
  operation({
    id: "updateEnvironment",
    method: "patch",
    path: "/environments/{environment}",
    tag: TAG,
    summary: "Change an environment's name or web suffix",
    description:
      "Idempotent, but for a new name, under which it is called from then on. A new name is refused " +
      "while apps live in it, and leaves the web suffix as it is. A new web suffix shows in an app's " +
      "URLs when the app is next deployed or started.",
    needs: "deploy",
    body: {
      name: "EnvironmentChange",
      schema: z.strictObject({
        name: ENVIRONMENT_NAME.optional(),
        web_suffix: WEB_SUFFIX.optional(),
      }),
    },
    answer: { status: 200, ...ENVIRONMENT },
    async run({ env, caller, path, body }) {
      const { name, web_suffix: webSuffix } = body;
      const change = {
        ...(name === undefined ? {} : { name }),
        ...(webSuffix === undefined ? {} : { webSuffix }),
      };
      const stub = workspaceStub(env, caller.workspace);
      return shown(unlessRefused(await stub.updateEnvironment(path["environment"] ?? "", change)));
    },
  }),
  operation({
    id: "deleteEnvironment",
    method: "delete",
    path: "/environments/{environment}",
    tag: TAG,
    summary: "Stop an environment's apps and forget it, with its secrets",
    description: "Idempotent: deleting it again is answered alike. `main` stays.",
    needs: "deploy",
    async run({ env, caller, path: { environment = "" } }) {
      const stub = workspaceStub(env, caller.workspace);
      unlessRefused((await stub.deleteEnvironment(environment)) ?? {});
    },
  }),
];

function shown({ name, webSuffix, createdAt, createdBy }: EnvironmentInfo) {
  return {
    name,
    web_suffix: webSuffix,
    created_at: shownTime(createdAt),
    created_by: createdBy,
  };
}
