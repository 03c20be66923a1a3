/**
 * What the Worker asks an `Origin` object about a call by a request, and what it makes of the answer: one
 * part of the app's answer, or how the attachment ended. An object that was reset is asked again.
 */
import {
  type Failure,
  type KeptCall,
  parseFailure,
  parseKeptCall,
  parseResponseHead,
  type ResponseHead,
} from "../../../routing/wire/messages.ts";
import { ProtocolError } from "../../../routing/wire/frames.ts";
import { DETACHED_MS } from "../../../routing/wire/limits.ts";
import {
  type Ending,
  ENDING,
  FAILURE,
  HEAD,
  KEPT,
  MORE,
  PATIENCE,
  VERB,
  WAIT,
} from "../../contracts/link.ts";
import { originStub } from "../../contracts/stubs.ts";
import type { Env } from "../../contracts/env.ts";
import type { Outcome } from "../../contracts/local-queue.ts";

/** Pause before another try when an object was reset; the agent needs about as long to dial again. */
const RETRY_MS = 100;

/** An answer in one piece. */
export interface WholeAnswer {
  kind: "whole";
  head: ResponseHead;
  body: Uint8Array | null;
}

/** A part of an answer as one attachment brought it. */
export type Part =
  | WholeAnswer
  | { kind: "head"; head: ResponseHead; body: ReadableStream<Uint8Array> | null; more: boolean }
  | { kind: "kept"; kept: KeptCall }
  | { kind: "ended"; ending: Ending; failure: Failure };

/** Where a call is. */
export interface CallPlace {
  readonly id: string;
  readonly workspace: string;
  readonly box: string;
  readonly links: number;
}

export const NO_LINK: Part = {
  kind: "ended",
  ending: "no_link",
  failure: { code: "no_origin", detail: "the box is not connected" },
};

/** Attaches to the call; waits while the link is away, at most as long as the agent keeps the call. */
export async function attach(
  env: Env,
  call: CallPlace,
  offset: number,
  patienceMs?: number,
): Promise<Part> {
  const headers: Record<string, string> = { [HEAD]: JSON.stringify({ call: call.id, offset }) };
  if (patienceMs !== undefined) headers[PATIENCE] = `${patienceMs}`;
  const { links } = call;
  // One link: its object wakes us when the agent is back. Several: the next one may be there already.
  if (links === 1) headers[WAIT] = "1";
  const until = Date.now() + DETACHED_MS;
  for (let tried = 0; ; tried += 1) {
    const part = await ask(env, call, tried % links, VERB.attach, { headers });
    const again =
      part.kind === "ended" &&
      (part.ending === "link_lost" || (part.ending === "no_link" && links > 1));
    if (!again || Date.now() > until) return part;
    await scheduler.wait(RETRY_MS);
  }
}

/** Asks the object of one link of a call's box. @param verb of VERB */
export async function ask(
  env: Env,
  { workspace, box }: CallPlace,
  link: number,
  verb: string,
  init: RequestInit,
): Promise<Part> {
  let response: Response;
  try {
    response = await originStub(env, workspace, box, link).fetch(verb, init);
  } catch {
    // The object was reset. What it had sent, it had sent.
    return { kind: "ended", ending: "link_lost", failure: { code: "call_lost", detail: "" } };
  }
  try {
    return partOf(response);
  } catch (error) {
    await response.body?.cancel();
    return senseless(error);
  }
}

/** @throws ProtocolError where the agent's words make no sense */
function partOf(response: Response): Part {
  const head = response.headers.get(HEAD);
  if (head === null) {
    const kept = response.headers.get(KEPT);
    if (kept !== null) return { kind: "kept", kept: parseKeptCall(kept) };
    const ending = response.headers.get(ENDING) as Ending;
    return { kind: "ended", ending, failure: parseFailure(response.headers.get(FAILURE) ?? "{}") };
  }
  return {
    kind: "head",
    head: parseResponseHead(head),
    body: response.body,
    more: response.headers.has(MORE),
  };
}

/** What came of a call by memory: its answer, or how it ended. */
export function partByMemory(outcome: Extract<Outcome, { kind: "answered" | "ended" }>): Part {
  try {
    if (outcome.kind === "ended") {
      const { ending, failure } = outcome;
      return { kind: "ended", ending, failure: parseFailure(failure) };
    }
    const { head, body } = outcome;
    return { kind: "whole", head: parseResponseHead(head), body: body.length === 0 ? null : body };
  } catch (error) {
    return senseless(error);
  }
}

/** What an agent said makes no sense. @throws any other error */
function senseless(error: unknown): Part {
  if (!(error instanceof ProtocolError)) throw error;
  return {
    kind: "ended",
    ending: "reset",
    failure: { code: "origin_error", detail: error.message },
  };
}
