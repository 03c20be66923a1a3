/**
 * The result of one attempt to get a call's response over one link of a box, and the form in which the link's
 * object sends that result to the Worker. Calls, WebSockets and operations of agents share these types.
 *
 * The object passes heads on as the JSON text that the agent sent. The Worker parses them, once. This file alone
 * turns JSON of an agent that is invalid into an `origin_error`.
 */
import { ProtocolError } from "../../routing/wire/frames.ts";
import { contentLength, parseResponseHead, type ResponseHead } from "../../routing/wire/heads.ts";
import {
  type Failure,
  type DeferredCall,
  parseFailure,
  parseDeferredCall,
} from "../../routing/wire/messages.ts";
import type { CallProgress } from "../../routing/wire/resend.ts";
import type { StreamEnding } from "../../routing/wire/multiplexer.ts";

/** Why an attempt failed: how its stream ended, or why there was none. */
export type FailureCause =
  | Exclude<StreamEnding["kind"], "deferred">
  /** No agent is connected by this link: it said goodbye, or it has been away for long. */
  | "no_link"
  /** No agent is connected by this link, but one was a moment ago. */
  | "link_away"
  /** No agent is connected by this link, and its object is too young to know of one. */
  | "link_unknown"
  | "too_many_streams"
  /** The object takes no more requests now; this one did not reach it. */
  | "overloaded";

/** A response's body: whole in memory, or a stream; null where there is none. */
export type ResponseBody = ReadableStream<Uint8Array> | Uint8Array | null;

interface ResponseAttempt<Head> {
  readonly kind: "response";
  readonly head: Head;
  readonly body: ResponseBody;
  /** More may follow than this attempt brings: where the body breaks, another attempt goes on. */
  readonly resumable: boolean;
  /** Bytes of the body from its first one on, where the agent ended it with its head; else undefined. */
  readonly wholeBytes?: number | undefined;
}

interface WebSocketAttempt<Head> {
  readonly kind: "websocket";
  readonly head: Head;
  readonly socket: WebSocket;
}

/** The result of an attempt, parsed. */
export type Attempt =
  | ResponseAttempt<ResponseHead>
  /** The app took the WebSocket; `socket` is the client's end. */
  | WebSocketAttempt<ResponseHead>
  /** The client's patience ended first: the call goes on, and its response will be stored. */
  | { readonly kind: "deferred"; readonly call: DeferredCall }
  | { readonly kind: "failed"; readonly cause: FailureCause; readonly failure: Failure };

/**
 * The call waits and its stream is parked: the agent has the whole request. The Worker lets go of its own copy and
 * claims the call.
 */
export interface ParkedAttempt {
  readonly kind: "parked";
  /** How long its client still waits for response headers; undefined: for ever. */
  readonly patienceMs: number | undefined;
}

/** An attempt with what the agent said still in its JSON. */
export type UnparsedAttempt =
  | ResponseAttempt<string>
  | WebSocketAttempt<string>
  | { readonly kind: "deferred"; readonly call: string }
  | { readonly kind: "failed"; readonly cause: FailureCause; readonly failure: string };

/** The same as a Response from the object: each part in a header of its own, as ASCII JSON. */
const HEAD = "postern-head";
const RESUMABLE = "postern-resumable";
const WHOLE_BYTES = "postern-whole-bytes";
const DEFERRED = "postern-deferred";
const CAUSE = "postern-cause";
const FAILURE = "postern-failure";
const PARKED = "postern-parked";

/** Object: the Response that tells the Worker of an attempt. */
export function attemptResponse(attempt: UnparsedAttempt | ParkedAttempt): Response {
  switch (attempt.kind) {
    case "response": {
      const headers: Record<string, string> = { [HEAD]: asciiJson(attempt.head) };
      if (attempt.resumable) headers[RESUMABLE] = "1";
      if (attempt.wholeBytes !== undefined) headers[WHOLE_BYTES] = `${attempt.wholeBytes}`;
      return new Response(attempt.body, { headers });
    }
    case "websocket": {
      const headers = { [HEAD]: asciiJson(attempt.head) };
      return new Response(null, { status: 101, webSocket: attempt.socket, headers });
    }
    case "parked":
      return new Response(null, { headers: { [PARKED]: `${attempt.patienceMs ?? ""}` } });
    case "deferred":
      return new Response(null, { headers: { [DEFERRED]: asciiJson(attempt.call) } });
    case "failed": {
      const headers = { [CAUSE]: attempt.cause, [FAILURE]: asciiJson(attempt.failure) };
      return new Response(null, { headers });
    }
  }
}

