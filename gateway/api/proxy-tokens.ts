/** `/api/v1/proxy-tokens`: the tokens that open a workspace's private endpoints. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { isOurId } from "../../auth/tokens.ts";
import { gatewayKeys } from "../keys.ts";
import type { ProxyTokenInfo } from "../workspace/proxy-tokens.ts";
import { MAX_TOKENS, workspaceStub } from "../workspace/workspace.ts";
import { type ApiEnv, needs } from "./caller.ts";
import { ApiProblem, PROBLEM_RESPONSE } from "./problems.ts";
import {
  EXPIRES_IN,
  expiry,
  ID_PARAMS,
  json,
  OBJECT_NAME,
  PAGE_QUERY,
  pageSchema,
  shownPage,
  shownToken,
  TOKEN_FIELDS,
  TOKEN_NAME,
} from "./schemas.ts";

const MAX_RESTRICTIONS = 100;

const RESTRICTIONS = {
  environments: z
    .array(OBJECT_NAME)
    .max(MAX_RESTRICTIONS)
    .openapi({ description: "Environments whose endpoints it opens; empty: all" }),
  apps: z
    .array(OBJECT_NAME)
    .max(MAX_RESTRICTIONS)
    .openapi({ description: "Apps whose endpoints it opens; empty: all" }),
};

const PROXY_TOKEN = z.object({ ...TOKEN_FIELDS, ...RESTRICTIONS }).openapi("ProxyToken");

const NEW_PROXY_TOKEN = z
  .strictObject({
    name: TOKEN_NAME,
    environments: RESTRICTIONS.environments.default([]),
    apps: RESTRICTIONS.apps.default([]),
    expires_in: EXPIRES_IN,
  })
  .openapi("NewProxyToken");

const CREATED_PROXY_TOKEN = PROXY_TOKEN.extend({
  secret: z.string().openapi({ description: "Shown this once" }),
}).openapi("CreatedProxyToken");

const SECURITY = { tags: ["proxy tokens"], security: [{ apiToken: [] }] };

const LIST = createRoute({
  method: "get",
  path: "/proxy-tokens",
  operationId: "listProxyTokens",
  summary: "List the workspace's proxy auth tokens, newest first (scope read)",
  ...SECURITY,
  middleware: needs("read"),
  request: { query: PAGE_QUERY },
  responses: {
    200: { description: "A page", content: json(pageSchema("ProxyTokens", PROXY_TOKEN)) },
    default: PROBLEM_RESPONSE,
  },
});

const CREATE = createRoute({
  method: "post",
  path: "/proxy-tokens",
  operationId: "createProxyToken",
  summary: "Make a proxy auth token (scope deploy)",
  description:
    "Not idempotent: its secret is shown once and not kept, so that a repeated call could not be " +
    "answered again and makes another token instead. Revoke the one that got lost.",
  ...SECURITY,
  middleware: needs("deploy"),
  request: { body: { required: true, content: json(NEW_PROXY_TOKEN) } },
  responses: {
    201: { description: "The token with its secret", content: json(CREATED_PROXY_TOKEN) },
    default: PROBLEM_RESPONSE,
  },
});

const REVOKE = createRoute({
  method: "delete",
  path: "/proxy-tokens/{id}",
  operationId: "revokeProxyToken",
  summary: "Revoke a proxy auth token, everywhere within 5 s (scope deploy)",
  description: "Idempotent: revoking it again is answered alike.",
  ...SECURITY,
  middleware: needs("deploy"),
  request: { params: ID_PARAMS },
  responses: { 204: { description: "It is revoked" }, default: PROBLEM_RESPONSE },
});

export function proxyTokenRoutes(app: OpenAPIHono<ApiEnv>): void {
  app.openapi(LIST, async (context) => {
    const { workspace } = context.get("caller");
    const page = await workspaceStub(context.env, workspace).listProxyTokens(
      context.req.valid("query"),
    );
    return context.json(shownPage(page, shown), 200);
  });

  app.openapi(CREATE, async (context) => {
    const { workspace, token: by } = context.get("caller");
    const { name, environments, apps, expires_in: expiresIn } = context.req.valid("json");
    const created = await workspaceStub(context.env, workspace).createProxyToken(
      { name, environments, apps, expiresAt: expiry(expiresIn) },
      by.id,
    );
    if ("refused" in created) {
      const detail = `the workspace has its ${MAX_TOKENS} proxy tokens; revoke one first`;
      throw new ApiProblem("conflict", detail);
    }
    return context.json({ ...shown(created.token), secret: created.token.secret }, 201);
  });

  app.openapi(REVOKE, async (context) => {
    const { workspace } = context.get("caller");
    const { id } = context.req.valid("param");
    if (!(await isOurId(await gatewayKeys(context.env), "proxy", workspace, id))) {
      throw new ApiProblem("not_found", `the workspace has no proxy token ${id}`);
    }
    await workspaceStub(context.env, workspace).revokeProxyToken(id);
    return context.body(null, 204);
  });
}

function shown(token: ProxyTokenInfo) {
  const { environments, apps } = token;
  return { ...shownToken(token), environments, apps };
}
