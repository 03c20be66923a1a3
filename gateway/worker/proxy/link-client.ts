/** The Worker's requests to a link's object about one call; each results in an attempt. */
import { DETACHED_MS } from "../../../routing/wire/limits.ts";
import {
  type Attempt,
  failedAttempt,
  isWithoutLink,
  receivedAttempt,
} from "../../contracts/attempt.ts";
import type { Env } from "../../contracts/env.ts";
import { HEAD, PATIENCE, VERB, WAIT } from "../../contracts/link.ts";
import { originStub } from "../../contracts/stubs.ts";

/** Pause before another try when an object was reset; the agent needs about as long to dial again. */
const RETRY_MS = 100;

/** Where a call is. */
export interface CallPlace {
  readonly callId: string;
  readonly workspace: string;
  readonly box: string;
  readonly links: number;
}

/**
 * Asks the object of one link. An object that is reset meanwhile counts as a lost link: what it had sent to the
 * agent, it had sent.
 * @param verb of VERB
 */
export async function askLink(
  env: Env,
  { workspace, box }: Pick<CallPlace, "workspace" | "box">,
  link: number,
  verb: string,
  init: RequestInit,
): Promise<Attempt> {
  let response: Response;
  try {
    response = await originStub(env, workspace, box, link).fetch(verb, init);
  } catch (error) {
    return isOverload(error)
      ? failedAttempt("overloaded", {
          code: "unavailable",
          detail: "the link to the box is overloaded",
          retryAfter: 1,
        })
      : failedAttempt("link_lost", { code: "call_lost", detail: "the link's object was reset" });
  }
  return receivedAttempt(response);
}

export interface AttachOptions {
  /** Bytes of the response's body to leave out. */
  readonly offset?: number;
  /** How long the client waits for response headers; undefined: for ever. */
  readonly patienceMs?: number;
  /** How long to wait for a link that is away; by default as long as the agent keeps a call without a stream. */
  readonly waitMs?: number;
}

/** Attaches to a call that was opened before. */
export async function attach(
  env: Env,
  place: CallPlace,
  { offset = 0, patienceMs, waitMs = DETACHED_MS }: AttachOptions = {},
): Promise<Attempt> {
  const { callId, links } = place;
  const headers: Record<string, string> = { [HEAD]: JSON.stringify({ callId: callId, offset }) };
  if (patienceMs !== undefined) headers[PATIENCE] = `${patienceMs}`;
  // One link: its object wakes us when the agent is back. Several: the next one may be there already.
  if (links === 1) headers[WAIT] = `${waitMs}`;
  const until = Date.now() + waitMs;
  for (let tried = 0; ; tried += 1) {
    const attempt = await askLink(env, place, tried % links, VERB.attach, { headers });
    if (!mayAttachAgain(attempt, links) || Date.now() > until) return attempt;
    await scheduler.wait(RETRY_MS);
  }
}

/** Attaching begins nothing, so it may be repeated until the link is there. */
function mayAttachAgain(attempt: Attempt, links: number): boolean {
  if (isWithoutLink(attempt)) return links > 1;
  return attempt.kind === "failed" && attempt.cause === "link_lost";
}

/** Cloudflare marks an error of an object that takes no more requests; such a request did not reach it. */
function isOverload(error: unknown): boolean {
  return typeof error === "object" && error !== null && "overloaded" in error && !!error.overloaded;
}
