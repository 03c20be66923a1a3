/**
 * Calls that outlive their request: the 303 to a result URL, the 202, and the response of a result URL. The
 * gateway remembers none of them: the token in the URL says where the call is, and the agent there stores its
 * response (docs/architecture.md).
 */
import { validKeys } from "../../../auth/keys.ts";
import { setHeader } from "../../../base/headers.ts";
import {
  isOpenedAt,
  type ResultTokenVerdict,
  signResultToken,
  verifyResultToken,
} from "../../../auth/result-token.ts";
import { parsePrefer } from "../../../routing/prefer.ts";
import { finalHop } from "../../../routing/redirect-budget.ts";
import {
  parseResultTarget,
  pathReference,
  type ResultTarget,
  resultTarget,
} from "../../../routing/result-url.ts";
import type { ResponseHead } from "../../../routing/wire/heads.ts";
import { shareOf } from "../../../routing/wire/stream-shares.ts";
import type { DeferredCall } from "../../../routing/wire/messages.ts";
import { publicScheme } from "../../../routing/names.ts";
import type { Env } from "../../contracts/env.ts";
import { type Attempt, discardBody, type ResponseBody } from "../../contracts/attempt.ts";
import { collectResponse } from "../proxy/proxy-request.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import type { Snapshot } from "../../contracts/names.ts";
import { patienceMs } from "./patience.ts";
import type { RequestContext } from "./request-context.ts";
import { statusEvents } from "./status-events.ts";

/** A call whose client is told to come back. */
interface Pending {
  readonly call: DeferredCall;
  /** Where the call is. */
  readonly box: string;
  /** Whether the request that began it was a HEAD, where that is not this one. */
  readonly isHead?: boolean;
  readonly snapshot: Snapshot;
  /** The original path and query. */
  readonly target: string;
  /** Redirects that led here. */
  readonly hop: number;
}

/**
 * Builds the response for a client that stops waiting while its call continues: 303 to the result URL, or 202 if
 * the client sent `Prefer` or would not follow another redirect.
 */
export async function redirectToResult(
  env: Env,
  context: RequestContext,
  pending: Pending,
): Promise<Response> {
  const { request } = context;
  const { call, box, isHead = request.method === "HEAD", snapshot, target, hop } = pending;
  context.callId = call.callId;
  const { respondAsync, waitS } = parsePrefer(request.headers.get("prefer"));
  const preferred = respondAsync || waitS !== undefined;
  const followsOn = hop < finalHop(request.headers.get("user-agent") ?? undefined);
  const redirected = !preferred && followsOn;
  const token = async (at: number): Promise<string> =>
    await signResultToken(
      {
        callId: call.callId,
        endpoint: snapshot.endpoint,
        appId: snapshot.appId,
        workspace: snapshot.workspace,
        box,
        isHead,
        hop: at,
        expiresAtS: Math.ceil(Date.now() / 1000) + resultLifetimeS(snapshot),
      },
      (await gatewayKeys(env)).resultTokens,
    );
  // A client that gets a 202 comes back by itself: its redirects are counted anew.
  const location = resultTarget(target, await token(redirected ? hop + 1 : 0));
  const headers = [
    "location",
    pathReference(location),
    "cache-control",
    "no-store",
    "referrer-policy",
    "no-referrer",
    "server-timing",
    waitTiming(call),
  ];
  if (redirected) return context.respond(303, headers, null);
  const origin = `${publicScheme(env.POSTERN_BASE_DOMAIN)}://${request.headers.get("host") ?? ""}`;
  const body = {
    call_id: call.callId,
    result_url: origin + location,
    events_url: origin + resultTarget(target, await token(0), "events"),
    status: call.status,
    position: call.position,
    eta_seconds: call.etaMs === undefined ? null : Math.round(call.etaMs / 100) / 10,
    elapsed_seconds: call.elapsedMs / 1000,
    code: "pending",
  };
  headers.push("content-type", "application/json", "retry-after", "1");
  // RFC 7240, 3 and 4.3: the two may stand together.
  const applied = [
    ...(respondAsync ? ["respond-async"] : []),
    ...(waitS === undefined ? [] : [`wait=${waitS}`]),
  ];
  if (preferred) headers.push("preference-applied", applied.join(", "));
  return context.respond(202, headers, `${JSON.stringify(body)}\n`);
}

/** Where the call is in the queue, and when its response is expected, where that is known. */
function waitTiming({ position, etaMs }: DeferredCall): string {
  const place = `position;desc=${position}`;
  return etaMs === undefined ? place : `${place}, eta;dur=${etaMs}`;
}

/** A result URL whose token was checked. */
interface CheckedResult extends ResultTarget {
  readonly verdict: ResultTokenVerdict;
  /** The id of the call that the token opens at its endpoint now; undefined where it opens none. */
  readonly call: string | undefined;
}

/** Checks the token of a result URL, which asks nobody; undefined for any other target. */
export function checkResult(
  env: Env,
  target: string,
  snapshot: Snapshot,
): Promise<CheckedResult> | undefined {
  const result = parseResultTarget(target);
  return result && check(env, result, snapshot);
}

