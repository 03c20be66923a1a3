/**
 * The chain that a request passes, in its order. The order is the security policy: no step may do what a later
 * step guards. docs/architecture.md follows a request through it.
 */
import { appToken } from "../../../auth/credential.ts";
import { appendHeaders } from "../../../base/headers.ts";
import type { Result } from "../../../base/result.ts";
import { takeConnectParameter } from "../../../routing/connect-token.ts";
import { ownCors, preflight } from "../../../routing/cors.ts";
import { parseHost, wrongHost } from "../../../routing/host.ts";
import { parseResultTarget } from "../../../routing/result-url.ts";
import { rawTarget } from "../../../routing/target.ts";
import { callTrace, continuedTrace } from "../../../routing/trace-context.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import { passesPathRules } from "../../../routing/wire/path-rules.ts";
import { isWebSocketHandshake } from "../../../routing/websocket-handshake.ts";
import { type Env, maxBodyBytes } from "../../contracts/env.ts";
import type { Snapshot, StoppedName } from "../../contracts/names.ts";
import { api } from "../api/api.ts";
import type { PlacedAttempt } from "../proxy/candidates.ts";
import type { OutgoingCall } from "../proxy/open-on-link.ts";
import { proxyRequest } from "../proxy/proxy-request.ts";
import { proxyWebSocket } from "../proxy/proxy-websocket.ts";
import type { Admission, EndpointCaller } from "./admission.ts";
import { authorize } from "./authorization.ts";
import { passBudget } from "./budgets.ts";
import { clientOf } from "./client-address.ts";
import { entryOf } from "./entry.ts";
import { fallBack } from "./fallback.ts";
import { noteWebSocket, takeWebSocketRoom, watchedConnection } from "./half-closed.ts";
import type { RequestContext } from "./request-context.ts";
import type { EndpointOrigin } from "./endpoint-origin.ts";
import { passRates, passReads, passTokenRate } from "./rate-limits.ts";
import { outgoingCall, requestHead } from "./outgoing-call.ts";
import { checkResult, collectResult, redirectToResult } from "./result-urls.ts";
import { lookup, lookupAgain } from "./routes.ts";
import { affinityOf, EdgeSession } from "./session-place.ts";
import { beginSignIn, serveSignIn } from "./sign-in.ts";
import { isPerson, livelyAnswer, pageOrAnswer } from "./waiting-clients.ts";
import { waitingRequests } from "./waiting-requests.ts";
import { workspaceRefusal } from "./workspace-room.ts";

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
  const clientTarget = rawTarget(request.url);
  if (clientTarget === undefined) {
    return context.refuse("bad_request", "the target is no path, or longer than 32,768 characters");
  }
  if (host.kind === "base") return await api(request, env, execution, clientTarget);

  // 2. Which endpoint is it? From the isolate's memory, when that is young enough.
  const found = lookup(env, execution, host.name);
  const looked = found instanceof Promise ? await found : found;
  if ("unavailable" in looked) {
    return context.refuse("unavailable", "the registry of names did not answer");
  }
  const { snapshot: remembered } = looked;
  if (remembered === undefined || "stopped" in remembered) {
    return refuseUnserved(context, env, host.name, remembered);
  }
  context.cors = remembered.settings.cors ?? false;
  context.api = remembered.settings.api;
  context.asked = remembered;
  context.routeMs = Date.now() - context.startedAt;

  // 3. A CORS preflight carries no credentials, and counts for no limit.
  const allowed = preflightResponse(context, clientTarget);
  if (allowed !== undefined) return allowed;

  // 4. Do too many requests come? A refused one costs no authorization. A call whose result is read has been counted, and
  // its answer must not be lost: its reads have a limit of their own. A token that opens no call counts as any request.
  const checking = checkResult(env, clientTarget, remembered);
  const result = checking && (await checking);
  const passing =
    result?.call === undefined ? passRates(env, execution, remembered) : passReads(result.call);
  const exceeded = passing instanceof Promise ? await passing : passing;
  if (exceeded !== undefined) return context.limit(exceeded);

  // 5. May this caller pass? The app gets no token, in the target neither.
  const { target, parameter } = takeConnectParameter(clientTarget);
  const { method, headers } = request;
  const { authority } = host;
  const scheme = () => clientOf(request, env).scheme;
  const caller: EndpointCaller = { method, headers, authority, target, parameter, scheme };
  const asked = { context, env, execution, caller, snapshot: remembered };
  const signInAnswer = remembered.settings.auth?.oidc && (await serveSignIn(asked));
  if (signInAnswer !== undefined) return signInAnswer;
  const { admitted, snapshot } = await admitToNewest(env, execution, caller, {
    name: host.name,
    snapshot: remembered,
  });
  context.authMs = Date.now() - context.startedAt - context.routeMs;
  if (!admitted.ok) {
    return (await beginSignIn(asked, admitted.error)) ?? context.fail(admitted.error);
  }
  const { userData, cookie, token } = admitted.value;
  context.token = token?.id;
  if (token !== undefined && result?.call === undefined) {
    const passed = passTokenRate(env, execution, snapshot.workspace, token);
    const exceeded = passed instanceof Promise ? await passed : passed;
    if (exceeded !== undefined) return context.limit(exceeded);
    const budgeted = passBudget(env, execution, snapshot.workspace, token);
    const refusal = budgeted instanceof Promise ? await budgeted : budgeted;
    if (refusal !== undefined) return context.refuseByBudget(refusal);
  }
  context.cookie = cookie;
  const { paths } = snapshot.settings;
  if (paths !== undefined && !passesPathRules(paths, target))
    return context.refuse("path_closed", "");

  // 6. Do too many requests of this client wait, or to this workspace? That of a client counts once it takes long.
  const client = clientOf(request, env);
  const { workspace } = snapshot;
  const waiting = waitingRequests(env, client.address);
  const isWebSocket = isWebSocketHandshake(request.method, request.headers);
  const crowded =
    waiting?.refusalFor(client.address, workspace) ?? workspaceRefusal(env, workspace, isWebSocket);
  if (crowded !== undefined) return context.fail(crowded);
  context.begin(workspace);
  /** Called when the request takes longer: the runner watches its connection from then on. */
  const connection = (): string | undefined => {
    context.countAsWaiting(workspace, client.address, waiting);
    return watchedConnection(request, env);
  };

  // 7. Does the client come back for a result? Nothing is begun for it, whatever the method.
  if (result !== undefined) return await collectResult(env, context, snapshot, result, connection);

  // 8. The request as data: the same for routing, authorization and the app.
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > maxBodyBytes(env)) {
    return context.refuse("body_too_large", `the limit is ${maxBodyBytes(env)} bytes`);
  }
  const callId = crypto.randomUUID();
  context.callId = callId;
  context.trace = continuedTrace(request.headers) ?? callTrace(callId);

  // 9. To the box, and back to the client.
  const tokens = { clientTarget, parameter, userData, token };
  const origin: EndpointOrigin = { env, execution, host, client, snapshot, target, ...tokens };
  if (isWebSocket) {
    const short = takeWebSocketRoom();
    if (short !== undefined) return context.fail(short);
    const rules = affinityOf(snapshot.settings);
    if (rules !== undefined) context.session = await EdgeSession.of(origin, rules, request);
    const { session } = context;
    const extras = session === undefined ? {} : { session: session.head };
    const head = requestHead(context, origin, extras);
    if (!head.ok) return context.fail(head.error);
    const { boxes } = snapshot;
    const placing = { workspace, boxes, entry: entryOf(env, request, boxes), ...session?.order };
    const answer = await proxyWebSocket(env, placing, head.value, connection());
    if (answer.attempt.kind === "websocket") noteWebSocket(request, env, workspace);
    return await respond(context, origin, answer);
  }
  const outgoing = await outgoingCall(context, origin, connection);
  if (!outgoing.ok) return await fail(origin, context, outgoing.error);
  const { call, patienceMs } = outgoing.value;
  const answering = answerOf(context, origin, call, patienceMs);
  const answer = await (context.isLively
    ? livelyAnswer(context, origin, call, answering)
    : isPerson(request)
      ? pageOrAnswer(context, origin, call, answering)
      : answering);
  return answer instanceof Response ? answer : await respond(context, origin, answer);
}

