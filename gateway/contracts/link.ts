/**
 * The contract of `Origin`, the object at the gateway's end of one link of a box: its methods, and the
 * requests that the Worker sends to it. A head travels as JSON text in one header. The Worker builds that
 * text once and the object puts it into a frame as it is, because a Request would normalise the target.
 */

/** The news of which an agent is told: each says what it is to ask for. */
export type BoxNews = "refreshAssignments" | "refreshShares";

/** The methods of a link's object. */
export interface LinkRpc extends Rpc.DurableObjectBranded {
  /** Whether an agent is connected by this link; with an incarnation: that agent. */
  isUp(incarnation?: string): boolean;
  /** Ends the link of a box that may not be connected any more, and the WebSockets that came over it. */
  cutRevoked(): void;
  /**
   * The clients of these connections have closed their half (contracts/watched-calls.ts). They are told of again
   * while that lasts; one for which nothing comes has left.
   */
  clientsHalfClosed(connections: readonly string[]): void;
  /** Tells the agent that there is something new to ask for; returns whether it heard. */
  notify(operation: BoxNews): Promise<boolean>;
  fetch(request: Request): Promise<Response>;
}

/** Verbs, as URLs: an object sees no other part of the public request but what the head says. */
export const VERB = {
  open: "http://origin/open",
  attach: "http://origin/attach",
  claim: "http://origin/claim",
  /** Status events of a call: a response whose body is text/event-stream. */
  watch: "http://origin/watch",
  websocket: "http://origin/websocket",
  link: "http://origin/link",
  dial: "http://origin/dial",
} as const;

/** A RequestHead, an AttachRequest, or the id of a claimed or watched call. ASCII JSON. */
export const HEAD = "postern-head";
/** Milliseconds after the last byte of the body until the client will not wait any longer. */
export const PATIENCE = "postern-patience";
/** The body is short, and complete at the Worker. */
export const WHOLE = "postern-whole";
/**
 * How long to wait for a link that is away: milliseconds; `lately`, LINK_RETURN_MS where it was there a moment
 * ago; `seen`, the same also where the object is too young to know, since the Worker saw the link a moment ago.
 * Without it the object answers at once.
 */
export const WAIT = "postern-wait";
/** On a new call: another box may take it, so that it is not opened on a link that is quiet. */
export const OTHERS = "postern-others";
/** On a claim: the call's key, as in `RequestHead`. */
export const KEY = "postern-key";
/** On a claim: the Worker knows that the call is parked, and has let go of its copy of the request. */
export const KNOWN_PARKED = "postern-known-parked";
/** The endpoint among whose streams the call's counts; without it an operation's. */
export const SHARE = "postern-share";
/** The name of the client's connection, where the runner watches it (contracts/watched-calls.ts). */
export const CONNECTION = "postern-connection";
/** On a link's dial or a dial-back: what the Worker has verified. */
export const WORKSPACE = "postern-workspace";
export const BOX = "postern-box";
export const SERIAL = "postern-serial";
export const LINK = "postern-link";
export const INCARNATION = "postern-incarnation";
/** On a request of an agent: counts up by one, so that an older one that comes late is known. */
export const REQUEST_NUMBER = "postern-request-number";
export const NONCE = "postern-nonce";

/** How long a new call waits for a link that was there a moment ago. */
export const LINK_RETURN_MS = 5_000;

/** A link that was up within this time was there a moment ago. */
export const LATELY_MS = 10_000;

/** Why a box is refused, or its link cut: for the agent's operator. */
export const REVOKED =
  "revoked, or enrolled anew elsewhere; remove its identity.json, and it is enrolled anew";
