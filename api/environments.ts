/** `/environments`. Environments keep apps and secrets of one workspace apart. */
import * as z from "zod";
import { apiOperation } from "./operation.ts";
import { OBJECT_NAME, PAGE_QUERY, pageOf } from "./schemas.ts";
import { MAX_ENVIRONMENTS } from "./limits.ts";

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

/** An environment as the API shows it. */
export type ApiEnvironment = z.output<typeof ENVIRONMENT.schema>;

export const LIST_ENVIRONMENTS = apiOperation({
  id: "listEnvironments",
  method: "get",
  path: "/environments",
  tag: TAG,
  summary: "List the workspace's environments, newest first",
  needs: "read",
  query: PAGE_QUERY,
  response: { status: 200, ...pageOf(ENVIRONMENT) },
});

export const CREATE_ENVIRONMENT = apiOperation({
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
  response: { status: 201, ...ENVIRONMENT },
});

export const GET_ENVIRONMENT = apiOperation({
  id: "getEnvironment",
  method: "get",
  path: "/environments/{environment}",
  tag: TAG,
  summary: "Show an environment",
  needs: "read",
  response: { status: 200, ...ENVIRONMENT },
});

export const UPDATE_ENVIRONMENT = apiOperation({
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
  response: { status: 200, ...ENVIRONMENT },
});

export const DELETE_ENVIRONMENT = apiOperation({
  id: "deleteEnvironment",
  method: "delete",
  path: "/environments/{environment}",
  tag: TAG,
  summary: "Stop an environment's apps and forget it, with its secrets",
  description: "Idempotent: deleting it again is answered alike. `main` stays.",
  needs: "deploy",
});
