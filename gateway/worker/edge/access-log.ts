/** The access log: one `gateway.request` for each request, with JSON or where the topic `gateway` is on. */
import { continuedTrace } from "../../../routing/trace-context.ts";
import type { Env } from "../../contracts/env.ts";
import { CERTIFICATE_NAMES_PATH } from "./certificate-names.ts";
import { HALF_CLOSED_PATH } from "./half-closed.ts";
import { observerOf } from "../../contracts/observer.ts";
import type { RequestContext } from "./request-context.ts";

/** The client left before the response headers, so nobody gets a response. */
export const CLIENT_CLOSED = { status: 499, code: "client_closed" } as const;

/** Whether requests are logged at all. */
export function isLogged(env: Env): boolean {
  return env.POSTERN_LOG === "json" || observerOf(env).debug.gateway;
}

/** Logs one request. */
export function logRequest(
  env: Env,
  context: RequestContext,
  { status, code = context.code }: { status: number; code?: string },
): void {
  const { request, startedAt, callId, requestId } = context;
  const trace = context.trace ?? continuedTrace(request.headers);
  observerOf(env).emit("gateway.request", {
    method: request.method,
    host: request.headers.get("host"),
    path: loggedPath(request.url),
    status,
    code,
    durationMs: Date.now() - startedAt,
    requestId,
    callId,
    traceparent: trace?.traceparent,
  });
}

/**
 * Whether this was the runner's own request: the front's announcement of a connection, a notice of half-closed
 * ones, or a question about a certificate's name. A client that pretends to be the runner gets another status.
 */
export function isAnnouncement(request: Request, { status }: Response, env: Env): boolean {
  if (status !== 204 && status !== 200) return false;
  const paths =
    status === 204 ? ["/_postern/connection"] : [HALF_CLOSED_PATH, CERTIFICATE_NAMES_PATH];
  return paths.some((path) => request.url === `http://${env.POSTERN_BASE_DOMAIN}${path}`);
}

/** The path without what opens a result: its token is in the query, and in the path that cancels its call. */
function loggedPath(url: string): string {
  const [path = ""] = url.slice(url.indexOf("/", 8)).split("?", 1);
  return path.replace(/(\/api\/v1\/calls\/).*/, "$1…");
}
