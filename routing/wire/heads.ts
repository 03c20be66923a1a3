/**
 * The two heads of a call, which stand on the way of every request. Their parsers are written by hand, because
 * a schema doubles what checking costs: test/bench/heads.ts measures 1.3 µs for a response's head of six lines
 * against 1.95 µs, where JSON.parse alone takes 0.96 µs. `parseResponseHead` is the one boundary for what an
 * agent says of a response: a head that passes it can become a Response without an error.
 */
import { getHeader } from "../../base/headers.ts";
import { ProtocolError } from "./frames.ts";
import { hasControlCharacter, HEADER_LINE_OVERHEAD_BYTES } from "./headers.ts";
import { MAX_HEADER_BYTES } from "./limits.ts";
import { parseObject } from "./messages.ts";
import {
  isRequestSession,
  isResponseSession,
  type RequestSession,
  type ResponseSession,
} from "./sessions.ts";
import { isPoolLoad, type PoolLoad } from "./pool-load.ts";

/** The proxy token that opened an endpoint to a request. */
export interface RequestCaller {
  readonly token: string;
  readonly batch?: boolean;
  /** Its calls that a box takes at a time, those that wait included. */
  readonly most?: number;
}

/** A request's head as the edge understood it, once: routing, authorization and the app see the same. */
export interface RequestHead {
  /** Made at the edge. The agent runs a call of this id at most once. */
  callId: string;
  endpoint: string;
  method: string;
  /** Path and query exactly as the client sent them. */
  target: string;
  /** Names and values in turn. Names are lower-case. */
  headers: string[];
  /** `Prefer: respond-async`: the call is durable from the start, and DEFERRED answers it. */
  async?: boolean;
  /** Idempotency-Key: the SHA-256 of its scope (routing/idempotency.ts). Calls of one scope are one call. */
  key?: string;
  /** The box said that it knows a call under the key (`releaseKey`): this one joins it, and never runs itself. */
  joins?: boolean;
  /** A WebSocket handshake: 128 random bits in hex that the dial-back must name. */
  websocket?: string;
  /** Where the endpoint has affinity. */
  session?: RequestSession;
  /** Where a proxy token opened the endpoint: calls wait in turns by their tokens, those of batch tokens last. */
  caller?: RequestCaller;
  /**
   * Present where several boxes serve the endpoint: the response, or the refusal, tells the box's load. Where it is true,
   * a box without room refuses the call, because another one may have room.
   */
  mayRefuse?: boolean;
}

/** A response's head. For a WebSocket, status 101 announces the dial-back. */
export interface ResponseHead {
  /** 101, or 200 to 599. */
  status: number;
  /** Names and values in turn. Names are lower-case. Several Set-Cookie stand as several. */
  headers: string[];
  /** Bytes of the whole body, where the response is stored and complete. */
  length?: number;
  /** Milliseconds: waiting for a permit, waiting for a container to start, waiting for the app's headers. */
  timing?: { queue: number; start: number; app: number };
  /** Where the request has a session. */
  session?: ResponseSession;
  /** Of the endpoint on this box, where the request asked for it (`mayRefuse`). */
  load?: PoolLoad;
}

/** The head of an OPEN that asks the agent itself (operations.ts). */
export interface OperationHead {
  /** A name of AGENT_OPERATIONS, or of a newer gateway's. */
  readonly operation: string;
  readonly parameters: unknown;
}

/** The head of an OPEN: a call or an operation. @throws {ProtocolError} */
export function parseOpenHead(text: string): RequestHead | OperationHead {
  const head = parseObject(text, "open");
  if (!("operation" in head)) return requestHead(head);
  const { operation, parameters } = head as Partial<OperationHead>;
  if (typeof operation !== "string") throw new ProtocolError("open: operation is not a string");
  return { operation, parameters };
}

/** @throws {ProtocolError} */
export function parseRequestHead(text: string): RequestHead {
  return requestHead(parseObject(text, "open"));
}

