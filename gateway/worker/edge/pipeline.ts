/**
 * The chain that a request passes, in its order. The order is the security policy: no step may do what a
 * later step guards. docs/architecture.md follows a request through it.
 */
import { homeBox } from "../../../routing/boxes.ts";
import { preflight } from "../../../routing/cors.ts";
import { parseHost } from "../../../routing/host.ts";
import { publicScheme } from "../../../routing/names.ts";
import { requestHeaders } from "../../../routing/headers.ts";
import { parseIdempotencyKey, scopeText } from "../../../routing/idempotency.ts";
import { parsePrefer } from "../../../routing/prefer.ts";
import { parseResultTarget } from "../../../routing/result-url.ts";
import { sha256Hex } from "../../../routing/sha256.ts";
import { rawTarget } from "../../../routing/target.ts";
import type { Failure, RequestHead } from "../../../routing/wire/messages.ts";
import { api } from "../api/api.ts";
import { authorize } from "./authorization.ts";
import { clientAddress } from "./client-address.ts";
import { type Env, maxBodyBytes, requestTimeoutMs } from "../../contracts/env.ts";
import { type Call, exchange } from "../proxy/proxy-request.ts";
import { asciiJson } from "../../contracts/link.ts";
import type { Snapshot, StoppedName } from "../../contracts/names.ts";
import { answerResult, comeBack, patienceMs } from "./result-urls.ts";
import { lookup, lookupAgain } from "./routes.ts";
import { Visit } from "./request-context.ts";
import { openWebSocket } from "../proxy/proxy-websocket.ts";

export async function serve(visit: Visit, env: Env, context: ExecutionContext): Promise<Response> {
  const { request } = visit;
  // 1. Whose host is this? One parsed host, for everything after.
  const host = parseHost(request.headers.get("host") ?? "", env.POSTERN_BASE_DOMAIN);
  if (host.kind === "refused") return visit.refuse(host.code, host.detail);
  const target = rawTarget(request.url);
  if (target === undefined) {
    return visit.refuse("bad_request", "the target is no path, or longer than 32,768 characters");
  }
  if (host.kind === "base") return await api(request, env, context, target);
  if (host.kind === "custom") {
    return visit.refuse("wrong_host", `no endpoint is served at ${host.host}`);
  }

  // 2. Which endpoint is it? From the isolate's memory, when it is young enough.
  const found = lookup(env, context, host.name);
  const looked = found instanceof Promise ? await found : found;
  if ("unavailable" in looked) {
    return visit.refuse("no_origin", "the registry of names did not answer", 1);
  }
  const { snapshot } = looked;
  if (snapshot === undefined || "stopped" in snapshot) {
    return refuseUnserved(visit, host.name, snapshot);
  }
  visit.cors = snapshot.settings.cors ?? false;
  visit.routeMs = Date.now() - visit.startedAt;

  // 3. May this caller pass? A CORS preflight carries no credentials and is answered before this.
  const allowed = corsPreflight(visit);
  if (allowed !== undefined) return allowed;
  const refusal = await authorize(env, context, request.headers, snapshot);
  visit.authMs = Date.now() - visit.startedAt - visit.routeMs;
  if (refusal !== undefined) {
    return visit.refuse(refusal.code, refusal.detail, refusal.retryAfter);
  }

  // 4. An answer that somebody comes back for? Nothing is begun for it, whatever the method.
  const result = parseResultTarget(target);
  if (result !== undefined) return await answerResult(env, visit, snapshot, result);

  // 5. What may go in, as data: the same for routing, auth and the app.
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > maxBodyBytes(env)) {
    return visit.refuse("body_too_large", `the limit is ${maxBodyBytes(env)} bytes`);
  }
  const id = crypto.randomUUID();
  visit.callId = id;
  const client = clientAddress(request, env);
  const headers = requestHeaders(request.headers, {
    host: host.authority,
    client,
    scheme: publicScheme(env.POSTERN_BASE_DOMAIN),
    requestId: visit.requestId,
    traceparent: traceparent(request, id),
    callId: id,
  });
  if (!Array.isArray(headers)) return visit.refuse(headers.refused, headers.detail);
  const { endpoint } = snapshot;
  const head: RequestHead = { call: id, endpoint, method: request.method, target, headers };

  // 6. To the box, and back to the client.
  if (isWebSocket(request)) {
    const answer = await openWebSocket(env, snapshot, head);
    if (answer.kind === "failed") return await fail(env, visit, host.name, answer.failure);
    if (answer.kind === "answered") return visit.pass(answer.head, answer.body);
    return visit.switchProtocols(answer.head, answer.socket);
  }
  const key = await idempotencyScope(request, head, client);
  if (key !== undefined && "malformed" in key) return visit.refuse("bad_request", key.malformed);
  if (key !== undefined) head.key = key.scope;
  const { respondAsync, waitS } = parsePrefer(request.headers.get("prefer"));
  if (respondAsync && waitS === undefined) head.async = true;
  const call = callOf(head, snapshot, request);
  // An asynchronous call is let go of by the agent, once it is in the journal and has its place.
  const patience = head.async === true ? requestTimeoutMs(env) : patienceMs(env, request);
  const answer = await exchange(env, call, patience);
  if (answer.kind === "failed") return await fail(env, visit, host.name, answer.failure);
  if (answer.kind !== "kept") return visit.pass(answer.head, answer.body);
  const { kept, box } = answer;
  return await comeBack(env, visit, { kept, box, snapshot, target, hop: 0 });
}

