/**
 * A client's request as data, and the call that it becomes: the same for routing, authorization and the app. While the
 * call waits no copy of its head stays here.
 */
import { filterHeaders } from "../../../base/headers.ts";
import { err, ok, type Result } from "../../../base/result.ts";
import type { ConnectParameter } from "../../../routing/connect-token.ts";
import { requestHeaders } from "../../../routing/headers.ts";
import {
  type CallerAddress,
  callerOf,
  parseIdempotencyKey,
  scopeText,
} from "../../../routing/idempotency.ts";
import { parsePrefer } from "../../../routing/prefer.ts";
import { sha256Hex } from "../../../routing/sha256.ts";
import { callTrace } from "../../../routing/trace-context.ts";
import type { RequestCaller, RequestHead } from "../../../routing/wire/heads.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import { shareOf } from "../../../routing/wire/stream-shares.ts";
import { asciiJson } from "../../contracts/attempt.ts";
import { type Env, requestTimeoutMs } from "../../contracts/env.ts";
import type { OutgoingCall } from "../proxy/open-on-link.ts";
import { RequestHeadText } from "../proxy/request-head-text.ts";
import type { EndpointOrigin } from "./endpoint-origin.ts";
import { entryOf } from "./entry.ts";
import { homeOfKey } from "./key-home.ts";
import { looksAtBody } from "../../../routing/affinity/request-keys.ts";
import type { AffinityRules } from "../../../routing/affinity/rules.ts";
import { BODY_BROKE_OFF, type OutgoingBody, requestBody } from "../proxy/request-body.ts";
import { HELD_MS, patienceMs } from "./patience.ts";
import type { RequestContext } from "./request-context.ts";
import { affinityOf, EdgeSession } from "./session-place.ts";
import { isLivelyBody, mayBeLively } from "./waiting-clients.ts";

/**
 * Hashes what calls under one Idempotency-Key have in common; undefined without a key. The caller is part of
 * it: another caller who guesses the key must not get the response.
 */
async function idempotencyScope(
  request: Request,
  { endpoint, method, target }: RequestHead,
  { client, parameter }: { client: CallerAddress; parameter?: ConnectParameter | undefined },
): Promise<{ scope: string } | { malformed: string } | undefined> {
  const line = request.headers.get("idempotency-key");
  if (line === null) return undefined;
  const parsed = parseIdempotencyKey([line]);
  if (parsed.kind === "none") return undefined;
  if (parsed.kind === "malformed") return { malformed: parsed.detail };
  const caller = callerOf(request.headers, client, parameter);
  const [path = ""] = target.split("?", 1);
  const scope = scopeText({ endpoint, method, path, caller, key: parsed.key });
  return { scope: await sha256Hex(scope) };
}

/** The parts of a head that do not stand in the request itself. */
type HeadExtras = Pick<RequestHead, "key" | "joins" | "async" | "session">;

/** Describes a request as data: the same for routing, authorization and the app. */
export function requestHead(
  context: RequestContext,
  { host, client, snapshot: { endpoint }, target, userData, token }: EndpointOrigin,
  extras: HeadExtras = {},
): Result<RequestHead, Failure> {
  const { request, callId = "", trace, requestId } = context;
  const headers = requestHeaders(request.headers, {
    host: host.authority,
    client: client.address,
    scheme: client.scheme,
    requestId,
    ...(trace ?? callTrace(callId)),
    callId,
    userData,
  });
  if (!headers.ok) return headers;
  const { method } = request;
  // A comment can stand before text alone.
  const lines = context.isLively
    ? filterHeaders(headers.value, (name) => name !== "accept-encoding")
    : headers.value;
  const head = { callId, endpoint, method, target, headers: lines };
  if (token === undefined) return ok({ ...head, ...extras });
  const { id, limits } = token;
  const caller: RequestCaller = {
    token: id,
    ...(limits.isBatch === true && { batch: true }),
    ...(limits.concurrent !== undefined && { most: limits.concurrent }),
  };
  return ok({ ...head, caller, ...extras });
}

/** A function of its own, so that no closure beside it keeps the head. */
function headText(
  context: RequestContext,
  origin: EndpointOrigin,
  extras: HeadExtras,
  head: RequestHead,
): RequestHeadText {
  return new RequestHeadText(remakerOf(context, origin, extras), textOf({ ...head, ...extras }));
}

function remakerOf(
  context: RequestContext,
  origin: EndpointOrigin,
  extras: HeadExtras,
): () => string {
  return () => {
    const head = requestHead(context, origin, extras);
    if (!head.ok) throw new Error("a request whose head was right has none any more");
    return textOf(head.value);
  };
}