function requestHead(object: object): RequestHead {
  const head: Partial<RequestHead> = object;
  if (
    typeof head.callId !== "string" ||
    typeof head.endpoint !== "string" ||
    typeof head.method !== "string" ||
    typeof head.target !== "string"
  ) {
    throw new ProtocolError("open: a member is missing");
  }
  if (!arePairs(head.headers)) throw new ProtocolError("open: headers is not a list of pairs");
  if (head.websocket !== undefined && typeof head.websocket !== "string") {
    throw new ProtocolError("open: websocket is not a string");
  }
  if (head.async !== undefined && typeof head.async !== "boolean") {
    throw new ProtocolError("open: async is not a boolean");
  }
  if (head.key !== undefined && typeof head.key !== "string") {
    throw new ProtocolError("open: key is not a string");
  }
  if (head.joins !== undefined && typeof head.joins !== "boolean") {
    throw new ProtocolError("open: joins is not a boolean");
  }
  if (head.session !== undefined && !isRequestSession(head.session)) {
    throw new ProtocolError("open: session is not a list of keys with a container");
  }
  if (head.caller !== undefined && !isCaller(head.caller)) {
    throw new ProtocolError("open: caller is not a token with its priority");
  }
  if (head.mayRefuse !== undefined && typeof head.mayRefuse !== "boolean") {
    throw new ProtocolError("open: mayRefuse is not a boolean");
  }
  return head as RequestHead;
}

/** @throws {ProtocolError} for a head that no Response can have; values are never quoted */
export function parseResponseHead(text: string): ResponseHead {
  const head = parseObject(text, "head") as Partial<ResponseHead>;
  const { status, headers, length, timing, session, load } = head;
  if (!isStatus(status)) throw new ProtocolError("head: status is neither 101 nor 200 to 599");
  if (!arePairs(headers)) throw new ProtocolError("head: headers is not a list of pairs");
  // JSON spells control characters and lone surrogates with a backslash, DEL excepted. Most heads have neither.
  const isPlain = !text.includes("\\") && !text.includes("\u007f");
  const problem = problemInHeaders(headers, isPlain);
  if (problem !== undefined) throw new ProtocolError(`head: ${problem}`);
  if (length !== undefined && !(Number.isSafeInteger(length) && length >= 0)) {
    throw new ProtocolError("head: length is not a number of bytes");
  }
  if (timing !== undefined && !isTiming(timing)) {
    throw new ProtocolError("head: timing is not three durations");
  }
  if (session !== undefined && !isResponseSession(session)) {
    throw new ProtocolError("head: session is not a container with a state");
  }
  if (load !== undefined && !isPoolLoad(load)) {
    throw new ProtocolError("head: load is not a pool's load");
  }
  return head as ResponseHead;
}

/** The Content-Length of a list that `parseResponseHead` took, in bytes. */
export function contentLength(headers: readonly string[]): number | undefined {
  const declared = getHeader(headers, "content-length");
  return declared === undefined ? undefined : Number(declared);
}

/** RFC 9110, 5.6.2, in lower case. */
const LOWER_CASE_TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

/** @param isPlain no value has a control character or a lone surrogate */
function problemInHeaders(headers: readonly string[], isPlain: boolean): string | undefined {
  let bytes = 0;
  let hasLength = false;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    const value = headers[index + 1] as string;
    bytes += name.length + value.length + HEADER_LINE_OVERHEAD_BYTES;
    if (!LOWER_CASE_TOKEN.test(name)) return "a header's name is not a lower-case token";
    if (!isPlain && (hasControlCharacter(value) || !value.isWellFormed())) {
      return "a header's value has a control character or a lone surrogate";
    }
    if (name !== "content-length") continue;
    // RFC 9112, 6.3: two lengths are two opinions on where the body ends.
    if (hasLength) return "two Content-Length lines";
    if (!/^\d{1,15}$/.test(value)) return "Content-Length is not a number of bytes";
    hasLength = true;
  }
  return bytes > MAX_HEADER_BYTES ? `more than ${MAX_HEADER_BYTES} bytes of headers` : undefined;
}

function isCaller(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { token, batch, most } = value as Partial<Record<string, unknown>>;
  if (batch !== undefined && typeof batch !== "boolean") return false;
  return typeof token === "string" && (most === undefined || Number.isSafeInteger(most));
}

function isStatus(status: unknown): status is number {
  if (typeof status !== "number" || !Number.isInteger(status)) return false;
  return status === 101 || (status >= 200 && status <= 599);
}

function arePairs(headers: unknown): headers is string[] {
  if (!Array.isArray(headers) || headers.length % 2 !== 0) return false;
  return headers.every((text) => typeof text === "string");
}

function isTiming(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { queue, start, app } = value as Partial<Record<string, unknown>>;
  return isDuration(queue) && isDuration(start) && isDuration(app);
}

/** JSON's 1e999 is Infinity. */
function isDuration(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
