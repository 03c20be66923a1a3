/**
 * Cross-origin requests of browsers, by the endpoint's `cors` setting: the response to a preflight, and the headers
 * of all other responses, of the app and of Postern. Pure.
 *
 * A browser checks a redirect too: without these headers on the 303 itself, fetch fails there (Fetch Standard,
 * HTTP-redirect fetch). The result URL is of the same origin, so the browser goes on sending the page's `Origin`. It
 * preflights a request with headers of its own (a token) again at each hop, so result URLs answer preflights.
 */
import { eachHeader } from "../base/headers.ts";
import type { EndpointSettings } from "./wire/messages.ts";
import { without } from "./wire/headers.ts";

/** `true` allows every page to call, without the browser's cookies. */
export type CorsSetting = NonNullable<EndpointSettings["cors"]>;

/** How long a browser may keep the response to a preflight. Chromium keeps none longer. */
const PREFLIGHT_MAX_AGE_S = 7200;

/** Of the header names that a page may ask for, in one line. A longer line gets no permission. */
const MAX_REQUESTED_HEADERS_CHARACTERS = 4096;

/** Methods that each preflight allows; another one is allowed where the page asks for it. */
const METHODS: readonly string[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** Headers that the gateway reads: allowed too where the setting lists the app's headers. */
const GATEWAY_REQUEST_HEADERS: readonly string[] = [
  "api-key",
  "authorization",
  "content-type",
  "idempotency-key",
  "modal-key",
  "modal-secret",
  "modal-session-id",
  "postern-key",
  "postern-secret",
  "prefer",
  "range",
  "traceparent",
  "x-api-key",
  "x-request-id",
];

/** Headers of the gateway's own responses that a page needs to read. */
const GATEWAY_RESPONSE_HEADERS: readonly string[] = [
  "location",
  "postern-call-id",
  "postern-session",
  "ratelimit",
  "ratelimit-policy",
  "retry-after",
  "server-timing",
  "www-authenticate",
  "x-request-id",
];

/** Where the setting is on, the gateway alone sets these: browsers reject a response that has one twice. */
const CORS_RESPONSE_HEADERS: ReadonlySet<string> = new Set([
  "access-control-allow-origin",
  "access-control-allow-credentials",
  "access-control-allow-headers",
  "access-control-allow-methods",
  "access-control-expose-headers",
  "access-control-max-age",
]);

/** The parts of a request that CORS needs; header values are raw. */
export interface CorsRequest {
  method: string;
  origin: string | null;
  /** Access-Control-Request-Method. */
  requestMethod: string | null;
  /** Access-Control-Request-Headers. */
  requestHeaders: string | null;
}

/**
 * The headers of the 204 to a preflight; undefined where the request is none, or the endpoint leaves CORS to its app.
 * An origin that is not allowed gets a 204 without permission, which the browser takes as a refusal. Comes before
 * authorization, because a preflight carries no credentials.
 */
export function preflight(setting: CorsSetting, request: CorsRequest): string[] | undefined {
  const { method, origin, requestMethod, requestHeaders } = request;
  if (setting === false || method !== "OPTIONS") return undefined;
  if (origin === null || requestMethod === null) return undefined;
  const vary = "origin, access-control-request-method, access-control-request-headers";
  const permission = permissionFor(setting, origin);
  if (permission === undefined) return ["vary", vary];
  const allowedMethods = METHODS.includes(requestMethod) ? METHODS : [...METHODS, requestMethod];
  const headers = [
    ...permission,
    "access-control-allow-methods",
    (isToken(requestMethod) ? allowedMethods : METHODS).join(", "),
    "access-control-max-age",
    String(PREFLIGHT_MAX_AGE_S),
    "vary",
    vary,
  ];
  const names = allowedHeaders(setting, requestHeaders);
  if (names.length > 0) headers.push("access-control-allow-headers", names.join(", "));
  return headers;
}

/**
 * A response's headers with those that let the page read it. The app's own CORS headers are replaced.
 * @param headers names in lower case and values in turn
 */
export function withCors(
  setting: CorsSetting,
  origin: string | null,
  headers: readonly string[],
): string[] {
  if (setting === false) return [...headers];
  const lines = without(headers, CORS_RESPONSE_HEADERS);
  const permission = origin === null ? undefined : permissionFor(setting, origin);
  if (permission !== undefined) {
    const exposed = new Set(GATEWAY_RESPONSE_HEADERS);
    eachHeader(lines, (name) => exposed.add(name));
    // No browser shows it to a page.
    exposed.delete("set-cookie");
    // Each by its name: `*` has no meaning for a request with cookies, and never covers Authorization.
    lines.push(...permission, "access-control-expose-headers", [...exposed].join(", "));
  }
  return withVary(lines);
}

/**
 * The setting for what Postern answers itself, where the endpoint leaves CORS to its app. The caller's own origin
 * may then read redirects and errors, and ask a result URL: without that, a slow cross-origin call is a network
 * error in the page, and no error has a reason. A page gets no response of the app by it: that one has the app's
 * headers, and they decide.
 * @param status of the response. A 202 is given without the browser's cookies: it names a result URL, which
 *   another origin must not learn of a call that a visitor's cookies opened.
 */
export function ownCors(setting: CorsSetting, origin: string | null, status: number): CorsSetting {
  if (setting !== false || origin === null) return setting;
  return { origins: [origin], credentials: status !== 202 };
}

/** The problem of a setting, in words for its author; undefined where there is none. */
export function corsSettingProblem(setting: CorsSetting): string | undefined {
  if (typeof setting === "boolean") return undefined;
  const { origins, headers, credentials } = setting;
  if (credentials === true && (origins === undefined || origins.includes("*"))) {
    return "credentials = true needs a list of origins: otherwise every page could act as its visitors";
  }
  for (const origin of origins ?? []) {
    if (origin !== "*" && !isOrigin(origin)) {
      return `${JSON.stringify(origin)} is no origin: scheme and host, with a port where it is not the usual one, and no path ("https://www.example.com")`;
    }
  }
  for (const name of headers ?? []) {
    if (name !== "*" && !isToken(name)) return `${JSON.stringify(name)} is no header name`;
  }
  return undefined;
}

/** The headers that let a page of this origin read a response; undefined where it may not. */
function permissionFor(setting: CorsSetting, origin: string): string[] | undefined {
  const name = "access-control-allow-origin";
  if (setting === true) return [name, "*"];
  if (setting === false) return undefined;
  const { origins, credentials } = setting;
  // `corsSettingProblem` refuses credentials without a list. Without a list, no page gets them here either.
  if (origins === undefined || origins.includes("*")) return [name, "*"];
  if (!origins.some((allowed) => allowed.toLowerCase() === origin)) return undefined;
  if (credentials !== true) return [name, origin];
  return [name, origin, "access-control-allow-credentials", "true"];
}

/** The request headers that a page may send: the setting's and the gateway's, or else all that it asked for. */
function allowedHeaders(setting: CorsSetting, requested: string | null): readonly string[] {
  const listed = typeof setting === "boolean" ? undefined : setting.headers;
  if (listed !== undefined && !listed.includes("*")) {
    return [...new Set([...GATEWAY_REQUEST_HEADERS, ...listed.map((name) => name.toLowerCase())])];
  }
  // Each by its name: `*` never covers Authorization (Fetch Standard, CORS-preflight fetch).
  if (requested === null || requested.length > MAX_REQUESTED_HEADERS_CHARACTERS) return [];
  return requested
    .split(",")
    .map((name) => name.trim())
    .filter(isToken);
}

/** Caches must keep responses to different origins apart (Fetch Standard, CORS protocol and HTTP caches). */
function withVary(headers: string[]): string[] {
  const at = headers.findIndex((name, index) => index % 2 === 0 && name === "vary");
  if (at === -1) return [...headers, "vary", "origin"];
  const value = headers[at + 1] as string;
  const names = new Set(value.split(",").map((name) => name.trim().toLowerCase()));
  if (!names.has("origin") && !names.has("*")) headers[at + 1] = `${value}, origin`;
  return headers;
}

/** Whether a text is an origin as browsers write it: no path, no default port; or `null`, of a sandboxed page. */
function isOrigin(text: string): boolean {
  if (text === "null") return true;
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]+$/i.test(text)) return false;
  const url = URL.parse(text);
  if (url === null) return false;
  // URL gives some schemes no origin, those of browser extensions for instance. They pass as they are.
  return url.origin === "null" || url.origin === text.toLowerCase();
}

/** RFC 9110, 5.6.2. */
function isToken(text: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(text);
}
