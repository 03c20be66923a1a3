/**
 * Header hygiene from the client to the app: one pass over the client's header lines makes the list that the app
 * gets. Only this file adds what an app may believe about its caller; a client's lines of the same names are
 * dropped. The gateway's own secrets end here. Pure.
 *
 * Runs on every request, and costs one lookup by name and one scan of the value for each line.
 */
import { err, ok, type Result } from "../base/result.ts";
import { AFFINITY_COOKIE } from "./affinity-cookie.ts";
import { CONNECT_NAMES, withoutConnectParameter } from "./connect-token.ts";
import { withoutCookies } from "./own-cookies.ts";
import { SIGN_IN_COOKIES } from "./sign-in.ts";
import { holdsOurKey, withoutKeySubprotocols } from "./wire/client-keys.ts";
import type { Refusal } from "./wire/errors.ts";
import {
  addConnectionOptions,
  HEADER_LINE_OVERHEAD_BYTES,
  HOP_BY_HOP,
  INTERNAL_PREFIX,
  without,
} from "./wire/headers.ts";
import { MAX_HEADER_BYTES, MAX_HEADER_LINES } from "./wire/limits.ts";

/** Facts that the gateway knows of the request by itself, and tells the app. */
export interface RequestFacts {
  /** The canonical public host: `authority` of `parseHost`. */
  host: string;
  /** The client's address, without a port. */
  client: string;
  scheme: "http" | "https";
  requestId: string;
  /** The trace that the call belongs to (trace-context.ts). */
  traceparent: string;
  tracestate?: string | undefined;
  callId: string;
  /** Words of a verified credential about its holder. */
  userData?: string | undefined;
}

/** Header lines: a runtime's `Headers`, or a `Map`, by lower-case name. */
export interface HeaderLines {
  forEach(callback: (value: string, name: string) => void): void;
}

/** Fields of a client that no app gets, besides hop-by-hop fields. */
const NOT_FROM_A_CLIENT: ReadonlySet<string> = new Set([
  // The gateway replaces these by its own.
  "host",
  "traceparent",
  "tracestate",
  "x-request-id",
  // They say who calls, from where, how and with what proof. A client's are forged.
  "forwarded",
  "true-client-ip",
  "fastly-client-ip",
  "fly-client-ip",
  "x-client-ip",
  "x-cluster-client-ip",
  "x-original-forwarded-for",
  "x-original-host",
  "x-original-proto",
  "x-real-ip",
  "x-remote-addr",
  "x-remote-ip",
  "x-forwarded",
  "front-end-https",
  "x-host",
  "x-scheme",
  "x-url-scheme",
  "x-verified-user-data",
  // Frameworks take these for the path, and would answer for another one than was authorized.
  "x-original-uri",
  "x-original-url",
  "x-rewrite-url",
  // CGI makes the variable HTTP_PROXY of it, and programs send their requests through that.
  "proxy",
  // RFC 9110, 10.1.1: the gateway takes the body and answers the expectation itself.
  "expect",
  // RFC 9113, 3.1: belongs to `Upgrade: h2c`, which ends here.
  "http2-settings",
  // RFC 6455, 4.1: the agent makes its own handshake with the app.
  "sec-websocket-version",
  // The gateway's secrets.
  "modal-key",
  "modal-secret",
  // Gradio takes it for its own public address, and writes it into the URLs of files.
  "x-gradio-server",
]);

/** The same by prefix. Cloudflare's edge describes a caller by `cf-…`, to the gateway alone. */
const PREFIXES_NOT_FROM_A_CLIENT = [INTERNAL_PREFIX, "proxy-", "x-forwarded-", "cf-"] as const;

/**
 * A call of gRPC (PROTOCOL-HTTP2, "Content-Type"), which says how it ended in trailers of HTTP/2. Trailers end at the
 * gateway, so its client would never learn of it. gRPC-Web, which has them in the body, passes.
 */
const GRPC = /^\s*application\/grpc(?:\+|;|\s*$)/i;

const NO_GRPC =
  "gRPC needs trailers of HTTP/2, which end here; gRPC-Web and Connect's own protocol pass, and so does JSON";

