/**
 * The contract of `Origin`, the object at the gateway's end of one link of a box: its methods, and the
 * requests that the Worker sends to it. A head travels as JSON text in one header. The Worker builds that
 * text once and the object puts it into a frame as it is, because a Request would normalise the target.
 */
import type { StreamEnding } from "../../routing/wire/multiplexer.ts";

/** The methods of a link's object. */
export interface LinkRpc extends Rpc.DurableObjectBranded {
  /** Whether an agent is connected by this link; with an incarnation: that agent. */
  isUp(incarnation?: string): boolean;
  /** Ends the link of a box that may not be connected any more. */
  cutRevoked(): void;
  /** Tells the agent that its assignments have changed; returns whether it heard. */
  notifyAssignments(): Promise<boolean>;
  fetch(request: Request): Promise<Response>;
}

/** How a stream ended that brought no response. */
export type Ending = Exclude<StreamEnding["kind"], "kept"> | "no_link" | "too_many_streams";

/** Verbs, as URLs: an object sees no other part of the public request but what the head says. */
export const VERB = {
  open: "http://origin/open",
  attach: "http://origin/attach",
  claim: "http://origin/claim",
  websocket: "http://origin/websocket",
  link: "http://origin/link",
  dial: "http://origin/dial",
  abort: "http://origin/abort",
} as const;

/** To the object: a RequestHead, an AttachRequest, or a claimed call's id. From it: a ResponseHead. ASCII JSON. */
export const HEAD = "postern-head";
/** From the object: the body does not end with this first part; it may be cut and attached to again. */
export const MORE = "postern-more";
/** From the object instead of a head: a Failure, ASCII JSON. */
export const FAILURE = "postern-failure";
/** From the object beside a failure: what became of the stream (`refused`, `reset`, `link_lost`, `no_link`). */
export const ENDING = "postern-ending";
/** To the object: milliseconds after the last byte of the body until the client will not wait any longer. */
export const PATIENCE = "postern-patience";
/** From the object instead of a head: the call goes on and is kept. A KeptCall, ASCII JSON. */
export const KEPT = "postern-kept";
/** To the object: the body is at most 64 KiB and complete at the Worker. */
export const WHOLE = "postern-whole";
/** To the object with an attach: the link may be away, wait for it. */
export const WAIT = "postern-wait";
/** To the object on a link's dial or a dial-back: what the Worker has verified. */
export const WORKSPACE = "postern-workspace";
export const BOX = "postern-box";
export const SERIAL = "postern-serial";
export const LINK = "postern-link";
export const INCARNATION = "postern-incarnation";
export const NONCE = "postern-nonce";

/** What the Worker reads of an answer at most at a time, and the object hands on: beyond it, copying costs more than asking. */
export const MOST_AT_A_TIME_BYTES = 256 * 1024;

/** Why a box is refused, or its link cut: for the agent's operator. */
export const REVOKED =
  "revoked, or enrolled anew elsewhere; remove its identity.json, and it is enrolled anew";

/** Makes JSON text printable ASCII, so that it may stand in a header value. */
export function asciiJson(json: string): string {
  return json.replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
