/**
 * Opens a call on one link of a box: by memory where the link's object is in this isolate, else by a request. Of a call
 * that waits the Worker keeps no copy.
 */
import { INITIAL_WINDOW_BYTES } from "../../../routing/wire/limits.ts";
import { mayResend, type ResendTerms } from "../../../routing/wire/resend.ts";
import { OPERATIONS } from "../../../routing/wire/stream-shares.ts";
import { askLink, askToOpen } from "../../contracts/ask-link.ts";
import {
  type Attempt,
  failedAttempt,
  type ParkedAttempt,
  parsedAttempt,
} from "../../contracts/attempt.ts";
import type { Env } from "../../contracts/env.ts";
import {
  CONNECTION,
  HEAD,
  KEY,
  KNOWN_PARKED,
  OTHERS,
  PATIENCE,
  SHARE,
  VERB,
  WAIT,
  WHOLE,
} from "../../contracts/link.ts";
import { CLAIM_AFTER_MS, localQueueOf } from "../../contracts/local-queue.ts";
import { linkName } from "../../contracts/stubs.ts";
import type { Candidate, Unplaced } from "./candidates.ts";
import type { CallPlace } from "./link-client.ts";
import type { OutgoingBody } from "./request-body.ts";
import type { RequestHeadText } from "./request-head-text.ts";

const NO_BODY = new Uint8Array(0);

export interface OutgoingCall extends Unplaced {
  readonly head: RequestHeadText;
  readonly request: Request;
  /** The body where it was read before; once. */
  readonly readBody?: () => OutgoingBody | undefined;
  readonly terms: ResendTerms;
  /** The client's connection, where the runner watches it (contracts/watched-calls.ts). */
  readonly connection?: () => string | undefined;
  /** Its body is not given away to a link that may not be there: somebody else may answer it. */
  readonly hasFallback?: boolean;
  /** Where it was tried last: there it waits. */
  triedAt?: CallPlace;
  /** It may go to its object by memory (contracts/local-queue.ts). */
  readonly mayBeLocal?: boolean;
}

/** A call with its body, on its way to any box. */
export interface Opening {
  readonly env: Env;
  readonly call: OutgoingCall;
  /** `parked`: the agent had it, and only the agent. */
  body: OutgoingBody | "parked";
  readonly patienceMs: number;
  /** When it was first opened, in milliseconds of the epoch. */
  openedAt: number;
}

/** Whether the request's body can be sent again. */
export function isHere(body: Opening["body"]): body is Uint8Array | null {
  return body === null || body instanceof Uint8Array;
}

/** Opens the call on one link: by memory where its object is in this isolate, else by a request. */
export async function openOn(opening: Opening, candidate: Candidate): Promise<Attempt> {
  opening.call.triedAt = candidate.place;
  const attempt =
    (await openLocally(opening, candidate)) ?? (await openByRequest(opening, candidate));
  if (attempt.kind !== "parked") return attempt;
  letGo(opening);
  const claimed = await claimParked(opening, candidate, attempt.patienceMs);
  // Its body is gone: no other box can have the call.
  return claimed.kind === "failed" && claimed.cause === "refused" && opening.body === "parked"
    ? { ...claimed, cause: "reset" }
    : claimed;
}

/** The agent has the request, and the client's own request is here: no other copy is needed while the call waits. */
function letGo(opening: Opening): void {
  const { call } = opening;
  call.head.letGo();
  // A safe request may go to another agent where this one dies, and a refused one to the fallback.
  const isOfUse =
    opening.body === null || mayResend("unknown", call.terms) || call.hasFallback === true;
  if (!isOfUse) opening.body = "parked";
}

async function openByRequest(
  { env, call, body, patienceMs }: Opening,
  { place, link, wait, mayRefuse }: Candidate,
): Promise<Attempt | ParkedAttempt> {
  if (body === "parked") return AGENT_GONE;
  const head = call.head.get(mayRefuse);
  const headers: Record<string, string> = { [HEAD]: head, [PATIENCE]: `${patienceMs}` };
  if (body instanceof Uint8Array) headers[WHOLE] = "1";
  if (wait !== undefined) headers[WAIT] = wait;
  if (mayRefuse === true) headers[OTHERS] = "1";
  addClient(headers, call);
  return await askToOpen(env, place, link, VERB.open, { method: "POST", headers, body });
}

/** Opens the call by memory; undefined where it cannot be, and nothing was begun. */
async function openLocally(
  { env, call, body, patienceMs }: Opening,
  { place, link, mayRefuse }: Candidate,
): Promise<Attempt | ParkedAttempt | undefined> {
  if (call.mayBeLocal !== true || patienceMs <= CLAIM_AFTER_MS) return undefined;
  const queue = localQueueOf(linkName(place.workspace, place.box, link));
  if (queue === undefined || !isHere(body)) return undefined;
  // No object takes a longer one by memory (a rule that looks into bodies made it whole).
  if (body !== null && body.length > INITIAL_WINDOW_BYTES) return undefined;
  const { share = OPERATIONS } = call;
  const openedAt = Date.now();
  const outcome = await queue.put(call.callId, call.head.get(mayRefuse), body ?? NO_BODY, share);
  if (outcome === "not_opened") return undefined;
  const leftMs = Math.max(0, openedAt + patienceMs - Date.now());
  if (outcome === "parked") return { kind: "parked", patienceMs: leftMs };
  if (outcome === "running") {
    const headers = { [HEAD]: call.callId, [PATIENCE]: `${leftMs}` };
    addClient(headers, call);
    return await askToOpen(env, place, link, VERB.claim, { headers });
  }
  const attempt = parsedAttempt(outcome);
  const isEmpty = attempt.kind === "response" && attempt.body instanceof Uint8Array;
  return isEmpty && attempt.body.length === 0 ? { ...attempt, body: null } : attempt;
}

/** Waits for a parked call. */
async function claimParked(
  { env, call }: Opening,
  { place, link }: Candidate,
  patienceMs: number | undefined,
): Promise<Attempt> {
  const headers: Record<string, string> = { [HEAD]: call.callId, [KNOWN_PARKED]: "1" };
  if (patienceMs !== undefined) headers[PATIENCE] = `${patienceMs}`;
  if (call.key !== undefined) headers[KEY] = call.key;
  addClient(headers, call);
  return await askLink(env, place, link, VERB.claim, { headers });
}

function addClient(headers: Record<string, string>, { share, connection }: OutgoingCall): void {
  const name = connection?.();
  if (share !== undefined) headers[SHARE] = share;
  if (name !== undefined) headers[CONNECTION] = name;
}

const AGENT_GONE = failedAttempt("reset", {
  code: "call_lost",
  detail: "the agent that had this call is gone",
});
