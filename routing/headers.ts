/**
 * Header hygiene from the client to the app: one pass over what the client sent, one list of what the app
 * gets. What an app may believe about its caller is added here and nowhere else, and a client that sends
 * the same names is not heard. The gateway's own secrets end here.
 *
 * Runs on every request: a lookup by name and one scan of each value, nothing more.
 */
import {
  addConnectionOptions,
  HEADER_LINE_OVERHEAD_BYTES,
  HOP_BY_HOP,
  INTERNAL_PREFIX,
  without,
} from "./wire/headers.ts";
import { MAX_HEADER_BYTES, MAX_HEADER_LINES } from "./wire/limits.ts";

/** What the gateway knows of the request by itself and tells the app. */
export interface RequestFacts {
  /** The canonical public host: `authority` of `parseHost`. */
  host: string;
  /** The client's address, without a port. */
  client: string;
  scheme: "http" | "https";
  requestId: string;
  /** W3C Trace Context. */
  traceparent: string;
  callId: string;
}

export interface RefusedHeaders {
  refused: "bad_request" | "headers_too_large" | "not_supported";
  detail: string;
}

/** Header lines by lower-case name, one call each: a runtime's `Headers`, or a `Map`. */
export interface HeaderLines {
  forEach(callback: (value: string, name: string) => void): void;
}

/** Never passed on from a client, besides hop-by-hop fields. */
const NOT_FROM_A_CLIENT: ReadonlySet<string> = new Set([
  // Replaced by what the gateway knows.
  "host",
  "traceparent",
  "x-request-id",
  // Who calls, from where, how and with what proof: forged unless the gateway says it.
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
  // Frameworks take these for the path, past whoever decided by the real one.
  "x-original-uri",
  "x-original-url",
  "x-rewrite-url",
  // CGI turns it into the variable HTTP_PROXY, through which programs then send their requests.
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
]);

/** Whole families; `cf-` is what Cloudflare's edge says about a caller, to us alone. */
const PREFIXES_NOT_FROM_A_CLIENT = [INTERNAL_PREFIX, "proxy-", "x-forwarded-", "cf-"] as const;

/** What the app gets, or why the request goes nowhere. */
export function requestHeaders(given: HeaderLines, facts: RequestFacts): string[] | RefusedHeaders {
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
  const own = headers.length;
  let bytes = 0;
  let lines = 0;
  let refused: RefusedHeaders | undefined;
  const dropped = new Set<string>();

  given.forEach((value, name) => {
    if (refused !== undefined) return;
    lines++;
    const bytesOfValue = utf8Length(value);
    if (bytesOfValue === -1) {
      refused = {
        refused: "bad_request",
        detail: `the header ${name.slice(0, 64)} is not printable UTF-8 text`,
      };
      return;
    }
    bytes += name.length + bytesOfValue + HEADER_LINE_OVERHEAD_BYTES;
    if (HOP_BY_HOP.has(name)) {
      if (name === "connection") addConnectionOptions(value, dropped);
      // RFC 9112, 6.1: a coding that we do not know is 501. The platform has undone `chunked` only.
      if (name === "transfer-encoding" && value.trim().toLowerCase() !== "chunked") {
        refused = { refused: "not_supported", detail: "the only transfer coding is chunked" };
      }
    } else if (!isDropped(name)) {
      if (name === "cookie") headers.push(name, rejoinCookies(value));
      else if (name !== "authorization" || !opensTheGateway(value)) headers.push(name, value);
    }
  });

  if (refused !== undefined) return refused;
  if (bytes > MAX_HEADER_BYTES) {
    return { refused: "headers_too_large", detail: `the limit is ${MAX_HEADER_BYTES} bytes` };
  }
  if (lines > MAX_HEADER_LINES) {
    return { refused: "headers_too_large", detail: `the limit is ${MAX_HEADER_LINES} lines` };
  }
  if (dropped.size === 0) return headers;
  return [...headers.slice(0, own), ...without(headers.slice(own), dropped)];
}

/** WSGI and CGI read `X_Auth` and `X-Auth` as one variable: a name with an underscore is never passed on. */
function isDropped(name: string): boolean {
  if (NOT_FROM_A_CLIENT.has(name) || name.includes("_")) return true;
  return PREFIXES_NOT_FROM_A_CLIENT.some((prefix) => name.startsWith(prefix));
}

/**
 * Whether an Authorization value is a proxy, app or connect token of ours. Anywhere in it: the
 * platform joins two lines into one value, and no secret may pass behind something else.
 */
function opensTheGateway(value: string): boolean {
  return /(?:^|[\s,])bearer[ \t]+(?:wk|pat|pct)-/i.test(value);
}

/**
 * The platform joins two Cookie lines with ", " where "; " is right (RFC 9113, 8.2.3; RFC 6265, 5.4).
 * Undone only where a cookie's name and `=` follow, so that JSON and dates in cookies stay whole.
 */
function rejoinCookies(value: string): string {
  if (!value.includes(", ")) return value;
  return value.replace(/, (?=[!#$%&'*+.^_`|~0-9A-Za-z-]+=)/g, "; ");
}

/**
 * The value's length in UTF-8, or -1 when it has a control character (RFC 9110, 5.5) or U+FFFD, which
 * is how the platform shows bytes that were not UTF-8.
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
