/** `/api/v1/tokens`: the tokens that open this API. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { isOurId } from "../../auth/tokens.ts";
import { gatewayKeys } from "../keys.ts";
import type { ApiTokenInfo } from "../workspace/api-tokens.ts";
import { SCOPES } from "../workspace/scopes.ts";
import { MAX_TOKENS, workspaceStub } from "../workspace/workspace.ts";
import { type ApiEnv, needs } from "./caller.ts";
import { ApiProblem, PROBLEM_RESPONSE } from "./problems.ts";
import {
  EXPIRES_IN,
  expiry,
  ID_PARAMS,
  json,
  PAGE_QUERY,
  pageSchema,
  shownPage,
  shownToken,
  TOKEN_FIELDS,
  TOKEN_NAME,
} from "./schemas.ts";

const SCOPE = z
  .enum(SCOPES)
  .openapi({ description: "read sees, deploy changes, admin also makes API tokens" });

const API_TOKEN = z.object({ ...TOKEN_FIELDS, scope: SCOPE }).openapi("ApiToken");

const NEW_API_TOKEN = z
  .strictObject({ name: TOKEN_NAME, scope: SCOPE.default("deploy"), expires_in: EXPIRES_IN })
  .openapi("NewApiToken");

const CREATED_API_TOKEN = API_TOKEN.extend({
  secret: z.string().openapi({ description: "Shown this once" }),
}).openapi("CreatedApiToken");

const SELF = z
  .object({ name: z.string(), token: API_TOKEN })
  .openapi("Workspace", { description: "The workspace that the caller's token belongs to" });

const SECURITY = { tags: ["API tokens"], security: [{ apiToken: [] }] };

const WHO = createRoute({
  method: "get",
  path: "/workspace",
  operationId: "getWorkspace",
  summary: "Which workspace this token opens, and as what (scope read)",
  ...SECURITY,
  middleware: needs("read"),
  responses: {
    200: { description: "The workspace and the token", content: json(SELF) },
    default: PROBLEM_RESPONSE,
  },
});

const LIST = createRoute({
  method: "get",
  path: "/tokens",
  operationId: "listApiTokens",
  summary: "List the workspace's API tokens, newest first (scope admin)",
  ...SECURITY,
  middleware: needs("admin"),
  request: { query: PAGE_QUERY },
  responses: {
    200: { description: "A page", content: json(pageSchema("ApiTokens", API_TOKEN)) },
    default: PROBLEM_RESPONSE,
  },
});

const CREATE = createRoute({
  method: "post",
  path: "/tokens",
  operationId: "createApiToken",
  summary: "Make an API token (scope admin)",
  description:
    "Not idempotent: its secret is shown once and not kept, so that a repeated call could not be " +
    "answered again and makes another token instead. Revoke the one that got lost.",
  ...SECURITY,
  middleware: needs("admin"),
  request: { body: { required: true, content: json(NEW_API_TOKEN) } },
  responses: {
    201: { description: "The token with its secret", content: json(CREATED_API_TOKEN) },
    default: PROBLEM_RESPONSE,
  },
});

const REVOKE = createRoute({
  method: "delete",
  path: "/tokens/{id}",
  operationId: "revokeApiToken",
  summary: "Revoke an API token, at once (scope admin)",
  description:
    "Idempotent: revoking it again is answered alike. The last admin's token that does not expire " +
    "is kept: nobody could make another one.",
  ...SECURITY,
  middleware: needs("admin"),
  request: { params: ID_PARAMS },
  responses: { 204: { description: "It is revoked" }, default: PROBLEM_RESPONSE },
});

export function apiTokenRoutes(app: OpenAPIHono<ApiEnv>): void {
  app.openapi(WHO, (context) => {
    const { workspace, token } = context.get("caller");
    return context.json({ name: workspace, token: shown(token) }, 200);
  });

  app.openapi(LIST, async (context) => {
    const { workspace } = context.get("caller");
    const page = await workspaceStub(context.env, workspace).listApiTokens(
      context.req.valid("query"),
    );
    return context.json(shownPage(page, shown), 200);
  });

  app.openapi(CREATE, async (context) => {
    const { workspace, token: by } = context.get("caller");
    const { name, scope, expires_in: expiresIn } = context.req.valid("json");
    const created = await workspaceStub(context.env, workspace).createApiToken(
      { name, scope, expiresAt: expiry(expiresIn) },
      by.id,
    );
    if ("refused" in created) {
      const detail = `the workspace has its ${MAX_TOKENS} API tokens; revoke one first`;
      throw new ApiProblem("conflict", detail);
    }
    return context.json({ ...shown(created.token), secret: created.token.secret }, 201);
  });

  app.openapi(REVOKE, async (context) => {
    const { workspace } = context.get("caller");
    const { id } = context.req.valid("param");
    if (!(await isOurId(await gatewayKeys(context.env), "api", workspace, id))) {
      throw new ApiProblem("not_found", `the workspace has no API token ${id}`);
    }
    const revoked = await workspaceStub(context.env, workspace).revokeApiToken(id);
    if ("refused" in revoked) {
      const detail = "this is the last admin's token that does not expire; make another one first";
      throw new ApiProblem("conflict", detail);
    }
    return context.body(null, 204);
  });
}

function shown(token: ApiTokenInfo) {
  return { ...shownToken(token), scope: token.scope };
}
