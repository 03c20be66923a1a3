/**
 * Cross-origin requests of browsers, by the endpoint's `cors` setting: the answer to a preflight, and the
 * headers on every other answer, the app's as well as the gateway's own 303, 202 and errors. Pure.
 *
 * A redirect is answered to the browser, not to the page: without these headers on the 303 itself, fetch
 * fails there (Fetch Standard, HTTP-redirect fetch). The result URL is on the same origin, so that the
 * browser goes on sending the page's own `Origin`. A request with headers of its own (a token) is
 * preflighted again at every hop, so that result URLs must answer preflights like any other URL.
 */
import type { EndpointSettings } from "./wire/messages.ts";
import { without } from "./wire/headers.ts";

/** `true` allows every page to call, without the browser's cookies. */
export type CorsSetting = NonNullable<EndpointSettings["cors"]>;

/** How long a browser may keep a preflight's answer, in seconds: Chromium keeps none longer than two hours. */
const PREFLIGHT_MAX_AGE_S = 7200;

/** Header names that a page may ask for, in one line; more is not answered with. */
const MAX_REQUESTED_HEADERS_CHARACTERS = 4096;

/** Methods that need no asking; a stranger one is allowed when it is asked for. */
const METHODS: readonly string[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** What the gateway itself understands: allowed also where the setting lists the app's headers. */
const GATEWAY_REQUEST_HEADERS: readonly string[] = [
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
  "x-request-id",
];

/** What a page needs to read of the gateway's own answers. */
const GATEWAY_RESPONSE_HEADERS: readonly string[] = [
  "location",
  "postern-call-id",
  "retry-after",
  "server-timing",
  "www-authenticate",
  "x-request-id",
];

/** Where the setting is on, the gateway alone says these: two opinions fail in the browser. */
const CORS_RESPONSE_HEADERS: ReadonlySet<string> = new Set([
  "access-control-allow-origin",
  "access-control-allow-credentials",
  "access-control-allow-headers",
  "access-control-allow-methods",
  "access-control-expose-headers",
  "access-control-max-age",
]);

/** What of a request matters here; header values as they came. */
export interface CorsRequest {
  method: string;
  origin: string | null;
  /** Access-Control-Request-Method. */
  requestMethod: string | null;
  /** Access-Control-Request-Headers. */
  requestHeaders: string | null;
}

/**
 * The headers of the 204 that answers a preflight; undefined when the request is none, or the endpoint
 * leaves them to its app. An origin that is not allowed gets no permission, which is the refusal.
 * To be asked before anything that wants credentials: a preflight carries none.
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
 * An answer's headers with what the browser needs to let the page see it. `headers` are names and values
 * in turn, names in lower case; the app's own words on the matter are replaced.
 */
export function withCors(
  setting: CorsSetting,
  origin: string | null,
  headers: readonly string[],
): string[] {
  if (setting === false) return [...headers];
  const answer = without(headers, CORS_RESPONSE_HEADERS);
  const permission = origin === null ? undefined : permissionFor(setting, origin);
  if (permission !== undefined) {
    const exposed = new Set(GATEWAY_RESPONSE_HEADERS);
    for (let index = 0; index < answer.length; index += 2) exposed.add(answer[index] as string);
    // Browsers never show it.
    exposed.delete("set-cookie");
    // By name: `*` means nothing to a request with cookies, and never covers Authorization.
    answer.push(...permission, "access-control-expose-headers", [...exposed].join(", "));
  }
  return withVary(answer);
}

/** What is wrong with a setting, in words for who wrote it; undefined when nothing is. */
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

/** The headers that let a page of this origin see an answer; undefined when it may not. */
function permissionFor(setting: CorsSetting, origin: string): string[] | undefined {
  const name = "access-control-allow-origin";
  if (setting === true) return [name, "*"];
  if (setting === false) return undefined;
  const { origins, credentials } = setting;
  // With credentials a list is needed: `corsSettingProblem` says so, and here nothing is given without.
  if (origins === undefined || origins.includes("*")) return [name, "*"];
  if (!origins.some((allowed) => allowed.toLowerCase() === origin)) return undefined;
  if (credentials !== true) return [name, origin];
  return [name, origin, "access-control-allow-credentials", "true"];
}

/** The request headers that a page may send: those it asked for, or those of the setting and our own. */
function allowedHeaders(setting: CorsSetting, requested: string | null): readonly string[] {
  const listed = typeof setting === "boolean" ? undefined : setting.headers;
  if (listed !== undefined && !listed.includes("*")) {
    return [...new Set([...GATEWAY_REQUEST_HEADERS, ...listed.map((name) => name.toLowerCase())])];
  }
  // By name: `*` never covers Authorization (Fetch Standard, CORS-preflight fetch).
  if (requested === null || requested.length > MAX_REQUESTED_HEADERS_CHARACTERS) return [];
  return requested
    .split(",")
    .map((name) => name.trim())
    .filter(isToken);
}

/** Caches must keep answers to different origins apart (Fetch Standard, CORS protocol and HTTP caches). */
function withVary(headers: string[]): string[] {
  const at = headers.findIndex((name, index) => index % 2 === 0 && name === "vary");
  if (at === -1) return [...headers, "vary", "origin"];
  const value = headers[at + 1] as string;
  const names = new Set(value.split(",").map((name) => name.trim().toLowerCase()));
  if (!names.has("origin") && !names.has("*")) headers[at + 1] = `${value}, origin`;
  return headers;
}

/** An origin as browsers write it: lower case, no path, no default port; or `null`, of a sandboxed page. */
function isOrigin(text: string): boolean {
  if (text === "null") return true;
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]+$/i.test(text)) return false;
  const url = URL.parse(text);
  if (url === null) return false;
  // Schemes that URL gives no origin (browser extensions) stand as they are.
  return url.origin === "null" || url.origin === text.toLowerCase();
}

/** RFC 9110, 5.6.2. */
function isToken(text: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(text);
}
