/** The access log: one line of JSON a request, on the console. */
import type { Env } from "../../contracts/env.ts";
import type { Visit } from "./request-context.ts";

/** No answer, and nobody who would get one: the client left before the response headers. */
export const CLIENT_CLOSED = { status: 499, code: "client_closed" } as const;

/** Without what opens something: a result's token is in the query, and in the path that cancels its call. */
function loggedPath(url: string): string {
  const [path = ""] = url.slice(url.indexOf("/", 8)).split("?", 1);
  return path.replace(/(\/api\/v1\/calls\/).*/, "$1…");
}

/** One line of JSON for each request; what an operator greps for. */
export function logRequest(
  visit: Visit,
  { status, code = visit.code }: { status: number; code?: string },
): void {
  const { request, startedAt, callId, requestId: id } = visit;
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

/** The front's own word about a connection is nobody's request; who only pretends to be it gets no 204. */
export function isAnnouncement(request: Request, { status }: Response, env: Env): boolean {
  return status === 204 && request.url === `http://${env.POSTERN_BASE_DOMAIN}/_postern/connection`;
}
