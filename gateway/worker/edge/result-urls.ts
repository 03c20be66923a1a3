/**
 * Calls that outlive their request: the 303 to a result URL, the 202, and what a result URL answers. The
 * gateway remembers none of them: the token in the URL says where the call is, and the agent there keeps
 * its answer (docs/architecture.md, "Kept and passing calls").
 */
import { signResultToken, verifyResultToken } from "../../../auth/result-token.ts";
import { parsePrefer } from "../../../routing/prefer.ts";
import { finalHop } from "../../../routing/redirect-budget.ts";
import { pathReference, type ResultTarget, resultTarget } from "../../../routing/result-url.ts";
import type { KeptCall, ResponseHead } from "../../../routing/wire/messages.ts";
import { publicScheme } from "../../../routing/names.ts";
import { type Env, requestTimeoutMs } from "../../contracts/env.ts";
import { collect } from "../proxy/proxy-request.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import type { Snapshot } from "../../contracts/names.ts";
import type { Visit } from "./request-context.ts";

/** A call at a point of its life at which its client is told to come back. */
interface Pending {
  readonly kept: KeptCall;
  /** Where the call is. */
  readonly box: string;
  readonly snapshot: Snapshot;
  /** The original path and query. */
  readonly target: string;
  /** Redirects that led here. */
  readonly hop: number;
}

/** Milliseconds that the client of this request waits for response headers before it is sent on. */
export function patienceMs(env: Env, request: Request): number {
  const limit = requestTimeoutMs(env);
  const { respondAsync, waitS } = parsePrefer(request.headers.get("prefer"));
  if (waitS !== undefined) return Math.min(waitS * 1000, limit);
  return respondAsync ? 0 : limit;
}

/** What a client is told whose call goes on without it: 303 to the result URL, or 202 where it asked for that. */
export async function comeBack(env: Env, visit: Visit, pending: Pending): Promise<Response> {
  const { kept, box, snapshot, target, hop } = pending;
  const { request } = visit;
  visit.callId = kept.call;
  const { respondAsync, waitS } = parsePrefer(request.headers.get("prefer"));
  const preferred = respondAsync || waitS !== undefined;
  const followsOn = hop < finalHop(request.headers.get("user-agent") ?? undefined);
  const redirected = !preferred && followsOn;
  const token = async (at: number): Promise<string> =>
    await signResultToken(
      {
        call: kept.call,
        endpoint: snapshot.endpoint,
        workspace: snapshot.workspace,
        box,
        hop: at,
        expiresAtS: Math.ceil(Date.now() / 1000) + lifetimeS(snapshot),
      },
      (await gatewayKeys(env)).resultTokens,
    );
  // Whoever gets a 202 comes back by itself: its redirects are counted anew.
  const location = resultTarget(target, await token(redirected ? hop + 1 : 0));
  const headers = [
    "location",
    pathReference(location),
    "cache-control",
    "no-store",
    "referrer-policy",
    "no-referrer",
  ];
  if (redirected) return visit.answer(303, headers, null);
  const origin = `${publicScheme(env.POSTERN_BASE_DOMAIN)}://${request.headers.get("host") ?? ""}`;
  const body = {
    call_id: kept.call,
    result_url: origin + location,
    events_url: origin + resultTarget(target, await token(0), "events"),
    status: kept.status,
    position: kept.position,
    eta_seconds: null,
    elapsed_seconds: kept.elapsedMs / 1000,
    code: "pending",
  };
  headers.push("content-type", "application/json", "retry-after", "1");
  if (preferred)
    headers.push("preference-applied", respondAsync ? "respond-async" : `wait=${waitS}`);
  return visit.answer(202, headers, `${JSON.stringify(body)}\n`);
}

/** Answers a result URL: attaches to its call, whatever the method; nothing is ever begun. */
export async function answerResult(
  env: Env,
  visit: Visit,
  snapshot: Snapshot,
  result: ResultTarget,
): Promise<Response> {
  const { resultTokens } = await gatewayKeys(env);
  const verdict = await verifyResultToken(result.token, resultTokens, Date.now() / 1000);
  if (verdict.kind === "forged") return visit.refuse("no_such_call", "the token is not ours");
  const { call, endpoint, workspace, box, hop } = verdict.claims;
  visit.callId = call;
  if (endpoint !== snapshot.endpoint) {
    return visit.refuse("no_such_call", "the token belongs to another endpoint");
  }
  if (verdict.kind === "expired")
    return visit.refuse("result_expired", "this result URL is too old");
  if (result.kind === "events") {
    return visit.refuse("not_supported", "status events are not available yet");
  }
  const place = { id: call, workspace, box, links: linksOf(snapshot, box) };
  const range = singleRange(visit.request);
  const patience = patienceMs(env, visit.request);
  const answer = await collect(env, place, patience, range?.first ?? 0);
  if (answer.kind === "kept") {
    const { kept } = answer;
    return await comeBack(env, visit, { kept, box, snapshot, target: result.target, hop });
  }
  if (answer.kind === "answered") {
    const part = range === undefined ? undefined : partOf(answer.head, range);
    if (part !== undefined) {
      const bytes = answer.body?.pipeThrough(firstBytes(part.length));
      return visit.pass(part.head, bytes?.pipeThrough(new FixedLengthStream(part.length)) ?? null);
    }
    if (range === undefined || range.first === 0) return visit.pass(answer.head, answer.body);
    await answer.body?.cancel();
  }
  if (range !== undefined) {
    // The range cannot be served: the whole answer is right too (RFC 9110, 14.2).
    const whole = await collect(env, place, patience);
    if (whole.kind === "answered") return visit.pass(whole.head, whole.body);
  }
  return answer.kind === "failed"
    ? visit.fail(answer.failure)
    : visit.refuse("call_lost", "the answer is gone");
}

/** A box that does not serve the endpoint any more still has its link 0. */
function linksOf({ boxes }: Snapshot, box: string): number {
  return boxes.find((place) => place.box === box)?.links ?? 1;
}

/** Seconds for which a token is good: as long as its call can run and its answer be read. */
function lifetimeS({ settings }: Snapshot): number {
  return settings.timeout + settings.resultTtl;
}

interface Range {
  first: number;
  last: number | undefined;
}

/** `Range: bytes=first-[last]`; others are ignored, as they may be. */
function singleRange({ headers, method }: Request): Range | undefined {
  const match = /^bytes=(\d{1,15})-(\d{1,15})?$/.exec(headers.get("range") ?? "");
  // RFC 9110, 14.2: a Range with a condition is only for who can check it; with another method it says nothing.
  if (match === null || method !== "GET" || headers.has("if-range")) return undefined;
  const first = Number(match[1]);
  const last = match[2] === undefined ? undefined : Number(match[2]);
  return last !== undefined && last < first ? undefined : { first, last };
}

/** A part of a complete answer; undefined where it is not complete or has no such part. */
function partOf(
  head: ResponseHead,
  { first, last }: Range,
): { head: ResponseHead; length: number } | undefined {
  const { length: total, status } = head;
  if (total === undefined || status !== 200 || first >= total) return undefined;
  const end = Math.min(last ?? total - 1, total - 1);
  const length = end - first + 1;
  const headers: string[] = [];
  for (let index = 0; index < head.headers.length; index += 2) {
    const name = head.headers[index] as string;
    if (name !== "content-length") headers.push(name, head.headers[index + 1] as string);
  }
  headers.push("content-length", `${length}`, "content-range", `bytes ${first}-${end}/${total}`);
  return { head: { ...head, status: 206, headers }, length };
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
