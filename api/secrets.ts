/** `/secrets`. Secrets are named environment variables for containers. Their values go in and never come out here. */
import * as z from "zod";
import { apiOperation } from "./operation.ts";
import { OBJECT_NAME, PAGE_QUERY, TIME, pageOf } from "./schemas.ts";
import {
  MAX_SECRET_BYTES,
  MAX_SECRET_VARIABLES,
  RESERVED_VARIABLES,
  secretBytes,
  VARIABLE_NAME,
} from "../routing/wire/variables.ts";

const TAG = "secrets";

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

/** A secret as the API shows it. */
export type ApiSecret = z.output<typeof SECRET.schema>;

export const LIST_SECRETS = apiOperation({
  id: "listSecrets",
  method: "get",
  path: "/secrets",
  tag: TAG,
  summary: "List an environment's secrets without their values, newest first",
  needs: "read",
  query: PAGE_QUERY.extend({ environment: ENVIRONMENT }),
  response: { status: 200, ...pageOf(SECRET) },
});

export const PUT_SECRET = apiOperation({
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
  response: { status: 200, ...SECRET },
});

export const DELETE_SECRET = apiOperation({
  id: "deleteSecret",
  method: "delete",
  path: "/secrets/{name}",
  tag: TAG,
  summary: "Forget a secret; containers that run keep what they were started with",
  description: "Idempotent: deleting it again is answered alike.",
  needs: "deploy",
  query: z.strictObject({ environment: ENVIRONMENT }),
});
