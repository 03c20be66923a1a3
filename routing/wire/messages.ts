/**
 * The JSON that frames carry, as types. Both sides check what they read (`parse…` below): the peer may
 * be of another version, or not be one of ours at all. Fields that a reader does not know are ignored;
 * a field whose absence matters is never optional.
 */
import { type ErrorCode, isErrorCode } from "./errors.ts";
import { ProtocolError } from "./frames.ts";

/** Agent → gateway, the first frame of a link. */
export interface Hello {
  /** Protocol versions that the agent speaks; the gateway chooses the highest that both know. */
  versions: number[];
  /** The agent's own version, for logs. */
  agent: string;
  /** One random name per agent process. Calls that one incarnation has never seen were never executed by it. */
  incarnation: string;
  /** How many links this box keeps; link numbers run from 0. */
  links: number;
  /** Link 0 alone: everything that the box serves. What it served before and is not listed is released. */
  endpoints?: EndpointAnnouncement[];
}

/** One endpoint of a box. The gateway makes its host name of these parts (routing/names.ts). */
export interface EndpointAnnouncement {
  workspace: string;
  environment: string;
  app: string;
  function: string;
  /** The user's own label instead of `<app>-<function>`. */
  label?: string;
  /** An ephemeral app's suffix (`dev`). */
  devSuffix?: string;
  /** What OPEN names; unique within the box. */
  endpoint: string;
  settings: EndpointSettings;
}

/** What the edge must know of an endpoint before it asks anybody. */
export interface EndpointSettings {
  /** Callers need a proxy auth token of the workspace. */
  requiresProxyAuth?: boolean;
  /** Seconds until the app's response headers. */
  timeout: number;
  /** Seconds that a kept answer can be read. */
  resultTtl: number;
  /** `true` allows every origin; see routing/cors.ts. */
  cors?: boolean | { origins?: string[]; headers?: string[]; credentials?: boolean };
}

/** Gateway → agent, the answer to hello. */
export interface Welcome {
  version: number;
  /** Per announced endpoint, in order: its URL and its app's token, or why it was not accepted. */
  endpoints: ({ url: string; appToken: string } | { refused: ErrorCode; detail: string })[];
}

/** A request's head as the edge understood it, once: routing, auth and the app see the same. */
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
  /** Idempotency-Key: the SHA-256 of its scope (routing/idempotency.ts); calls of one scope are one call. */
  key?: string;
  /** A WebSocket handshake: 128 random bits in hex that the dial-back must name. */
  websocket?: string;
}

/** An answer's head. For a WebSocket, status 101 announces the dial-back. */
export interface ResponseHead {
  status: number;
  /** Names and values in turn; several Set-Cookie stand as several. */
  headers: string[];
  /** Bytes of the whole body, where the answer is kept and complete. */
  length?: number;
  /** Milliseconds: waiting for a slot, waiting for a container to start, waiting for the app's headers. */
  timing?: { queue: number; start: number; app: number };
}

/** DEFERRED: what a client that stops waiting is told about its call. */
export interface DeferredCall {
  /** Under an Idempotency-Key, that of the first request. */
  callId: string;
  /** Modal's, in lower case. */
  status: "pending" | "running";
  /** Calls before it in the queue; 0 when it runs. */
  position: number;
  /** Milliseconds since the call was opened. */
  elapsedMs: number;
}

export interface AttachRequest {
  callId: string;
  /** Body bytes that the client already has. */
  offset: number;
}

/** REFUSE: the stream was not executed, or cannot be attached to. RESET: it was, and it failed. */
export interface Failure {
  code: ErrorCode;
  detail: string;
  /** Seconds after which trying again makes sense. */
  retryAfter?: number;
  /**
   * With `call_lost` in answer to ATTACH: milliseconds since all links of this incarnation had been welcomed.
   * A call opened later than that can only have gone to this incarnation, which does not know it: it may be
   * opened again. An older one may have been run by a process that died.
   */
  knownSinceMs?: number;
}

/** What a flat header list declares as Content-Length, in bytes. */
export function contentLength(headers: readonly string[]): number | undefined {
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] === "content-length") return Number(headers[index + 1]);
  }
  return undefined;
}

