/**
 * `/api/v1`: everything that the command and the dashboard do. The schemas that check a request are the
 * ones that `/api/v1/openapi.json` shows.
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import { bodyLimit } from "hono/body-limit";
import type { ApiEnv } from "./caller.ts";
import { ApiProblem, invalid, problemResponse } from "./problems.ts";
import { proxyTokenRoutes } from "./proxy-tokens.ts";
import { json } from "./schemas.ts";
import { apiTokenRoutes } from "./tokens.ts";

/** No request of the API is anywhere near this size. */
const MAX_BODY_BYTES = 256 * 1024;

const BASE_PATH = "/api/v1";

const HEALTH = createRoute({
  method: "get",
  path: "/health",
  operationId: "getHealth",
  summary: "Whether the gateway serves",
  tags: ["gateway"],
  responses: {
    200: {
      description: "It does",
      content: json(z.object({ status: z.literal("ok") }).openapi("Health")),
    },
  },
});

export const v1 = new OpenAPIHono<ApiEnv>({
  defaultHook: (result) => {
    if (!result.success) throw invalid(PLACES[result.target] ?? result.target, result.error);
  },
}).basePath(BASE_PATH);

/** What a part of the request is called in an error. */
const PLACES: Readonly<Record<string, string>> = { json: "body", param: "path" };

v1.onError(problemResponse);

v1.use("*", async (context, next) => {
  await next();
  context.header("cache-control", "no-store");
});

v1.use(
  "*",
  bodyLimit({
    maxSize: MAX_BODY_BYTES,
    onError: () => {
      throw new ApiProblem("body_too_large", `the limit is ${MAX_BODY_BYTES} bytes`);
    },
  }),
);

v1.openapi(HEALTH, (context) => context.json({ status: "ok" as const }, 200));
apiTokenRoutes(v1);
proxyTokenRoutes(v1);

v1.openAPIRegistry.registerComponent("securitySchemes", "apiToken", {
  type: "http",
  scheme: "bearer",
  description: "An API token as one value: `ak-….as-…`",
});

v1.doc31("/openapi.json", (context) => ({
  openapi: "3.1.0",
  info: {
    title: "Postern",
    version: "1.0.0",
    description: "Endpoints, their locks and who may change them. Errors are problem documents.",
    license: { name: "MIT", identifier: "MIT" },
  },
  servers: [{ url: new URL(context.req.url).origin }],
}));

v1.notFound((context) => {
  const { path } = context.req;
  const allowed = allowedMethods(path);
  if (allowed.length === 0) {
    return problemResponse(new ApiProblem("not_found", `nothing is at ${path}`));
  }
  const detail = `${path} takes ${allowed.join(", ")}`;
  const response = problemResponse(new ApiProblem("method_not_allowed", detail));
  // RFC 9110, 15.5.6.
  response.headers.set("allow", allowed.join(", "));
  return response;
});

/** The methods of the operations at a path; none where there is no operation. */
function allowedMethods(path: string): string[] {
  return v1.openAPIRegistry.definitions.flatMap((definition) => {
    if (definition.type !== "route") return [];
    const pattern = definition.route.path.replace(/\{[^}]+\}/g, "[^/]+");
    const matches = new RegExp(`^${pattern}$`).test(path);
    return matches ? [definition.route.method.toUpperCase()] : [];
  });
}