/** The answer of a box to a call, else that of the endpoint's fallback. */
async function answerOf(
  context: RequestContext,
  origin: EndpointOrigin,
  call: OutgoingCall,
  patienceMs: number,
): Promise<PlacedAttempt> {
  const answer = await proxyRequest(origin.env, call, patienceMs);
  // No call is held for longer at a box either.
  const fallbackMs = Math.min(patienceMs, origin.snapshot.settings.timeout * 1_000);
  const outside = await fallBack(origin, call, answer, fallbackMs);
  context.isFromFallback = outside !== undefined;
  return outside === undefined ? answer : { ...answer, attempt: outside };
}

/**
 * Authorizes a caller. An app token of another app may be one of the app that has the name since a moment ago, as where
 * somebody runs an ephemeral app again: then the name is looked up anew.
 */
async function admitToNewest(
  env: Env,
  execution: ExecutionContext,
  caller: EndpointCaller,
  { name, snapshot }: { readonly name: string; readonly snapshot: Snapshot },
): Promise<{ readonly admitted: Result<Admission, Refusal>; readonly snapshot: Snapshot }> {
  const admitted = await authorize(env, execution, caller, snapshot);
  const isForbidden = !admitted.ok && admitted.error.code === "forbidden";
  if (!isForbidden || appToken(caller.headers) === undefined) return { admitted, snapshot };
  const again = await lookupAgain(env, execution, name);
  const newer = "unavailable" in again ? undefined : again.snapshot;
  if (newer === undefined || "stopped" in newer || newer.appId === snapshot.appId) {
    return { admitted, snapshot };
  }
  return { admitted: await authorize(env, execution, caller, newer), snapshot: newer };
}

