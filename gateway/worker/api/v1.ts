/**
 * `/api/v1`: everything that the command and the dashboard do. The schemas that check a request are the
 * ones that `/api/v1/openapi.json` shows.
 */
import { Hono } from "hono";
import { publicScheme } from "../../../routing/names.ts";
import type { Env } from "../../contracts/env.ts";
import { APP_HANDLERS, appAddress } from "./apps.ts";
import { AUDIT_HANDLERS } from "./audit.ts";
import { BOX_HANDLERS } from "./boxes.ts";
import { CALL_HANDLERS, cancelByToken } from "./calls.ts";
import { CALL_TOKEN_HANDLERS, callTokenForApp } from "./call-tokens.ts";
import { CONNECT_TOKEN_HANDLERS } from "./connect-tokens.ts";
import { CONTAINER_HANDLERS } from "./containers.ts";
import { DOMAIN_HANDLERS } from "./domains.ts";
import { ENVIRONMENT_HANDLERS } from "./environments.ts";
import { LOG_HANDLERS } from "./logs.ts";
import { openApiDocument } from "./openapi.ts";
import { type ApiHandler, mount } from "./operation-router.ts";
import { ApiProblem, problemResponse } from "./problems.ts";
import { PROXY_TOKEN_HANDLERS } from "./proxy-tokens.ts";
import { resultTokenFor } from "./result-tokens.ts";
import { SECRET_HANDLERS } from "./secrets.ts";
import { SIGN_IN_HANDLERS } from "./sign-ins.ts";
import { API_TOKEN_HANDLERS } from "./tokens.ts";
import { USAGE_HANDLERS } from "./usage.ts";
import { VERSION_HANDLERS } from "./versions.ts";

const BASE_PATH = "/api/v1";

const HANDLERS: readonly ApiHandler[] = [
  ...API_TOKEN_HANDLERS,
  ...PROXY_TOKEN_HANDLERS,
  ...CONNECT_TOKEN_HANDLERS,
  ...SIGN_IN_HANDLERS,
  ...ENVIRONMENT_HANDLERS,
  ...SECRET_HANDLERS,
  ...DOMAIN_HANDLERS,
  ...APP_HANDLERS,
  ...VERSION_HANDLERS,
  ...BOX_HANDLERS,
  ...CALL_HANDLERS,
  ...CALL_TOKEN_HANDLERS,
  ...CONTAINER_HANDLERS,
  ...LOG_HANDLERS,
  ...AUDIT_HANDLERS,
  ...USAGE_HANDLERS,
];

const OPERATIONS = HANDLERS.map(({ operation }) => operation);

/** The paths that need no token, as the document describes them. */
const OPEN_PATHS = {
  "/health": {
    get: {
      operationId: "getHealth",
      tags: ["gateway"],
      summary: "Tell that the gateway serves",
      security: [],
      responses: {
        200: {
          description: "It serves",
          content: {
            "application/json": {
              schema: {
                type: "object",
                properties: { status: { const: "ok" } },
                required: ["status"],
              },
            },
          },
        },
      },
    },
  },
  "/calls/{token}": {
    delete: {
      operationId: "cancelCallByToken",
      tags: ["calls"],
      summary: "Cancel the call of a result URL, whose token this is",
      description: "Idempotent: a call that has ended is left as it is.",
      security: [],
      parameters: [{ name: "token", in: "path", required: true, schema: { type: "string" } }],
      responses: {
        204: { description: "It does not run any more" },
        default: {
          description: "A problem",
          content: {
            "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
          },
        },
      },
    },
  },
  "/result-tokens": {
    post: {
      operationId: "createResultToken",
      tags: ["calls"],
      summary: "Make the token of a call's result URL, for the app that has the call",
      description: "`Authorization: Bearer` has the app's own token, or a call token.",
      security: [],
      requestBody: {
        required: true,
        content: {
          "application/json": {
            schema: {
              type: "object",
              properties: {
                url: { type: "string", format: "uri", description: "Of the call's endpoint" },
                box: { type: "string" },
                call: { type: "string" },
              },
              required: ["url", "box", "call"],
              additionalProperties: false,
            },
          },
        },
      },
      responses: {
        201: {
          description: "For `__postern_call` of the endpoint's URL",
          content: {
            "application/json": {
              schema: {
                type: "object",
                properties: { token: { type: "string" } },
                required: ["token"],
              },
            },
          },
        },
        default: {
          description: "A problem",
          content: {
            "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
          },
        },
      },
    },
  },
  "/openapi.json": {
    get: {
      operationId: "getOpenApiDocument",
      tags: ["gateway"],
      summary: "Show this document",
      security: [],
      responses: {
        200: {
          description: "OpenAPI 3.1",
          content: { "application/json": { schema: { type: "object" } } },
        },
      },
    },
  },
};

export const v1 = new Hono<{ Bindings: Env }>().basePath(BASE_PATH);

v1.onError(problemResponse);

v1.use("*", async (context, next) => {
  await next();
  context.header("cache-control", "no-store");
});

v1.get("/health", (context) => context.json({ status: "ok" }));

v1.get("/openapi.json", (context) => {
  const domain = context.env.POSTERN_BASE_DOMAIN;
  const server = `${publicScheme(domain)}://${domain}`;
  return context.json(openApiDocument(OPERATIONS, BASE_PATH, server, OPEN_PATHS));
});

v1.delete("/calls/:token", async (context) => {
  await cancelByToken(context.env, context.req.param("token"), context.req.raw.headers);
  return context.body(null, 204);
});

// An app's own token is no API token: such a request passes the handler of the row.
v1.post("/apps/:app/call-tokens", async (context, next) => {
  const address = appAddress(context.req.param(), {
    environment: context.req.query("environment") ?? "main",
  });
  const { env, executionCtx, req } = context;
  const made = await callTokenForApp(env, executionCtx as ExecutionContext, req.raw, address);
  return made === undefined ? await next() : context.json(made, 201);
});

v1.post("/result-tokens", async ({ env, executionCtx, req, json }) =>
  json(await resultTokenFor(env, executionCtx as ExecutionContext, req.raw), 201),
);

mount(v1, HANDLERS);

v1.notFound((context) => {
  const { path } = context.req;
  const isOurs = path.startsWith(`${BASE_PATH}/`);
  const allowed = isOurs ? allowedMethods(path.slice(BASE_PATH.length)) : [];
  if (allowed.length === 0) {
    return problemResponse(new ApiProblem("not_found", `nothing is at ${path}`));
  }
  const detail = `${path} takes ${allowed.join(", ")}`;
  const response = problemResponse(new ApiProblem("method_not_allowed", detail));
  // RFC 9110, 15.5.6.
  response.headers.set("allow", allowed.join(", "));
  return response;
});

/** The methods of the operations at a path; none where nothing is. */
function allowedMethods(path: string): string[] {
  if (/^\/calls\/[^/]+$/.test(path)) return ["DELETE"];
  const open = Object.entries(OPEN_PATHS).find(([pattern]) => pattern === path)?.[1];
  const methods =
    open === undefined ? methodsAt(path) : Object.keys(open).map((name) => name.toUpperCase());
  // RFC 9110, 9.3.2: whatever has a GET has a HEAD.
  return methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
}

function methodsAt(path: string): string[] {
  return OPERATIONS.filter((row) =>
    new RegExp(`^${row.path.replace(/\{\w+\}/g, "[^/]+")}$`).test(path),
  ).map(({ method }) => method.toUpperCase());
}
