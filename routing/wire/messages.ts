/**
 * The JSON that frames carry: one schema for each message, used at both ends, with a bound on everything that
 * an agent may say, since a box is a tenant. A reader ignores members that it does not know and refuses known
 * ones of the wrong form; a member whose absence matters is never optional. The heads of calls are in heads.ts.
 */
import * as z from "zod";
import { DAY_S } from "../../base/units.ts";
import { AUTH_TABLE } from "./auth-settings.ts";
import {
  CUSTOM_DOMAIN_PATTERN,
  CUSTOM_DOMAIN_RULE,
  MAX_ENDPOINT_DOMAINS,
} from "./custom-domains.ts";
import { type ErrorCode, isErrorCode } from "./errors.ts";
import { FALLBACK } from "./fallback.ts";
import { ProtocolError } from "./frames.ts";
import { MAX_LINKS } from "./limits.ts";
import { PATH_RULES } from "./path-rules.ts";
import { POOL_LOAD, type PoolLoad } from "./pool-load.ts";

/** Names are judged where they are used (routing/names.ts). This bound keeps them small until then. */
const NAME = z.string().max(128);

const MAX_ENDPOINTS = 1_000;
const MAX_CORS_TEXTS = 100;
const MAX_OFFERED_VERSIONS = 64;

/** Of a failure's detail, which a client reads. */
const MAX_DETAIL_CHARACTERS = 1_000;

/** An hour: a longer pause than any that a client should be told. */
const MAX_RETRY_AFTER_S = 3_600;

export const CALL_ID = z.string().regex(/^[\w-]{1,64}$/);
const DURATION = z.number().min(0);
const CORS_TEXTS = z.array(z.string().min(1).max(256)).max(MAX_CORS_TEXTS);

/** Pages of other origins that may call an endpoint (routing/cors.ts). */
export const CORS_TABLE = z.object({
  origins: CORS_TEXTS.exactOptional(),
  headers: CORS_TEXTS.exactOptional(),
  credentials: z.boolean().exactOptional(),
});

/** How requests of a session find their container. Readers leave out a rule that they do not know. */
export const AFFINITY_TABLE = z.object({
  /** As in postern.toml (routing/affinity/rules.ts), in the order in which they are tried. */
  rules: z.array(z.string().min(1).max(128)).min(1).max(16),
  /** The fate of a session whose container is gone. */
  mode: z.enum(["soft", "hard"]),
});

export const ENDPOINT_SETTINGS = z.object({
  /** Callers need a proxy auth token of the workspace. */
  requiresProxyAuth: z.boolean().exactOptional(),
  /** Callers need the app's own token, or a call token of it: the endpoint runs code that its callers send. */
  requiresAppToken: z.boolean().exactOptional(),
  /** Seconds until the app's response headers. */
  timeout: z.number().positive().max(DAY_S),
  /** Seconds that a stored response can be read. */
  resultTtl: z
    .number()
    .min(0)
    .max(7 * DAY_S),
  /** Seconds until a client is sent to a result URL, instead of the gateway's own; `false`: it never is. */
  requestTimeout: z.union([z.literal(false), z.number().positive().max(DAY_S)]).exactOptional(),
  /** A client that waits for a stream gets its 200 and comments meanwhile. */
  lifeSigns: z.boolean().exactOptional(),
  /** Errors of Postern's own are in the form of this API as well. */
  api: z.literal("openai").exactOptional(),
  /** `true` allows every origin. */
  cors: z.union([z.boolean(), CORS_TABLE]).exactOptional(),
  /** Absent: requests have no sessions. */
  affinity: AFFINITY_TABLE.exactOptional(),
  fallback: FALLBACK.exactOptional(),
  /** Of this endpoint alone, as `rate.ts` reads it. */
  rateLimit: z.string().max(16).exactOptional(),
  /**
   * Besides `requiresProxyAuth`, which is true with it: who else may call. So a gateway that does not know this member
   * lets nobody else in.
   */
  auth: AUTH_TABLE.exactOptional(),
  /** Absent: every path reaches the app. The agent enforces it too, so that an older gateway opens nothing. */
  paths: PATH_RULES.exactOptional(),
  /** Domains of the workspace's own at which it is served too, once they are verified. */
  customDomains: z
    .array(z.string().regex(CUSTOM_DOMAIN_PATTERN, CUSTOM_DOMAIN_RULE))
    .max(MAX_ENDPOINT_DOMAINS)
    .exactOptional(),
});

