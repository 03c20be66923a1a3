/**
 * One call between a client and a box, as the Worker leads it. The Worker opens the call and passes the response
 * on. When the link or its object breaks, the Worker attaches again by call id and byte offset. Only the Worker
 * has the client's connection; the agent holds the call.
 */
import type { ErrorCode } from "../../../routing/wire/errors.ts";
import { contentLength } from "../../../routing/wire/heads.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import { mayResend } from "../../../routing/wire/resend.ts";
import { DETACHED_MS } from "../../../routing/wire/limits.ts";
import {
  type Attempt,
  failedAttempt,
  isWithoutLink,
  withRightLength,
} from "../../contracts/attempt.ts";
import { type Env, requestTimeoutMs } from "../../contracts/env.ts";
import { LINK_RETURN_MS } from "../../contracts/link.ts";
import { isLinkUp } from "../../contracts/stubs.ts";
import { CLIENT_LEFT, hasLeft, watchCall } from "../../contracts/watched-calls.ts";
import { askRoom } from "./ask-room.ts";
import {
  type Candidate,
  isFollowed,
  type PlacedAttempt,
  tryCandidates,
  type Unplaced,
} from "./candidates.ts";
import { attach, type AttachOptions, type CallPlace } from "./link-client.ts";
import { isHere, type Opening, type OutgoingCall, openOn } from "./open-on-link.ts";
import { BODY_BROKE_OFF, type OutgoingBody, requestBody } from "./request-body.ts";
import { resumableBody } from "./resumable-body.ts";
import { retriesOf } from "./sightings.ts";

/** Pauses before a call is opened once more. One that reached no agent after the last of them never will. */
const REOPEN_PAUSES_MS: readonly number[] = [100, 200, 400, 800, 1_600];

/** An attempt to serve a call. */
export interface UnsentAttempt extends PlacedAttempt {
  /** The request's body, where it failed and nobody has been given the body. */
  readonly unsent?: OutgoingBody | undefined;
}

/**
 * Runs a call and returns what came of it. A failure means that no byte of a response exists.
 * @param patienceMs how long the client waits for response headers, from the last byte of its body on
 * @param pause waits so many milliseconds
 */
export async function proxyRequest(
  env: Env,
  call: OutgoingCall,
  patienceMs: number,
  pause: (milliseconds: number) => Promise<void> = (milliseconds) => scheduler.wait(milliseconds),
): Promise<UnsentAttempt> {
  const opening: Opening = { env, call, body: null, patienceMs, openedAt: 0 };
  try {
    opening.body = call.readBody?.() ?? (await requestBody(call.request, requestTimeoutMs(env)));
  } catch {
    return nowhere(call, BODY_BROKE_OFF);
  }
  opening.openedAt = Date.now();
  const retries = retriesOf(call.workspace, call.share ?? "");
  retries.onRequest();
  let placed = await open(opening, call);
  for (let again = 0; ; again += 1) {
    if (!isFollowed(placed.attempt) || !isHere(opening.body)) {
      if (!isLost(placed.attempt)) break;
      const recovered = await recover(opening, placed.place);
      placed = recovered ?? { ...placed, attempt: LOST };
      if (recovered !== undefined || !retries.take(Date.now())) break;
    }
    const pauseMs = REOPEN_PAUSES_MS[again];
    if (pauseMs === undefined) break;
    await watching(call, () => pause(pauseMs));
    placed = isGone(call) ? { ...placed, attempt: CLIENT_LEFT } : await open(opening, call);
  }
  const attempt = resumed(env, placed, 0, call.request.method === "HEAD");
  return { ...placed, attempt, unsent: unsentBody(opening) };
}

function unsentBody({ body }: Opening): OutgoingBody | undefined {
  return body === "parked" ? undefined : body;
}

export interface CollectOptions extends Pick<AttachOptions, "offset" | "connection"> {
  /** The request that opened the call was a HEAD. */
  readonly isHead: boolean;
}

/**
 * Gets the response of a call that was opened before.
 */
export async function collectResponse(
  env: Env,
  place: CallPlace,
  patienceMs: number,
  { offset = 0, connection, isHead }: CollectOptions,
): Promise<Attempt> {
  const attempt = await attach(env, place, { offset, patienceMs, connection });
  return resumed(env, { attempt, place }, offset, isHead);
}

/** The link was lost, and nobody knows how far the call came. */
function isLost(attempt: Attempt): boolean {
  return attempt.kind === "failed" && attempt.cause === "link_lost";
}

/**
 * The attempt that a call whose link was lost ends with; undefined where the call certainly never reached the
 * agent, and may be opened again.
 */
async function recover(opening: Opening, place: CallPlace): Promise<PlacedAttempt | undefined> {
  const { env, call, patienceMs, openedAt } = opening;
  const others = mayRunElsewhere(opening) ? call.boxes.filter(({ box }) => box !== place.box) : [];
  const options: AttachOptions = {
    connection: call.connection?.(),
    patienceMs: Math.max(0, openedAt + patienceMs - Date.now()),
    waitMs: others.length === 0 ? DETACHED_MS : LINK_RETURN_MS,
  };
  const attempt = await watching(call, () => attach(env, place, options));
  if (attempt.kind !== "failed" || attempt.cause === "cancelled") return { attempt, place };
  if (isGone(call)) return { attempt: CLIENT_LEFT, place };
  const isAway = isWithoutLink(attempt);
  const mayRetry = (): boolean => retriesOf(call.workspace, call.share ?? "").take(Date.now());
  if (isAway && others.length > 0 && mayRetry()) {
    const elsewhere = await open(opening, { ...call, boxes: others });
    if (!isWithoutLink(elsewhere.attempt)) return elsewhere;
  }
  const mayBeLost = isAway || isLost(attempt) || attempt.failure.code === "call_lost";
  if (!mayBeLost) return { attempt, place };
  if (isAway && call.terms.isKeyed) {
    // A client that asks again under the key gets this call's response, when the box is back.
    return { attempt, place };
  }
  const failure = lossOf(opening, isAway, attempt.failure.knownSinceMs ?? 0);
  return failure === undefined ? undefined : { attempt: failure, place };
}

