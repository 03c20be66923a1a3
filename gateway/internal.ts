/**
 * What the stateless Worker and the `Origin` object say to each other. Heads travel as JSON text in one
 * header, built once at the edge and put into the frame as it is: a Request would normalise the target,
 * and parsing it again would be work done twice.
 */

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
