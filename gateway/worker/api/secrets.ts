/** `/api/v1/secrets`: named environment variables for containers. Values go in and never come out here. */
import * as z from "zod";
import {
  MAX_SECRET_BYTES,
  MAX_SECRET_VARIABLES,
  RESERVED_VARIABLES,
  secretBytes,
  VARIABLE_NAME,
} from "../../../routing/wire/variables.ts";
import { isObjectName } from "../../../routing/names.ts";
import type { SecretInfo } from "../../contracts/workspace.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { unlessRefused } from "./apps.ts";
import { type Operation, operation } from "./operation.ts";
import { ApiProblem } from "./problems.ts";
import { OBJECT_NAME, PAGE_QUERY, pageOf, pageRequest, shownPage, shownTime } from "./schemas.ts";

const TAG = "secrets";

const TIME = z.iso.datetime();

const SECRET = {
  name: "Secret",
  schema: z.object({
    name: OBJECT_NAME,
    variables: z.array(z.string()).meta({ description: "The names of its variables" }),
    readable: z.boolean().meta({
      description: "False where it was made under another key of the gateway's: set it again",
    }),
    created_at: TIME,
    updated_at: TIME,
    updated_by: z.string().meta({ description: "The API token that set the values" }),
  }),
};

const ENVIRONMENT = OBJECT_NAME.meta({ description: "The environment that it is in" });

const VARIABLE = z
  .string()
  .max(256)
  .regex(VARIABLE_NAME, "must be ASCII letters, digits and underscores, no digit first")
  .refine((name) => !RESERVED_VARIABLES.has(name), "is given to containers by Postern itself");

/** The pattern is spelt for every dialect of regular expressions. */
const VALUE = z
  .string()
  .refine((value) => !value.includes("\0"), "must not contain NUL")
  .meta({ pattern: "^[^\\u0000]*$" });

const VARIABLES = z
  .record(VARIABLE, VALUE)
  .refine(
    (variables) => Object.keys(variables).length <= MAX_SECRET_VARIABLES,
    `must be at most ${MAX_SECRET_VARIABLES} variables`,
  )
  .refine((variables) => Object.keys(variables).length > 0, "must be at least one variable")
  .refine(
    (variables) => secretBytes(variables) <= MAX_SECRET_BYTES,
    `must have at most ${MAX_SECRET_BYTES} bytes, names and values together`,
  )
  .meta({
    description: "Names and values. Nobody is shown the values again",
    minProperties: 1,
    maxProperties: MAX_SECRET_VARIABLES,
  });

export const SECRET_OPERATIONS: readonly Operation[] = [
  operation({
    id: "listSecrets",
    method: "get",
    path: "/secrets",
    tag: TAG,
    summary: "List an environment's secrets without their values, newest first",
    needs: "read",
    query: PAGE_QUERY.extend({ environment: ENVIRONMENT }),
    answer: { status: 200, ...pageOf(SECRET) },
    async run({ env, caller, query }) {
      const { environment, ...page } = query;
      const stub = workspaceStub(env, caller.workspace);
      const listed = await stub.listSecrets(environment, pageRequest(page));
      return shownPage(unlessRefused(listed), shown);
    },
  }),
  operation({
    id: "putSecret",
    method: "put",
    path: "/secrets/{name}",
    tag: TAG,
    summary: "Make a secret, or give it other variables",
    description:
      "Idempotent. Containers that run keep what they were started with; the next deployment, or the " +
      "next start of `postern up` or `serve`, brings the new values.",
    needs: "deploy",
    query: z.strictObject({
      environment: ENVIRONMENT,
      replace: z
        .enum(["true", "false"])
        .default("true")
        .meta({ description: "`false`: refused where there is a secret of this name" }),
    }),
    body: { name: "NewSecret", schema: z.strictObject({ variables: VARIABLES }) },
    answer: { status: 200, ...SECRET },
    async run({ env, caller, path, query, body }) {
      const name = nameOf(path);
      const { environment, replace } = query;
      const chosen = {
        environment,
        name,
        variables: body.variables,
        replace: replace === "true",
      };
      const stub = workspaceStub(env, caller.workspace);
      return shown(unlessRefused(await stub.putSecret(chosen, caller.token.id)));
    },
  }),
  operation({
    id: "deleteSecret",
    method: "delete",
    path: "/secrets/{name}",
    tag: TAG,
    summary: "Forget a secret; containers that run keep what they were started with",
    description: "Idempotent: deleting it again is answered alike.",
    needs: "deploy",
    query: z.strictObject({ environment: ENVIRONMENT }),
    async run({ env, caller, path, query: { environment } }) {
      const stub = workspaceStub(env, caller.workspace);
      unlessRefused((await stub.deleteSecret(environment, nameOf(path))) ?? {});
    },
  }),
];

/** @throws ApiProblem for what is no secret's name */
function nameOf({ name = "" }: Readonly<Record<string, string>>): string {
  if (isObjectName(name)) return name;
  const right = '1 to 64 ASCII letters, digits, "-", "." and "_"';
  throw new ApiProblem("parameter_invalid", `name: must be ${right}`);
}

function shown(secret: SecretInfo) {
  const { name, variables, readable, updatedBy } = secret;
  return {
    name,
    variables: [...variables],
    readable,
    created_at: shownTime(secret.createdAt),
    updated_at: shownTime(secret.updatedAt),
    updated_by: updatedBy,
  };
}
