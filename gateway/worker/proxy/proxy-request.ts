/**
 * One call between a client and the box, as the Worker leads it: open, pass the answer on, and when the
 * link or the `Origin` object breaks, attach again by call id and byte offset. The Worker holds the one
 * thing that nobody else has, the client's connection; the agent holds the call.
 */
import type { ErrorCode } from "../../../routing/wire/errors.ts";
import { DETACHED_MS, INITIAL_WINDOW_BYTES } from "../../../routing/wire/limits.ts";
import { type Failure, type KeptCall, type ResponseHead } from "../../../routing/wire/messages.ts";
import {
  ask,
  attach,
  type CallPlace,
  NO_LINK,
  type Part,
  type WholeAnswer,
  partByMemory,
} from "./link-client.ts";
import { candidatesOf, mayGoElsewhere, noteAway } from "./candidates.ts";
import { isLinkUp, linkName } from "../../contracts/stubs.ts";
import { type Env, requestTimeoutMs } from "../../contracts/env.ts";
import { CLAIM_AFTER_MS, deskOf } from "../../contracts/local-queue.ts";
import { HEAD, PATIENCE, VERB, WHOLE } from "../../contracts/link.ts";
import type { BoxPlace } from "../../contracts/names.ts";
import { resumable } from "./resumable-body.ts";

const NO_BODY = new Uint8Array(0);

export type Answer =
  | { kind: "answered"; head: ResponseHead; body: ReadableStream<Uint8Array> | null }
  /** It came by memory, in one piece: only where the call may be handed over. */
  | WholeAnswer
  /** The client's patience ended first: the call goes on, and its answer will be kept. */
  | { kind: "kept"; kept: KeptCall; box: string }
  | { kind: "failed"; failure: Failure };

export interface Call {
  readonly id: string;
  readonly workspace: string;
  /** Where it may run. */
  readonly boxes: readonly BoxPlace[];
  /** The RequestHead as ASCII JSON. */
  readonly head: string;
  readonly request: Request;
  /** It is under an Idempotency-Key: it may be asked for again, and does not run twice. */
  readonly keyed?: boolean;
  /** It may go to its object by memory (handover.ts). */
  readonly handedOver?: boolean;
}

/**
 * Runs a call and gives its answer; a failure means that no byte of an answer exists.
 * @param patienceMs how long the client waits for response headers, from the last byte of its body on
 */
export async function exchange(env: Env, call: Call, patienceMs: number): Promise<Answer> {
  let body: RequestBody;
  try {
    body = await requestBody(call.request, requestTimeoutMs(env));
  } catch {
    // The client left, or it closed its sending side too early and reads on, or it is too slow.
    return failed("upload_interrupted", "the request body did not arrive whole");
  }
  const openedAt = Date.now();
  let { part, place } = await open(env, call, body, patienceMs);
  // `no_link` says that nothing was sent; `link_lost` that something may have been.
  const until = openedAt + patienceMs + DETACHED_MS;
  while (part.kind === "ended" && part.ending === "link_lost" && Date.now() < until) {
    part = await attach(env, place, 0, Math.max(0, openedAt + patienceMs - Date.now()));
    if (part.kind !== "ended") break;
    const isAway = part.ending === "no_link";
    if (!isAway && part.failure.code !== "call_lost") continue;
    if (body instanceof ReadableStream) {
      return failed("upload_interrupted", "the link to the box broke during the upload");
    }
    if (isAway) {
      // Whoever asks again under the key gets this call's answer, when the box is back.
      if (call.keyed === true) break;
      return failed("call_lost", "the box that may have run this call did not come back");
    }
    const sameAgent = (part.failure.welcomedForMs ?? 0) > Date.now() - openedAt;
    if (!sameAgent) return failed("call_lost", "the agent that may have run this call is gone");
    ({ part, place } = await open(env, call, body, patienceMs));
  }
  return answerOf(env, place, part, 0);
}

/**
 * The answer of a call that somebody began before.
 * @param offset bytes of the body to leave out
 */
export async function collect(
  env: Env,
  call: CallPlace,
  patienceMs: number,
  offset = 0,
): Promise<Answer> {
  return answerOf(env, call, await attach(env, call, offset, patienceMs), offset);
}