const ENDPOINT_ANNOUNCEMENT = z.object({
  workspace: NAME,
  environment: NAME,
  app: NAME,
  function: NAME,
  /** The user's own label instead of `<app>-<function>`. */
  label: NAME.exactOptional(),
  /** An ephemeral app's suffix (`dev`). */
  devSuffix: NAME.exactOptional(),
  /** The name in `RequestHead`; unique within the box. */
  endpoint: z.string().min(1).max(512),
  settings: ENDPOINT_SETTINGS,
});

const HELLO = z.object({
  /** Protocol versions that the agent speaks. The gateway chooses the highest that both know. */
  versions: z
    .array(z.unknown())
    .max(MAX_OFFERED_VERSIONS)
    .transform((versions) => versions.filter((version) => Number.isInteger(version)) as number[]),
  /** The agent's own version, for logs. */
  agent: z.string().max(64),
  /** A random name of the agent process. A call that an incarnation has not seen was not executed by it. */
  incarnation: z.string().regex(/^[0-9a-f]{32}$/),
  /** The number of links that this box keeps. Links are numbered from 0. */
  links: z.int().min(1).max(MAX_LINKS),
  /** Link 0 alone: all that the box serves by itself. An earlier endpoint that is not listed is released. */
  endpoints: z.array(ENDPOINT_ANNOUNCEMENT).max(MAX_ENDPOINTS).exactOptional(),
});

const WELCOME = z.object({
  /** The protocol version that both ends speak from now on. */
  version: z.int(),
  /** For each announced endpoint, in order: its URL and its app's token, or why it was refused. */
  endpoints: z.array(
    z.union([
      z.object({ url: z.string(), appToken: z.string() }),
      z.object({ refused: z.string().transform(knownCode), detail: z.string() }),
    ]),
  ),
  /**
   * A random name of the process that holds the clients' connections. Calls of an earlier one have lost their clients.
   * Absent where another part holds the connections, as on Cloudflare, and of an older gateway.
   */
  process: z.string().max(64).exactOptional(),
});

const ATTACH_REQUEST = z.object({
  callId: CALL_ID,
  /** As in `RequestHead`: where no call has this id, the one under the key is meant. An older gateway does not say it. */
  key: z.string().exactOptional(),
  /** Bytes of the response's body that the client already has. */
  offset: z.int().min(0),
});

const DEFERRED_CALL = z.object({
  /** Under an Idempotency-Key, that of the first request. */
  callId: CALL_ID,
  /** Modal's, in lower case. */
  status: z.enum(["pending", "running"]),
  /** Calls before it in the queue; 0 when it runs. */
  position: DURATION,
  /** Milliseconds until its response is expected. Absent where nothing has been measured, and of an older agent. */
  etaMs: DURATION.exactOptional(),
  /** Milliseconds since the call was opened. */
  elapsedMs: DURATION,
});

