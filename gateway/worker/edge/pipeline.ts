/**
 * The chain that a request passes, in its order. The order is the security policy: no step may do what a later
 * step guards. docs/architecture.md follows a request through it.
 */
import { appendHeaders } from "../../../base/headers.ts";
import { ownCors, preflight } from "../../../routing/cors.ts";
import { requestHeaders } from "../../../routing/headers.ts";
import { parseHost, wrongHost } from "../../../routing/host.ts";
import {
  type CallerAddress,
  callerOf,
  parseIdempotencyKey,
  scopeText,
} from "../../../routing/idempotency.ts";
import { parsePrefer } from "../../../routing/prefer.ts";
import { parseResultTarget } from "../../../routing/result-url.ts";
import { sha256Hex } from "../../../routing/sha256.ts";
import { rawTarget } from "../../../routing/target.ts";
import { callTrace, continuedTrace } from "../../../routing/trace-context.ts";
import type { RequestHead } from "../../../routing/wire/heads.ts";
import { shareOf } from "../../../routing/wire/stream-shares.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import { isWebSocketHandshake } from "../../../routing/websocket-handshake.ts";
import { asciiJson } from "../../contracts/attempt.ts";
import { type Env, maxBodyBytes, requestTimeoutMs } from "../../contracts/env.ts";
import type { Snapshot, StoppedName } from "../../contracts/names.ts";
import { api } from "../api/api.ts";
import type { PlacedAttempt } from "../proxy/candidates.ts";
import { type OutgoingCall, proxyRequest } from "../proxy/proxy-request.ts";
import { proxyWebSocket } from "../proxy/proxy-websocket.ts";
import { authorize } from "./authorization.ts";
import { clientOf } from "./client-address.ts";
import { homeOfKey } from "./key-home.ts";
import { watchedConnection } from "./half-closed.ts";
import type { RequestContext } from "./request-context.ts";
import { collectResult, patienceMs, redirectToResult } from "./result-urls.ts";
import { lookup, lookupAgain } from "./routes.ts";
import { waitingRequests } from "./waiting-requests.ts";

/** Answers one request. */
export async function serve(
  context: RequestContext,
  env: Env,
  execution: ExecutionContext,
): Promise<Response> {
  const { request } = context;
  // 1. Whose host is this? One parsed host, for everything after.
  const parsed = parseHost(request.headers.get("host") ?? "", env.POSTERN_BASE_DOMAIN);
  if (!parsed.ok) return context.fail(parsed.error);
  const host = parsed.value;
  const target = rawTarget(request.url);
  if (target === undefined) {
    return context.refuse("bad_request", "the target is no path, or longer than 32,768 characters");
  }
  if (host.kind === "base") return await api(request, env, execution, target);
  if (host.kind === "custom") {
    return context.fail(wrongHost(host.host, env.POSTERN_BASE_DOMAIN).error);
  }

  // 2. Which endpoint is it? From the isolate's memory, when that is young enough.
  const found = lookup(env, execution, host.name);
  const looked = found instanceof Promise ? await found : found;
  if ("unavailable" in looked) {
    return context.refuse("unavailable", "the registry of names did not answer");
  }
  const { snapshot } = looked;
  if (snapshot === undefined || "stopped" in snapshot) {
    return refuseUnserved(context, host.name, snapshot);
  }
  context.cors = snapshot.settings.cors ?? false;
  context.routeMs = Date.now() - context.startedAt;

  // 3. May this caller pass? A CORS preflight carries no credentials and is answered before this.
  const allowed = preflightResponse(context, target);
  if (allowed !== undefined) return allowed;
  const refusal = await authorize(env, execution, request.headers, snapshot);
  context.authMs = Date.now() - context.startedAt - context.routeMs;
  if (refusal !== undefined) return context.fail(refusal);

  // 4. Do too many of this client's requests wait? One that is answered quickly never counts.
  const client = clientOf(request, env);
  const waiting = waitingRequests(env, client.address);
  const crowded = waiting?.refusalFor(client.address);
  if (crowded !== undefined) return context.fail(crowded);
  /** Called when the request takes longer: the runner watches its connection from then on. */
  const connection = (): string | undefined => {
    if (waiting !== undefined) context.countAsWaiting(waiting, client.address);
    return watchedConnection(request, env);
  };

  // 5. Does the client come back for a result? Nothing is begun for it, whatever the method.
  const result = parseResultTarget(target);
  if (result !== undefined) return await collectResult(env, context, snapshot, result, connection);

  // 6. The request as data: the same for routing, authorization and the app.
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > maxBodyBytes(env)) {
    return context.refuse("body_too_large", `the limit is ${maxBodyBytes(env)} bytes`);
  }
  const callId = crypto.randomUUID();
  context.callId = callId;
  context.trace = continuedTrace(request.headers) ?? callTrace(callId);
  const headers = requestHeaders(request.headers, {
    host: host.authority,
    client: client.address,
    scheme: client.scheme,
    requestId: context.requestId,
    ...context.trace,
    callId,
  });
  if (!headers.ok) return context.fail(headers.error);
  const { endpoint } = snapshot;
  const { method } = request;
  const head: RequestHead = { callId, endpoint, method, target, headers: headers.value };

  // 7. To the box, and back to the client.
  const origin: EndpointOrigin = { env, execution, name: host.name, snapshot, target };
  if (isWebSocketHandshake(request.method, request.headers)) {
    const answer = await proxyWebSocket(env, snapshot, head, connection());
    return await respond(context, origin, answer);
  }
  const key = await idempotencyScope(request, head, client);
  if (key !== undefined && "malformed" in key) return context.refuse("bad_request", key.malformed);
  let { boxes } = snapshot;
  if (key !== undefined) {
    head.key = key.scope;
    const home = await homeOfKey(env, snapshot, key.scope);
    if (!home.ok) return await fail(origin, context, home.error);
    ({ boxes } = home.value);
    if (home.value.joins) head.joins = true;
  }
  const { respondAsync, waitS } = parsePrefer(request.headers.get("prefer"));
  if (respondAsync && waitS === undefined) head.async = true;
  // An asynchronous call's client goes when the agent has the call in its journal, and not by its patience.
  const patience = head.async === true ? requestTimeoutMs(env) : patienceMs(env, request);
  return await respond(
    context,
    origin,
    await proxyRequest(
      env,
      outgoingCall(head, { workspace: snapshot.workspace, boxes }, request, connection),
      patience,
    ),
  );
}

