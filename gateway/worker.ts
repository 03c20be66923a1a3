/**
 * The gateway. `fetch` is the whole chain in its order, and the order is the security policy: nothing
 * before a step may do what the step guards. docs/architecture.md follows a request through it.
 */
import { type ErrorCode } from "../routing/wire/errors.ts";
import { parseHost } from "../routing/host.ts";
import { requestHeaders } from "../routing/headers.ts";
import { problem } from "../routing/problem.ts";
import { rawTarget } from "../routing/target.ts";
import type { Failure, RequestHead, ResponseHead } from "../routing/wire/messages.ts";
import { api } from "./api.ts";
import { authorize } from "./authorization.ts";
import { clientAddress } from "./client.ts";
import { type Env, maxBodyBytes, publicScheme } from "./env.ts";
import { type Call, exchange } from "./exchange.ts";
import { asciiJson } from "./internal.ts";
import type { Snapshot } from "./names.ts";
import { lookup } from "./snapshots.ts";
import { openWebSocket } from "./websocket.ts";

export { Names } from "./names.ts";
export { Origin } from "./origin.ts";
export { Workspace } from "./workspace/workspace.ts";

export default {
  async fetch(request, env, context): Promise<Response> {
    // 1. Whose host is this? One parsed host, for everything after.
    const host = parseHost(request.headers.get("host") ?? "", env.POSTERN_BASE_DOMAIN);
    if (host.kind === "refused") return refuse(request, host.code, host.detail);
    const target = rawTarget(request.url);
    if (target === undefined) return refuse(request, "bad_request", "the target is malformed");
    if (host.kind === "base") return await api(request, env, context, target);
    if (host.kind === "custom") {
      return refuse(request, "wrong_host", `no endpoint is served at ${host.host}`);
    }

    // 2. Which endpoint is it? From the isolate's memory, when it is young enough.
    const startedAt = Date.now();
    const found = lookup(env, context, host.name);
    const snapshot = found instanceof Promise ? await found : found;
    if ("unavailable" in snapshot) {
      return refuse(request, "no_origin", "the registry of names did not answer", 1);
    }
    if (snapshot.snapshot === undefined) {
      return refuse(request, "no_such_endpoint", `${host.name} is not served here`);
    }
    const routedAt = Date.now();

    // 3. May this caller pass? A CORS preflight carries no credentials and is answered before this.
    const refusal = await authorize(env, context, request.headers, snapshot.snapshot);
    if (refusal !== undefined) {
      return refuse(request, refusal.code, refusal.detail, refusal.retryAfter);
    }

    // 4. What may go in, as data: the same for routing, auth and the app.
    const declared = Number(request.headers.get("content-length") ?? 0);
    if (declared > maxBodyBytes(env)) {
      return refuse(request, "body_too_large", `the limit is ${maxBodyBytes(env)} bytes`);
    }
    const id = crypto.randomUUID();
    const facts = {
      host: host.authority,
      client: clientAddress(request, env),
      scheme: publicScheme(env.POSTERN_BASE_DOMAIN),
      requestId: requestId(request, id),
      traceparent: request.headers.get("traceparent") ?? traceparent(id),
      callId: id,
    };
    const headers = requestHeaders(request.headers, facts);
    if (!Array.isArray(headers)) return refuse(request, headers.refused, headers.detail);
    const { endpoint } = snapshot.snapshot;
    const head: RequestHead = { call: id, endpoint, method: request.method, target, headers };

    // 5. To the box.
    const answer = isWebSocket(request)
      ? await openWebSocket(env, snapshot.snapshot, head)
      : await exchange(env, callOf(head, snapshot.snapshot, request));

    // 6. Back to the client.
    if (answer.kind === "failed") return fail(request, answer.failure, facts.requestId, id);
    const own = {
      "x-request-id": facts.requestId,
      "postern-call-id": id,
      "server-timing": serverTiming(answer.head, routedAt - startedAt),
    };
    if (answer.kind === "answered") return respond(answer.head, answer.body, own);
    const accepted = responseHeaders(answer.head, own);
    return new Response(null, { status: 101, webSocket: answer.socket, headers: accepted });
  },
} satisfies ExportedHandler<Env>;

function isWebSocket(request: Request): boolean {
  return request.headers.get("upgrade")?.toLowerCase() === "websocket";
}

function callOf(head: RequestHead, snapshot: Snapshot, request: Request): Call {
  return { id: head.call, head: asciiJson(JSON.stringify(head)), snapshot, request };
}

/** The app's answer, as it is; the gateway's own headers are added where the app has none. */
function respond(
  head: ResponseHead,
  body: ReadableStream<Uint8Array> | null,
  own: Record<string, string>,
): Response {
  const headers = responseHeaders(head, own);
  return new Response(body, { status: head.status, headers, encodeBody: "manual" });
}

function responseHeaders({ headers }: ResponseHead, own: Record<string, string>): Headers {
  const all = new Headers(own);
  for (let index = 0; index < headers.length; index += 2) {
    all.append(headers[index] as string, headers[index + 1] as string);
  }
  return all;
}

function fail(request: Request, failure: Failure, requestId: string, call: string): Response {
  const { code, detail, retryAfter } = failure;
  const response = refuse(
    request,
    code,
    detail,
    retryAfter ?? (code === "no_origin" ? 1 : undefined),
  );
  response.headers.set("x-request-id", requestId);
  response.headers.set("postern-call-id", call);
  return response;
}

/** An answer of the gateway's own; costs no origin. */
function refuse(request: Request, code: ErrorCode, detail: string, retryAfter?: number): Response {
  const accept = request.headers.get("accept");
  const { status, headers, body } = problem(code, detail, { accept, retryAfter });
  return new Response(request.method === "HEAD" ? null : body, { status, headers });
}

/** The client's own X-Request-Id where it is one, else the call's id. */
function requestId(request: Request, id: string): string {
  const given = request.headers.get("x-request-id");
  return given !== null && /^[!-~]{1,128}$/.test(given) ? given : id;
}

/** W3C Trace Context: a trace of our own where the client brought none. */
function traceparent(id: string): string {
  const hex = id.replaceAll("-", "");
  return `00-${hex}-${hex.slice(16)}-01`;
}

/** https://www.w3.org/TR/server-timing/ ; durations in milliseconds. */
function serverTiming({ timing }: ResponseHead, route: number): string {
  if (timing === undefined) return `route;dur=${route}`;
  const { queue, start, app } = timing;
  return `route;dur=${route}, queue;dur=${queue}, start;dur=${start}, app;dur=${app}`;
}