/** What a name is answered that no endpoint has, or whose app was stopped. */
function refuseUnserved(visit: Visit, name: string, stopped: StoppedName | undefined): Response {
  return stopped === undefined
    ? visit.refuse("no_such_endpoint", `${name} is not served here`)
    : visit.refuse("app_stopped", `the app of ${name} was stopped`);
}

/** The answer to a call that failed. A box that does not serve it may know more than this isolate remembers. */
async function fail(env: Env, visit: Visit, name: string, failure: Failure): Promise<Response> {
  if (failure.code === "no_origin") {
    const looked = await lookupAgain(env, name);
    if (!("unavailable" in looked)) {
      const { snapshot } = looked;
      if (snapshot === undefined || "stopped" in snapshot) {
        return refuseUnserved(visit, name, snapshot);
      }
    }
  }
  return visit.fail(failure);
}

/** The answer to a browser that asks whether a page may call this endpoint (Fetch, "CORS-preflight"). */
function corsPreflight(visit: Visit): Response | undefined {
  const { method, headers } = visit.request;
  if (visit.cors === false || method !== "OPTIONS") return undefined;
  const lines = preflight(visit.cors, {
    method,
    origin: headers.get("origin"),
    requestMethod: headers.get("access-control-request-method"),
    requestHeaders: headers.get("access-control-request-headers"),
  });
  if (lines === undefined) return undefined;
  const answer = new Headers();
  for (let index = 0; index < lines.length; index += 2) {
    answer.append(lines[index] as string, lines[index + 1] as string);
  }
  return new Response(null, { status: 204, headers: answer });
}

/**
 * What calls under one Idempotency-Key have in common, hashed; undefined without a key. The credential is
 * part of it, so that nobody can read another caller's answer by guessing a key.
 */
async function idempotencyScope(
  request: Request,
  { endpoint, method, target }: RequestHead,
  address: string,
): Promise<{ scope: string } | { malformed: string } | undefined> {
  const line = request.headers.get("idempotency-key");
  if (line === null) return undefined;
  const parsed = parseIdempotencyKey([line]);
  if (parsed.kind === "none") return undefined;
  if (parsed.kind === "malformed") return { malformed: parsed.detail };
  const credential = ["authorization", "modal-key", "modal-secret", "postern-key", "postern-secret"]
    .map((name) => request.headers.get(name) ?? "")
    .join("\n");
  const caller = credential.trim() === "" ? { address } : { credential };
  const [path = ""] = target.split("?", 1);
  const scope = scopeText({ endpoint, method, path, caller, key: parsed.key });
  return { scope: await sha256Hex(scope) };
}

function isWebSocket(request: Request): boolean {
  return request.headers.get("upgrade")?.toLowerCase() === "websocket";
}

/** Calls under one key go to one box, whether it is connected or not: another one would run them again. */
function callOf(head: RequestHead, snapshot: Snapshot, request: Request): Call {
  const { workspace, boxes: all } = snapshot;
  const home = head.key === undefined ? undefined : homeBox(head.key, all);
  const boxes = home === undefined ? all : [home];
  // One that is kept from its first byte on has to wait for the journal in any case.
  const keyed = head.key !== undefined;
  const handedOver = !keyed && head.async !== true;
  const text = asciiJson(JSON.stringify(head));
  return { id: head.call, workspace, boxes, head: text, request, keyed, handedOver };
}

/** Ids of zeros alone are none. */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** W3C Trace Context, version 00: the client's own where it is one, else a trace that begins here. */
function traceparent(request: Request, id: string): string {
  const given = request.headers.get("traceparent");
  if (given !== null && TRACEPARENT.test(given)) return given;
  const hex = id.replaceAll("-", "");
  return `00-${hex}-${hex.slice(16)}-01`;
}