/** A failure is never refused, since it is told of a call that failed anyway: parts without sense are left out. */
const FAILURE = z
  .object({
    code: z.unknown().optional().transform(knownCode),
    detail: z
      .string()
      .catch("")
      .transform((detail) => detail.slice(0, MAX_DETAIL_CHARACTERS)),
    /** Seconds after which trying again makes sense; null: no time helps. */
    retryAfter: DURATION.max(MAX_RETRY_AFTER_S).nullish().catch(undefined),
    /**
     * With `call_lost` in answer to ATTACH: milliseconds since all links of this incarnation were welcomed. A
     * call that was opened later can only have gone to this incarnation, which does not know it, so it may be
     * opened again. An older one may have been run by a process that died.
     */
    knownSinceMs: DURATION.optional().catch(undefined),
    /** With a refusal for want of room (`RequestHead.mayRefuse`): the load of the endpoint on this box. */
    load: POOL_LOAD.optional().catch(undefined),
    /** With `no_origin`: the next agent of this box is expected, or the box that has the containers: both may be asked again. */
    followed: z.boolean().optional().catch(undefined),
  })
  .transform(({ code, detail, retryAfter, knownSinceMs, load, followed }): Failure => ({
    code,
    detail,
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(knownSinceMs === undefined ? {} : { knownSinceMs }),
    ...(load === undefined ? {} : { load }),
    ...(followed === true ? { followed } : {}),
  }));

/** An endpoint as the edge must know it before it asks a box. */
export type EndpointSettings = z.output<typeof ENDPOINT_SETTINGS>;

/** One endpoint of a box. The gateway makes its host name of these parts (routing/names.ts). */
export type EndpointAnnouncement = z.output<typeof ENDPOINT_ANNOUNCEMENT>;

/** Agent to gateway: the first frame of a link. */
export type Hello = z.output<typeof HELLO>;

/** Gateway to agent: what it makes of a hello. */
export type Welcome = z.output<typeof WELCOME>;

/** ATTACH: joins a call from a byte of its response on. */
export type AttachRequest = z.output<typeof ATTACH_REQUEST>;

/** By which the agent knows a call. A later request under a key has an id of its own, and joins the first one's call. */
export type CallName = Pick<AttachRequest, "callId" | "key">;

/** DEFERRED: what a client that stops waiting is told about its call. */
export type DeferredCall = z.output<typeof DEFERRED_CALL>;

/** REFUSE: the stream was not executed, or cannot be attached to. RESET: the call was executed and failed. */
export interface Failure {
  code: ErrorCode;
  detail: string;
  /** Seconds after which trying again makes sense, instead of the code's own; null: no time helps. */
  retryAfter?: number | null;
  /** With `call_lost` in answer to ATTACH; see FAILURE. */
  knownSinceMs?: number;
  /** With a refusal for want of room; see FAILURE. */
  load?: PoolLoad;
  /** With `no_origin`; see FAILURE. */
  followed?: boolean;
}

/** @throws {ProtocolError} */
export function parseHello(text: string): Hello {
  return parse(HELLO, text, "hello");
}

/** @throws {ProtocolError} */
export function parseWelcome(text: string): Welcome {
  return parse(WELCOME, text, "welcome");
}

/** @throws {ProtocolError} */
export function parseAttach(text: string): AttachRequest {
  return parse(ATTACH_REQUEST, text, "attach");
}

/** @throws {ProtocolError} */
export function parseDeferredCall(text: string): DeferredCall {
  return parse(DEFERRED_CALL, text, "deferred");
}

/**
 * A newer agent may know more codes: an unknown one becomes `origin_error`.
 * @throws {ProtocolError} for what is not a JSON object
 */
export function parseFailure(text: string): Failure {
  return parse(FAILURE, text, "failure");
}

/** A JSON object. @throws {ProtocolError} */
export function parseObject(text: string, what: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProtocolError(`${what}: not JSON`);
  }
  if (typeof value !== "object" || value === null) {
    throw new ProtocolError(`${what}: not an object`);
  }
  return value;
}

function parse<Schema extends z.ZodType>(
  schema: Schema,
  text: string,
  what: string,
): z.output<Schema> {
  const result = schema.safeParse(parseObject(text, what));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = [what, ...(issue?.path ?? [])].map(String).join(".");
  throw new ProtocolError(`${path}: ${issue?.message ?? "not valid"}`);
}

function knownCode(code: unknown): ErrorCode {
  return isErrorCode(code) ? code : "origin_error";
}