/** Has the client watched while no object has its call. */
async function watching<Value>(call: OutgoingCall, wait: () => Promise<Value>): Promise<Value> {
  const connection = call.connection?.();
  const forget = connection === undefined ? undefined : watchCall(connection);
  try {
    return await wait();
  } finally {
    forget?.();
  }
}

/** Whether the client is known to have left. Where it is not watched, its Worker ends with it. */
function isGone(call: OutgoingCall): boolean {
  const connection = call.connection?.();
  return connection !== undefined && hasLeft(connection);
}

/** Whether another box may run the call, though it may have run on the box that is gone. */
function mayRunElsewhere({ call, body }: Opening): boolean {
  return isHere(body) && mayResend("unknown", call.terms);
}

/**
 * Why a call that its agent does not have is lost; undefined where it may be sent again.
 * @param knownSinceMs how long the agent has known every call that was sent to its box
 */
function lossOf(
  { call, body, openedAt }: Opening,
  isAway: boolean,
  knownSinceMs: number,
): Attempt | undefined {
  if (body instanceof ReadableStream) {
    return failed("upload_interrupted", "the link to the box broke during the upload");
  }
  if (isAway) return failed("call_lost", "the box that may have run this call did not come back");
  const progress = knownSinceMs > Date.now() - openedAt ? "not_sent" : "unknown";
  if (isHere(body) && mayResend(progress, call.terms)) return undefined;
  return failed("call_lost", "the agent that may have run this call is gone");
}

/** The attempt with a body that outlives a cut, where its response may be resumed. */
function resumed(
  env: Env,
  { attempt: given, place }: PlacedAttempt,
  offset: number,
  isHead: boolean,
): Attempt {
  const attempt = withRightLength(given, isHead);
  if (attempt.kind !== "response" || !attempt.resumable) return attempt;
  const { head, body } = attempt;
  if (!(body instanceof ReadableStream)) return attempt;
  const length = contentLength(head.headers) ?? offset;
  if (length < offset) {
    void body.cancel();
    return failed(
      "origin_error",
      `the box tells of ${length} bytes, and sends those after ${offset}`,
    );
  }
  return { ...attempt, body: resumableBody(env, place, head, body, offset) };
}

/** Opens the call on the first link that takes it. */
async function open(opening: Opening, call: Unplaced): Promise<PlacedAttempt> {
  const { env, body } = opening;
  const hasOtherLinks = call.boxes.length > 1 || (call.boxes[0]?.links ?? 1) > 1;
  // A body that streams is given away with the first try: a link that is not there must not have it.
  const { hasFallback = false } = opening.call;
  if (!(body instanceof ReadableStream) || !(hasOtherLinks || hasFallback)) {
    return await tryCandidates(env, call, (candidate) => openOn(opening, candidate));
  }
  let isGiven = false;
  return await tryCandidates(env, call, async (candidate) => {
    if (isGiven) return failed("upload_interrupted", "the box refused the request");
    const refused = await refusedBefore(opening, candidate, hasFallback);
    if (refused !== undefined) return refused;
    isGiven = true;
    const attempt = await openOn(opening, {
      ...candidate,
      mayRefuse: candidate.mayRefuse && false,
    });
    // Its body is gone with it: no other link can have the call.
    return attempt.kind === "failed" && attempt.cause !== "link_lost"
      ? { ...attempt, cause: "reset" }
      : attempt;
  });
}

/** The attempt that a call would have failed with on this link; undefined where it may be given the call's body. */
async function refusedBefore(
  { env, call }: Opening,
  candidate: Candidate,
  hasFallback: boolean,
): Promise<Attempt | undefined> {
  const { place, link, wait, mayRefuse } = candidate;
  if (mayRefuse !== undefined) return await askRoom(env, candidate, call.head.target);
  // It is the last one, which is waited for.
  if (wait !== undefined && !hasFallback) return undefined;
  const isUp = await isLinkUp(env, place.workspace, { box: place.box, link });
  return isUp ? undefined : NOT_CONNECTED;
}

const NOT_CONNECTED = failedAttempt("no_link", {
  code: "no_origin",
  detail: "the box is not connected",
  retryAfter: 1,
});

/** A call that may be sent again, and is not. */
const LOST = failed("call_lost", "the link to the box was lost");

function failed(code: ErrorCode, detail: string): Attempt {
  return failedAttempt("reset", { code, detail });
}

function nowhere({ callId, workspace, share }: Unplaced, failure: Failure): PlacedAttempt {
  const place: CallPlace = { callId, workspace, box: "", links: 1, share };
  return { attempt: failedAttempt("reset", failure), place };
}