/** The endpoint that a request is for. */
interface EndpointOrigin {
  readonly env: Env;
  readonly execution: ExecutionContext;
  /** The host name below the base domain. */
  readonly name: string;
  readonly snapshot: Snapshot;
  /** The original path and query. */
  readonly target: string;
}

/** Builds the client's response from what came of its call. */
async function respond(
  context: RequestContext,
  origin: EndpointOrigin,
  { attempt, place }: PlacedAttempt,
): Promise<Response> {
  const { env, snapshot, target } = origin;
  switch (attempt.kind) {
    case "response":
      return context.passOn(attempt.head, attempt.body);
    case "websocket":
      return context.switchProtocols(attempt.head, attempt.socket);
    case "deferred": {
      const { call } = attempt;
      return await redirectToResult(env, context, {
        call,
        box: place.box,
        snapshot,
        target,
        hop: 0,
      });
    }
    case "failed":
      context.hasLeft = attempt.cause === "cancelled";
      return await fail(origin, context, attempt.failure);
  }
}

/** Refuses a request for a name that no endpoint has, or whose app was stopped. */
function refuseUnserved(
  context: RequestContext,
  name: string,
  stopped: StoppedName | undefined,
): Response {
  return stopped === undefined
    ? context.refuse("no_such_endpoint", `${name} is not served here`)
    : context.refuse("app_stopped", `the app of ${name} was stopped`);
}

/** Builds the response to a call that failed. A box that does not serve the endpoint may know more than this isolate. */
async function fail(
  { env, execution, name }: EndpointOrigin,
  context: RequestContext,
  failure: Failure,
): Promise<Response> {
  if (failure.code === "no_origin") {
    const looked = await lookupAgain(env, execution, name);
    if (!("unavailable" in looked)) {
      const { snapshot } = looked;
      if (snapshot === undefined || "stopped" in snapshot) {
        return refuseUnserved(context, name, snapshot);
      }
    }
  }
  return context.fail(failure);
}

/** The response to a browser that asks whether a page may call this endpoint (Fetch, "CORS-preflight"). */
function preflightResponse(
  { request: { method, headers }, cors = false }: RequestContext,
  target: string,
): Response | undefined {
  if (method !== "OPTIONS") return undefined;
  const origin = headers.get("origin");
  // A result URL is the gateway's own: the app would take the preflight for another one.
  const isOwn = parseResultTarget(target) !== undefined;
  const lines = preflight(isOwn ? ownCors(cors, origin, 204) : cors, {
    method,
    origin,
    requestMethod: headers.get("access-control-request-method"),
    requestHeaders: headers.get("access-control-request-headers"),
  });
  if (lines === undefined) return undefined;
  const answer = new Headers();
  appendHeaders(answer, lines);
  return new Response(null, { status: 204, headers: answer });
}

/**
 * Hashes what calls under one Idempotency-Key have in common; undefined without a key. The caller is part of
 * it: another caller who guesses the key must not get the response.
 */
async function idempotencyScope(
  request: Request,
  { endpoint, method, target }: RequestHead,
  client: CallerAddress,
): Promise<{ scope: string } | { malformed: string } | undefined> {
  const line = request.headers.get("idempotency-key");
  if (line === null) return undefined;
  const parsed = parseIdempotencyKey([line]);
  if (parsed.kind === "none") return undefined;
  if (parsed.kind === "malformed") return { malformed: parsed.detail };
  const caller = callerOf(request.headers, client);
  const [path = ""] = target.split("?", 1);
  const scope = scopeText({ endpoint, method, path, caller, key: parsed.key });
  return { scope: await sha256Hex(scope) };
}

/** A call as it goes out. Those under one key have one box alone: another one would run them again. */
function outgoingCall(
  head: RequestHead,
  { workspace, boxes }: Pick<Snapshot, "workspace" | "boxes">,
  request: Request,
  connection: () => string | undefined,
): OutgoingCall {
  const isKeyed = head.key !== undefined;
  return {
    callId: head.callId,
    workspace,
    boxes,
    share: shareOf(head.endpoint),
    head: asciiJson(JSON.stringify(head)),
    request,
    terms: { method: head.method, isKeyed, isDurable: head.async === true },
    connection,
    // A call that is durable from its first byte on waits for the journal in any case.
    mayBeLocal: !isKeyed && head.async !== true,
  };
}