function textOf(head: RequestHead): string {
  return asciiJson(JSON.stringify(head));
}

/**
 * Builds the call as it goes out, unless the request is refused. Calls under one key have one box alone:
 * another one would run them again. Its frame is gone before the call waits, and the head with it.
 */
export async function outgoingCall(
  context: RequestContext,
  origin: EndpointOrigin,
  connection: () => string | undefined,
): Promise<Result<{ call: OutgoingCall; patienceMs: number }, Failure>> {
  const { request } = context;
  const { env, snapshot } = origin;
  let read: OutgoingBody | undefined;
  const lively = mayBeLively(snapshot.settings, request);
  if (lively === undefined) {
    const body = await bodyOf(request, env);
    if (!body.ok) return body;
    read = body.value;
  }
  context.isLively = lively ?? isLivelyBody(read);
  const described = requestHead(context, origin);
  if (!described.ok) return described;
  const head = described.value;
  const scoped = await idempotencyScope(request, head, origin);
  if (scoped !== undefined && "malformed" in scoped) {
    return err({ code: "bad_request", detail: scoped.malformed });
  }
  const extras: HeadExtras = {};
  let { boxes } = snapshot;
  if (scoped !== undefined) {
    extras.key = scoped.scope;
    const home = await homeOfKey(env, snapshot, scoped.scope);
    if (!home.ok) return home;
    ({ boxes } = home.value);
    if (home.value.joins) extras.joins = true;
  }
  const rules = affinityOf(snapshot.settings);
  if (rules !== undefined) {
    const found = await sessionOf(origin, rules, request, read);
    if (!found.ok) return found;
    read = found.value.body;
    const { session } = found.value;
    // A call under a key has a home of its own. Elsewhere than at its session's box it is no call of the session.
    if (extras.key === undefined || session.isAt(boxes[0]?.box)) {
      context.session = session;
      extras.session = session.head;
    }
  }
  const { respondAsync, waitS } = parsePrefer(request.headers.get("prefer"));
  const isAsync = respondAsync && waitS === undefined;
  if (isAsync) extras.async = true;
  const isKeyed = extras.key !== undefined;
  const call: OutgoingCall = {
    callId: head.callId,
    key: extras.key,
    workspace: snapshot.workspace,
    boxes,
    entry: entryOf(env, request, boxes),
    ...context.session?.order,
    share: shareOf(head.endpoint),
    head: headText(context, origin, extras, head),
    request,
    ...(read !== undefined && { readBody: handedOnce(read) }),
    terms: { method: head.method, isKeyed, isDurable: isAsync },
    connection,
    hasFallback: snapshot.settings.fallback !== undefined,
    // A call that is durable from its first byte on waits for the journal in any case.
    mayBeLocal: !isKeyed && !isAsync,
  };
  // An asynchronous call's client goes when the agent has the call in its journal, and not by its patience.
  const patience = isAsync
    ? requestTimeoutMs(env)
    : context.isLively
      ? HELD_MS
      : patienceMs(env, snapshot.settings, request);
  return ok({ call, patienceMs: patience });
}

/** The session of a request, and the body where it was read. @param read the body, where it has been read before */
async function sessionOf(
  origin: EndpointOrigin,
  rules: AffinityRules,
  request: Request,
  read: OutgoingBody | undefined,
): Promise<Result<{ session: EdgeSession; body: OutgoingBody | undefined }, Failure>> {
  const wholeBytes = looksAtBody(rules, request);
  let body = read;
  if (wholeBytes > 0 && body === undefined) {
    const found = await bodyOf(request, origin.env, wholeBytes);
    if (!found.ok) return found;
    body = found.value;
  }
  const bytes = body instanceof Uint8Array ? body : undefined;
  return ok({ session: await EdgeSession.of(origin, rules, request, bytes), body });
}

/** @param wholeBytes a body of at most so many bytes is read whole */
async function bodyOf(
  request: Request,
  env: Env,
  wholeBytes?: number,
): Promise<Result<OutgoingBody, Failure>> {
  try {
    return ok(await requestBody(request, requestTimeoutMs(env), wholeBytes));
  } catch {
    return err(BODY_BROKE_OFF);
  }
}

/** While a call waits nobody here may hold a copy of its body. */
function handedOnce(body: OutgoingBody | undefined): () => OutgoingBody | undefined {
  return () => {
    const given = body;
    body = undefined;
    return given;
  };
}