async function check(env: Env, result: ResultTarget, snapshot: Snapshot): Promise<CheckedResult> {
  const keys = validKeys(await gatewayKeys(env)).map(({ resultTokens }) => resultTokens);
  const verdict = await verifyResultToken(result.token, keys, Date.now() / 1000);
  const isOpen = verdict.kind === "valid" && isOpenedAt(verdict.claims, snapshot);
  return { ...result, verdict, call: isOpen ? verdict.claims.callId : undefined };
}

/** Answers a result URL: attaches to its call, whatever the method. It never begins a call. */
export async function collectResult(
  env: Env,
  context: RequestContext,
  snapshot: Snapshot,
  result: CheckedResult,
  connection: () => string | undefined,
): Promise<Response> {
  const { verdict } = result;
  if (verdict.kind === "forged") return context.refuse("no_such_call", "the token is not ours");
  if (!isOpenedAt(verdict.claims, snapshot)) {
    return context.refuse("no_such_call", "the token belongs to another endpoint");
  }
  const { callId, workspace, box, isHead, hop } = verdict.claims;
  context.callId = callId;
  if (verdict.kind === "expired")
    return context.refuse("result_expired", "this result URL is too old");
  const share = shareOf(snapshot.endpoint);
  const place = { callId, workspace, box, links: linksOf(snapshot, box), share };
  if (result.kind === "events") return await statusEvents(env, context, place);
  const range = singleRange(context.request);
  const patience = patienceMs(env, snapshot.settings, context.request);
  const attempt = await collectResponse(env, place, patience, {
    offset: range?.first ?? 0,
    connection: connection(),
    isHead,
  });
  if (attempt.kind === "deferred") {
    const { call } = attempt;
    return await redirectToResult(env, context, {
      call,
      box,
      isHead,
      snapshot,
      target: result.target,
      hop,
    });
  }
  if (attempt.kind === "response") {
    const part = range === undefined ? undefined : partialContent(attempt, range);
    if (part !== undefined) return context.passOn(part.head, part.body);
    if (range === undefined || range.first === 0) {
      return context.passOn(attempt.head, attempt.body);
    }
    await discardBody(attempt.body);
  }
  if (range !== undefined) {
    // The range cannot be served: the whole response is right too (RFC 9110, 14.2).
    const whole = await collectResponse(env, place, patience, { isHead });
    if (whole.kind === "response") return context.passOn(whole.head, whole.body);
  }
  return attempt.kind === "failed"
    ? context.fail(attempt.failure)
    : context.refuse("call_lost", "the response is gone");
}

/** A box that does not serve the endpoint any more still has its link 0. */
function linksOf({ boxes }: Snapshot, box: string): number {
  return boxes.find((place) => place.box === box)?.links ?? 1;
}

/** Seconds for which a token is good: as long as its call can run and its response be read. */
export function resultLifetimeS({ settings }: Snapshot): number {
  return settings.timeout + settings.resultTtl;
}

interface ByteRange {
  first: number;
  last: number | undefined;
}

/** `Range: bytes=first-[last]`; others are ignored, as they may be. */
function singleRange({ headers, method }: Request): ByteRange | undefined {
  const match = /^bytes=(\d{1,15})-(\d{1,15})?$/.exec(headers.get("range") ?? "");
  // RFC 9110, 14.2: a Range with a condition is only for who can check it; with another method it says nothing.
  if (match === null || method !== "GET" || headers.has("if-range")) return undefined;
  const first = Number(match[1]);
  const last = match[2] === undefined ? undefined : Number(match[2]);
  return last !== undefined && last < first ? undefined : { first, last };
}

/** The 206 of a complete response from byte `first` on; undefined where it is not complete or has no such part. */
function partialContent(
  { head, body }: Attempt & { kind: "response" },
  { first, last }: ByteRange,
): { head: ResponseHead; body: ResponseBody } | undefined {
  const { length: total, status } = head;
  if (total === undefined || status !== 200 || first >= total || body === null) return undefined;
  const end = Math.min(last ?? total - 1, total - 1);
  const length = end - first + 1;
  const headers = setHeader(head.headers, "content-length", `${length}`);
  headers.push("content-range", `bytes ${first}-${end}/${total}`);
  const partial = { ...head, status: 206, headers };
  if (!(body instanceof ReadableStream)) {
    return { head: partial, body: body.subarray(0, length) };
  }
  const bytes = body.pipeThrough(firstBytes(length));
  return { head: partial, body: bytes.pipeThrough(new FixedLengthStream(length)) };
}

/** Passes on so many bytes, then ends. */
function firstBytes(length: number): TransformStream<Uint8Array, Uint8Array> {
  let left = length;
  return new TransformStream({
    transform(chunk, controller) {
      const part = chunk.subarray(0, left);
      left -= part.length;
      if (part.length > 0) controller.enqueue(part);
      if (left === 0) controller.terminate();
    },
  });
}