export function parseHello(text: string): Hello {
  const value = parseObject(text, "hello");
  const { versions, agent, incarnation, links, endpoints } = value as Partial<Hello>;
  if (!Array.isArray(versions)) throw new ProtocolError("hello: versions is not a list");
  if (typeof agent !== "string") throw new ProtocolError("hello: agent is not a string");
  if (typeof incarnation !== "string" || !/^[0-9a-f]{32}$/.test(incarnation)) {
    throw new ProtocolError("hello: incarnation is not 32 hex digits");
  }
  if (typeof links !== "number" || !Number.isInteger(links) || links < 1 || links > 16) {
    throw new ProtocolError("hello: links is not a number from 1 to 16");
  }
  const hello: Hello = { versions: versions.filter(Number.isInteger), agent, incarnation, links };
  if (endpoints === undefined) return hello;
  if (!Array.isArray(endpoints) || endpoints.length > 1000) {
    throw new ProtocolError("hello: endpoints is not a list of at most 1,000");
  }
  for (const entry of endpoints as Partial<EndpointAnnouncement>[]) {
    if (typeof entry !== "object" || entry === null) {
      throw new ProtocolError("hello: an endpoint is not an object");
    }
    for (const key of ["workspace", "environment", "app", "function", "endpoint"] as const) {
      if (typeof entry[key] !== "string") throw new ProtocolError(`hello: no ${key}`);
    }
    for (const key of ["label", "devSuffix"] as const) {
      const value = entry[key];
      if (value !== undefined && typeof value !== "string") {
        throw new ProtocolError(`hello: ${key} is not a string`);
      }
    }
    if (typeof entry.settings !== "object" || entry.settings === null) {
      throw new ProtocolError("hello: an endpoint has no settings");
    }
    const { requiresProxyAuth } = entry.settings;
    if (requiresProxyAuth !== undefined && typeof requiresProxyAuth !== "boolean") {
      throw new ProtocolError("hello: requiresProxyAuth is not a boolean");
    }
    if (!isDuration(entry.settings.timeout) || !isDuration(entry.settings.resultTtl)) {
      throw new ProtocolError("hello: timeout or resultTtl is not a number of seconds");
    }
  }
  return { ...hello, endpoints };
}

export function parseWelcome(text: string): Welcome {
  const { version, endpoints } = parseObject(text, "welcome") as Partial<Welcome>;
  if (typeof version !== "number") throw new ProtocolError("welcome: version is not a number");
  if (!Array.isArray(endpoints)) throw new ProtocolError("welcome: endpoints is not a list");
  type Entry = Partial<Record<"url" | "appToken" | "refused" | "detail", unknown>>;
  for (const entry of endpoints as Entry[]) {
    const accepted = typeof entry?.url === "string" && typeof entry.appToken === "string";
    const refused = typeof entry?.refused === "string" && typeof entry.detail === "string";
    if (!accepted && !refused) throw new ProtocolError("welcome: an endpoint has no answer");
  }
  return { version, endpoints };
}

export function parseRequestHead(text: string): RequestHead {
  const head = parseObject(text, "open") as Partial<RequestHead>;
  if (
    typeof head.callId !== "string" ||
    typeof head.endpoint !== "string" ||
    typeof head.method !== "string" ||
    typeof head.target !== "string"
  ) {
    throw new ProtocolError("open: a field is missing");
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
  return head as RequestHead;
}

export function parseResponseHead(text: string): ResponseHead {
  const head = parseObject(text, "head") as Partial<ResponseHead>;
  const { status, headers, timing } = head;
  if (typeof status !== "number" || !Number.isInteger(status) || status < 101 || status > 999) {
    throw new ProtocolError("head: status is not a status");
  }
  if (!arePairs(headers)) throw new ProtocolError("head: headers is not a list of pairs");
  if (timing !== undefined && !isTiming(timing)) {
    throw new ProtocolError("head: timing is not three durations");
  }
  return head as ResponseHead;
}

export function parseAttach(text: string): AttachRequest {
  const { callId, offset } = parseObject(text, "attach") as Partial<AttachRequest>;
  if (typeof callId !== "string") throw new ProtocolError("attach: callId is not a string");
  if (typeof offset !== "number" || !Number.isSafeInteger(offset) || offset < 0) {
    throw new ProtocolError("attach: offset is not a byte count");
  }
  return { callId, offset };
}

export function parseDeferredCall(text: string): DeferredCall {
  const deferred = parseObject(text, "deferred") as Partial<DeferredCall>;
  const { callId, status, position, elapsedMs } = deferred;
  if (typeof callId !== "string") throw new ProtocolError("deferred: callId is not a string");
  if (status !== "pending" && status !== "running") {
    throw new ProtocolError("deferred: status is neither pending nor running");
  }
  if (!isDuration(position) || !isDuration(elapsedMs)) {
    throw new ProtocolError("deferred: position or elapsedMs is not a number from 0");
  }
  return { callId, status, position, elapsedMs };
}

/** An unknown code becomes `origin_error`: a newer agent may know more of them. */
export function parseFailure(text: string): Failure {
  const failure = parseObject(text, "failure") as Partial<Failure>;
  const { code, detail, retryAfter, knownSinceMs } = failure;
  return {
    code: isErrorCode(code) ? code : "origin_error",
    detail: typeof detail === "string" ? detail : "",
    ...(isDuration(retryAfter) ? { retryAfter } : {}),
    ...(isDuration(knownSinceMs) ? { knownSinceMs } : {}),
  };
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

function parseObject(text: string, what: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProtocolError(`${what}: not JSON`);
  }
  if (typeof value !== "object" || value === null)
    throw new ProtocolError(`${what}: not an object`);
  return value;
}