/**
 * Worker: the attempt that an object's Response tells of.
 * @throws Error where the Response tells of none, which is a fault of ours
 */
export function receivedAttempt(response: Response): Attempt {
  const { body, webSocket: socket, headers } = response;
  const head = headers.get(HEAD);
  if (head !== null) {
    const whole = headers.get(WHOLE_BYTES);
    const wholeBytes = whole === null ? undefined : Number(whole);
    const attempt: Attempt = parsedAttempt(
      socket === null
        ? { kind: "response", head, body, resumable: headers.has(RESUMABLE), wholeBytes }
        : { kind: "websocket", head, socket },
    );
    if (attempt.kind === "failed") void body?.cancel();
    return attempt;
  }
  const call = headers.get(DEFERRED);
  if (call !== null) return parsedAttempt({ kind: "deferred", call });
  const cause = headers.get(CAUSE);
  if (!isFailureCause(cause)) throw new Error("the object answered with no attempt");
  return parsedAttempt({ kind: "failed", cause, failure: headers.get(FAILURE) ?? "{}" });
}

/** Worker: the same of a call that may have been parked. */
export function receivedOpening(response: Response): Attempt | ParkedAttempt {
  const patience = response.headers.get(PARKED);
  if (patience === null) return receivedAttempt(response);
  return { kind: "parked", patienceMs: patience === "" ? undefined : Number(patience) };
}

/** Parses what the agent said; a failure where that makes no sense. */
export function parsedAttempt(attempt: UnparsedAttempt): Attempt {
  try {
    switch (attempt.kind) {
      case "response":
      case "websocket": {
        const head = parseResponseHead(attempt.head);
        // 101 is for a WebSocket whose dial-back has come.
        if ((head.status === 101) !== (attempt.kind === "websocket")) {
          throw new ProtocolError("head: 101 is for WebSockets alone");
        }
        return { ...attempt, head };
      }
      case "deferred":
        return { kind: "deferred", call: parseDeferredCall(attempt.call) };
      case "failed":
        return { ...attempt, failure: parseFailure(attempt.failure) };
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return failedAttempt("reset", { code: "origin_error", detail: error.message });
  }
}

/**
 * Fails an attempt whose body came whole, and not as long as its head says. Nothing of it has been sent, and a client
 * would take it for complete. A body that streams breaks at its end instead.
 * @param isHead the request that opened the call was a HEAD
 */
export function withRightLength(attempt: Attempt, isHead: boolean): Attempt {
  if (attempt.kind !== "response" || attempt.wholeBytes === undefined) return attempt;
  const { head, body, wholeBytes } = attempt;
  const declared = contentLength(head.headers);
  if (declared === undefined || declared === wholeBytes) return attempt;
  if (isBodiless(head.status) || isHead) return attempt;
  void discardBody(body);
  return failedAttempt("reset", {
    code: "origin_error",
    detail: `the response declares ${declared} bytes, and has ${wholeBytes}`,
  });
}

/** Whether a response of this status has no body, whatever length it declares (RFC 9110, 6.4.1 and 15.3.6). */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

/** Whether the attempt found no agent connected. */
export function isWithoutLink(attempt: Attempt): attempt is Attempt & { kind: "failed" } {
  if (attempt.kind !== "failed") return false;
  const { cause } = attempt;
  return cause === "no_link" || cause === "link_away" || cause === "link_unknown";
}

/** How far a call came whose attempt to open it failed so. */
export function progressOf(cause: FailureCause): CallProgress {
  return PROGRESS[cause];
}

/** Gives up a body that nobody wants. */
export async function discardBody(body: ResponseBody): Promise<void> {
  if (body instanceof ReadableStream) await body.cancel();
}

/** An attempt that failed on this side of the link. */
export function failedAttempt(cause: FailureCause, failure: Failure): Attempt & { kind: "failed" } {
  return { kind: "failed", cause, failure };
}

/** Makes JSON text printable ASCII, so that it may stand in a header value. */
export function asciiJson(json: string): string {
  return json.replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

const PROGRESS: Readonly<Record<FailureCause, CallProgress>> = {
  no_link: "not_sent",
  link_away: "not_sent",
  link_unknown: "not_sent",
  too_many_streams: "not_sent",
  overloaded: "not_sent",
  // REFUSE says that the call was not executed (docs/protocol.md).
  refused: "not_sent",
  link_lost: "unknown",
  reset: "started",
  done: "started",
  cancelled: "started",
  detached: "started",
};

function isFailureCause(text: string | null): text is FailureCause {
  return text !== null && Object.hasOwn(PROGRESS, text);
}
