/** The access log: one line of JSON a request, on the console. */
import type { Env } from "../../contracts/env.ts";
import type { RequestContext } from "./request-context.ts";

/** The client left before the response headers: nobody gets a response. */
export const CLIENT_CLOSED = { status: 499, code: "client_closed" } as const;

/** The path without what opens something: a result token is in the query, and in the path that cancels its call. */
function loggedPath(url: string): string {
  const [path = ""] = url.slice(url.indexOf("/", 8)).split("?", 1);
  return path.replace(/(\/api\/v1\/calls\/).*/, "$1…");
}

/** Writes the line of one request. */
export function logRequest(
  context: RequestContext,
  { status, code = context.code }: { status: number; code?: string },
): void {
  const { request, startedAt, callId, requestId: id } = context;
  const line = {
    time: new Date(startedAt).toISOString(),
    method: request.method,
    host: request.headers.get("host"),
    path: loggedPath(request.url),
    status,
    code,
    duration_ms: Date.now() - startedAt,
    request_id: id,
    call_id: callId,
  };
  console.log(JSON.stringify(line));
}

/** Whether this was the front's announcement of a connection, which is nobody's request. A pretender gets no 204. */
export function isAnnouncement(request: Request, { status }: Response, env: Env): boolean {
  return status === 204 && request.url === `http://${env.POSTERN_BASE_DOMAIN}/_postern/connection`;
}