/** The header list that the app gets (names and values in turn), or why the request is refused. */
export function requestHeaders(given: HeaderLines, facts: RequestFacts): Result<string[], Refusal> {
  const headers = [
    "host",
    facts.host,
    "x-forwarded-for",
    facts.client,
    "x-forwarded-proto",
    facts.scheme,
    "x-request-id",
    facts.requestId,
    "traceparent",
    facts.traceparent,
    "postern-call-id",
    facts.callId,
  ];
  if (facts.tracestate !== undefined) headers.push("tracestate", facts.tracestate);
  if (facts.userData !== undefined) headers.push("x-verified-user-data", facts.userData);
  const own = headers.length;
  let bytes = 0;
  let lines = 0;
  let refusal: Refusal | undefined;
  const dropped = new Set<string>();

  given.forEach((value, name) => {
    if (refusal !== undefined) return;
    lines++;
    const bytesOfValue = utf8Length(value);
    if (bytesOfValue === -1) {
      refusal = {
        code: "bad_request",
        detail: `the header ${name.slice(0, 64)} is not printable UTF-8 text`,
      };
      return;
    }
    bytes += name.length + bytesOfValue + HEADER_LINE_OVERHEAD_BYTES;
    if (HOP_BY_HOP.has(name)) {
      if (name === "connection") addConnectionOptions(value, dropped);
      // RFC 9112, 6.1: an unknown coding is 501. The platform decodes `chunked` and nothing else.
      if (name === "transfer-encoding" && value.trim().toLowerCase() !== "chunked") {
        refusal = { code: "not_supported", detail: "the only transfer coding is chunked" };
      }
    } else if (name === "content-type" && GRPC.test(value)) {
      refusal = { code: "not_supported", detail: NO_GRPC };
    } else if (!isDropped(name)) {
      const passed = withoutSecrets(name, value);
      if (passed !== undefined) headers.push(name, passed);
    }
  });

  if (refusal !== undefined) return err(refusal);
  if (bytes > MAX_HEADER_BYTES) {
    return err({ code: "headers_too_large", detail: `the limit is ${MAX_HEADER_BYTES} bytes` });
  }
  if (lines > MAX_HEADER_LINES) {
    return err({ code: "headers_too_large", detail: `the limit is ${MAX_HEADER_LINES} lines` });
  }
  if (dropped.size === 0) return ok(headers);
  return ok([...headers.slice(0, own), ...without(headers.slice(own), dropped)]);
}

/** WSGI and CGI read `X_Auth` and `X-Auth` as one variable, so no app gets a name with an underscore. */
function isDropped(name: string): boolean {
  if (NOT_FROM_A_CLIENT.has(name) || name.includes("_")) return true;
  return PREFIXES_NOT_FROM_A_CLIENT.some((prefix) => name.startsWith(prefix));
}

/** Cookies of the gateway's own: no app gets them, and none may set them. */
export const OWN_COOKIES: readonly string[] = [
  AFFINITY_COOKIE,
  ...CONNECT_NAMES,
  ...SIGN_IN_COOKIES,
];

/** A client's value without the gateway's secrets; undefined where nothing of it is the app's. */
function withoutSecrets(name: string, value: string): string | undefined {
  switch (name) {
    case "cookie":
      return withoutCookies(rejoinCookies(value), OWN_COOKIES);
    case "authorization":
      return opensTheGateway(value) || holdsOurKey(value) ? undefined : value;
    case "x-api-key":
    case "api-key":
      return holdsOurKey(value) ? undefined : value;
    case "sec-websocket-protocol":
      return withoutKeySubprotocols(value);
    case "referer":
      return withoutConnectParameter(value);
    default:
      return value;
  }
}

/**
 * Whether an Authorization value has a token of ours: a proxy, app or connect token, or an API token, which
 * opens no endpoint and was sent here by mistake. The platform joins two lines into one value, so the whole
 * value is searched.
 */
function opensTheGateway(value: string): boolean {
  return /(?:^|[\s,])bearer[ \t]+(?:(?:wk|pat|pct)-|ak-[^\s,]*\.as-)/i.test(value);
}

/**
 * Repairs the join of two Cookie lines: the platform joins with ", " where "; " is right (RFC 9113, 8.2.3; RFC 6265,
 * 5.4). Only a ", " before a cookie's name and `=` is replaced, so that JSON and dates in cookies stay whole.
 */
function rejoinCookies(value: string): string {
  if (!value.includes(", ")) return value;
  return value.replace(/, (?=[!#$%&'*+.^_`|~0-9A-Za-z-]+=)/g, "; ");
}

/**
 * The value's length in UTF-8, or -1 where it has a control character (RFC 9110, 5.5) or U+FFFD. The platform
 * decodes bytes that are not UTF-8 to U+FFFD.
 */
function utf8Length(value: string): number {
  let length = value.length;
  for (let index = 0; index < value.length; index++) {
    const code = value.charCodeAt(index);
    if (code < 0x20 ? code !== 0x09 : code === 0x7f || code === 0xfffd) return -1;
    // A surrogate pair is two units and four bytes.
    if (code > 0x7f) length += code > 0x7ff && (code < 0xd800 || code > 0xdfff) ? 2 : 1;
  }
  return length;
}