/** Builds the client's response from what came of its call. */
async function respond(
  context: RequestContext,
  origin: EndpointOrigin,
  { attempt, place }: PlacedAttempt,
): Promise<Response> {
  const { env, snapshot, clientTarget } = origin;
  switch (attempt.kind) {
    case "response": {
      const told = await context.session?.onAnswered(attempt.head, place);
      return context.passOn(attempt.head, attempt.body, told);
    }
    case "websocket": {
      const told = await context.session?.onAnswered(attempt.head, place);
      return context.switchProtocols(attempt.head, attempt.socket, told);
    }
    case "deferred": {
      const { call } = attempt;
      return await redirectToResult(env, context, {
        call,
        box: place.box,
        snapshot,
        target: clientTarget,
        hop: 0,
      });
    }
    case "failed":
      context.hasLeft = attempt.cause === "cancelled";
      return await fail(origin, context, attempt.failure);
  }
}

/** Refuses a request for a name or a custom domain that no endpoint has, or whose app was stopped. */
function refuseUnserved(
  context: RequestContext,
  env: Env,
  name: string,
  stopped: StoppedName | undefined,
): Response {
  if (stopped !== undefined) {
    return context.refuse("app_stopped", `the app of ${name} was stopped`);
  }
  if (name.includes(".")) return context.fail(wrongHost(name, env.POSTERN_BASE_DOMAIN).error);
  return context.refuse("no_such_endpoint", `${name} is not served here`);
}

/** Builds the response to a call that failed. A box that does not serve the endpoint may know more than this isolate. */
async function fail(
  { env, execution, host: { name } }: EndpointOrigin,
  context: RequestContext,
  failure: Failure,
): Promise<Response> {
  if (failure.code === "no_origin") {
    const looked = await lookupAgain(env, execution, name);
    if (!("unavailable" in looked)) {
      const { snapshot } = looked;
      if (snapshot === undefined || "stopped" in snapshot) {
        return refuseUnserved(context, env, name, snapshot);
      }
    }
  }
  if (failure.code === "session_lost" && context.session !== undefined) {
    return context.loseSession(failure, context.session.lossOf());
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