function answerOf(env: Env, call: CallPlace, part: Part, offset: number): Answer {
  if (part.kind === "whole") return part;
  if (part.kind === "kept") return { ...part, box: call.box };
  if (part.kind === "ended") return { kind: "failed", failure: part.failure };
  const { head, body, more } = part;
  if (!more || body === null) return { kind: "answered", head, body };
  return { kind: "answered", head, body: resumable(env, call, head, body, offset) };
}

type RequestBody = Uint8Array | ReadableStream<Uint8Array> | null;

/**
 * A body that fits the opening frame is read whole, so that it can be sent again; others stream.
 * @param limitMs how long it may take; one that streams has the endpoint's `timeout`
 * @throws where it does not arrive whole
 */
async function requestBody(request: Request, limitMs: number): Promise<RequestBody> {
  if (request.body === null) return null;
  const declared = Number(request.headers.get("content-length") ?? Number.NaN);
  if (declared > INITIAL_WINDOW_BYTES || Number.isNaN(declared)) return request.body;
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error("the body is late")), limitMs);
  try {
    return new Uint8Array(await Promise.race([request.arrayBuffer(), late.promise]));
  } finally {
    clearTimeout(timer);
  }
}

/** What one or more tries to open a call came to, and where the last one was. */
interface Opened {
  readonly part: Part;
  readonly place: CallPlace;
}

/** Opens the call on the first link that takes it. */
async function open(env: Env, call: Call, body: RequestBody, patienceMs: number): Promise<Opened> {
  const { id, workspace, boxes } = call;
  let opened: Opened | undefined;
  for (const { box, links, link, isLast } of candidatesOf(workspace, boxes)) {
    const place = { id, workspace, box, links };
    // A body that streams is given away with the first try: a link that is not there must not have it.
    const streams = body instanceof ReadableStream;
    const probed = streams && (boxes.length > 1 || links > 1);
    const absent = probed && !(await isLinkUp(env, workspace, { box, link }));
    const part = absent ? NO_LINK : await openOn(env, call, { place, link, body, patienceMs });
    const noLink = part.kind === "ended" && part.ending === "no_link";
    if (noLink && isLast) noteAway(workspace, box);
    // Of several refusals, one by a box that is there says more.
    if (opened === undefined || !noLink) opened = { part, place };
    if (part.kind !== "ended" || !mayGoElsewhere(part.ending, part.failure)) break;
    if (streams && !absent) break;
  }
  return opened ?? { part: NO_LINK, place: { id, workspace, box: "", links: 1 } };
}

interface Opening {
  readonly place: CallPlace;
  readonly link: number;
  readonly body: RequestBody;
  readonly patienceMs: number;
}

/** Opens the call on one link: by memory where its object is in this isolate, else by a request. */
async function openOn(env: Env, call: Call, opening: Opening): Promise<Part> {
  const handedOver = await handOver(env, call, opening);
  if (handedOver !== undefined) return handedOver;
  const { place, link, body, patienceMs } = opening;
  const headers: Record<string, string> = { [HEAD]: call.head, [PATIENCE]: `${patienceMs}` };
  if (body instanceof Uint8Array) headers[WHOLE] = "1";
  return await ask(env, place, link, VERB.open, { method: "POST", headers, body });
}

/** Opens the call by memory; undefined where it cannot be, and nothing was begun. */
async function handOver(env: Env, call: Call, opening: Opening): Promise<Part | undefined> {
  const { place, link, body, patienceMs } = opening;
  if (call.handedOver !== true || patienceMs <= CLAIM_AFTER_MS) return undefined;
  const desk = deskOf(linkName(place.workspace, place.box, link));
  if (desk === undefined || body instanceof ReadableStream) return undefined;
  const openedAt = Date.now();
  const outcome = await desk.handOver(call.id, call.head, body ?? NO_BODY);
  switch (outcome.kind) {
    case "answered":
    case "ended":
      return partByMemory(outcome);
    case "runs": {
      const patience = Math.max(0, openedAt + patienceMs - Date.now());
      const headers: Record<string, string> = { [HEAD]: call.id, [PATIENCE]: `${patience}` };
      return await ask(env, place, link, VERB.claim, { headers });
    }
    case "not_begun":
      return undefined;
  }
}

function failed(code: ErrorCode, detail: string): Answer {
  return { kind: "failed", failure: { code, detail } };
}
