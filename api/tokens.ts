/** `/tokens` and `/workspace`. API tokens open this API; a workspace tells whose a token is. */
import * as z from "zod";
import { apiOperation } from "./operation.ts";
import {
  EXPIRES_IN,
  PAGE_QUERY,
  SECRET_FIELD,
  TOKEN_FIELDS,
  TOKEN_NAME,
  pageOf,
} from "./schemas.ts";
import { SCOPES } from "./scopes.ts";

const TAG = "API tokens";

const SCOPE = z
  .enum(SCOPES)
  .meta({ description: "read sees, deploy changes, admin also makes API tokens" });

const API_TOKEN = { name: "ApiToken", schema: z.object({ ...TOKEN_FIELDS, scope: SCOPE }) };

/** An API token as the API shows it. */
export type ApiToken = z.output<typeof API_TOKEN.schema>;

const WORKSPACE = {
  name: "Workspace",
  schema: z.object({ name: z.string(), token: API_TOKEN.schema }),
};

/** A workspace as the API shows it to a token. */
export type ApiWorkspace = z.output<typeof WORKSPACE.schema>;

export const GET_WORKSPACE = apiOperation({
  id: "getWorkspace",
  method: "get",
  path: "/workspace",
  tag: TAG,
  summary: "Tell which workspace this token opens, and as what",
  needs: "read",
  response: { status: 200, ...WORKSPACE },
});

export const LIST_API_TOKENS = apiOperation({
  id: "listApiTokens",
  method: "get",
  path: "/tokens",
  tag: TAG,
  summary: "List the workspace's API tokens, newest first",
  needs: "admin",
  query: PAGE_QUERY,
  response: { status: 200, ...pageOf(API_TOKEN) },
});

export const CREATE_API_TOKEN = apiOperation({
  id: "createApiToken",
  method: "post",
  path: "/tokens",
  tag: TAG,
  summary: "Make an API token",
  description:
    "Not idempotent: its secret is shown once and not kept, so that a repeated call could not be " +
    "answered again and makes another token instead. Revoke the one that got lost.",
  needs: "admin",
  body: {
    name: "NewApiToken",
    schema: z.strictObject({
      name: TOKEN_NAME,
      scope: SCOPE.default("deploy"),
      expires_in: EXPIRES_IN,
    }),
  },
  response: { status: 201, name: "CreatedApiToken", schema: API_TOKEN.schema.extend(SECRET_FIELD) },
});

export const REVOKE_API_TOKEN = apiOperation({
  id: "revokeApiToken",
  method: "delete",
  path: "/tokens/{id}",
  tag: TAG,
  summary: "Revoke an API token, at once",
  description:
    "Idempotent: revoking it again is answered alike. The last admin's token that does not expire " +
    "is kept: nobody could make another one.",
  needs: "admin",
});
