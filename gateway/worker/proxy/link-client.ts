/** Attaches to a call that was opened before, over whichever of its box's links is there. */
import { DETACHED_MS } from "../../../routing/wire/limits.ts";
import { askLink } from "../../contracts/ask-link.ts";
import { type Attempt, isWithoutLink } from "../../contracts/attempt.ts";
import type { Env } from "../../contracts/env.ts";
import { CONNECTION, HEAD, PATIENCE, SHARE, VERB, WAIT } from "../../contracts/link.ts";

/** Pause before another try when an object was reset; the agent needs about as long to dial again. */
const RETRY_MS = 100;

/** An attach that lasted so long had found its link: where that is lost, the wait for it begins anew. */
const ATTACHED_MS = 1_000;

/** Where a call is. */
export interface CallPlace {
  readonly callId: string;
  /** As in `AttachRequest`. */
  readonly key?: string | undefined;
  readonly workspace: string;
  readonly box: string;
  readonly links: number;
  /** The endpoint among whose streams its streams count; undefined for an operation. */
  readonly share: string | undefined;
}

export interface AttachOptions {
  /** Bytes of the response's body to leave out. */
  readonly offset?: number;
  /** How long the client waits for response headers; undefined: for ever. */
  readonly patienceMs?: number;
  /** The client's connection, where the runner watches it. */
  readonly connection?: string | undefined;
  /** How long to wait for a link each time that it is lost; by default as long as the agent keeps a call without a stream. */
  readonly waitMs?: number;
}

/** Attaches to a call that was opened before. */
export async function attach(
  env: Env,
  place: CallPlace,
  { offset = 0, patienceMs, connection, waitMs = DETACHED_MS }: AttachOptions = {},
): Promise<Attempt> {
  const { callId, key, links, share } = place;
  const headers: Record<string, string> = { [HEAD]: JSON.stringify({ callId, key, offset }) };
  if (connection !== undefined) headers[CONNECTION] = connection;
  if (share !== undefined) headers[SHARE] = share;
  // One link: its object wakes us when the agent is back. Several: the next one may be there already.
  if (links === 1) headers[WAIT] = `${waitMs}`;
  const beganAt = Date.now();
  let until = beganAt + waitMs;
  for (let tried = 0; ; tried += 1) {
    const askedAt = Date.now();
    if (patienceMs !== undefined) {
      headers[PATIENCE] = `${Math.max(0, patienceMs - (askedAt - beganAt))}`;
    }
    const attempt = await askLink(env, place, tried % links, VERB.attach, { headers });
    if (Date.now() - askedAt >= ATTACHED_MS && !isWithoutLink(attempt)) until = Date.now() + waitMs;
    if (!mayAttachAgain(attempt, links) || Date.now() > until) return attempt;
    await scheduler.wait(RETRY_MS);
  }
}

/** Attaching begins nothing, so it may be repeated until the link is there. */
function mayAttachAgain(attempt: Attempt, links: number): boolean {
  if (isWithoutLink(attempt)) return links > 1;
  return attempt.kind === "failed" && attempt.cause === "link_lost";
}
