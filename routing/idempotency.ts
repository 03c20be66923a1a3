/**
 * The Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header): what a key is, and whose key it is,
 * as one string that a box can compare. Pure: it hashes nothing and remembers nothing.
 */
import { AFFINITY_COOKIE } from "./affinity-cookie.ts";
import type { ConnectParameter } from "./connect-token.ts";
import type { HeaderLines } from "./headers.ts";
import { withoutCookies } from "./own-cookies.ts";
import { BROWSER_COOKIES } from "./sign-in.ts";

/** Characters of a key: more than any UUID, few enough to be journalled. */
const MAX_IDEMPOTENCY_KEY_CHARACTERS = 255;

export type IdempotencyKey =
  | { kind: "none" }
  | { kind: "key"; key: string }
  /** The client gets 400: without its key, the request could run twice. */
  | { kind: "malformed"; detail: string };

/** A quoted key may have each character escaped, and white space around it. Longer lines are refused unread. */
const MAX_LINE_CHARACTERS = 4 * MAX_IDEMPOTENCY_KEY_CHARACTERS;

const RULE = `Idempotency-Key must be one string of 1 to ${MAX_IDEMPOTENCY_KEY_CHARACTERS} visible ASCII characters`;

/**
 * Reads the header. The draft asks for a structured-field string (RFC 9651, 3.3.3), `"8e03…"`. Many clients
 * send the bare value, which is the same key. Several lines, or several values in one, are refused, because
 * the client may mean either. Parameters are refused, because the draft gives them no meaning.
 * @param lines the values of all header lines of that name
 */
export function parseIdempotencyKey(lines: readonly string[]): IdempotencyKey {
  if (lines.length === 0) return { kind: "none" };
  const [line = "", ...more] = lines;
  if (more.length > 0) return { kind: "malformed", detail: `${RULE}; there are several` };
  if (line.length > MAX_LINE_CHARACTERS) return { kind: "malformed", detail: RULE };
  const value = line.replaceAll(/^[ \t]+|[ \t]+$/g, "");
  const key = value.startsWith('"') ? unquote(value) : value.includes(",") ? undefined : value;
  if (key === undefined || !isVisible(key)) return { kind: "malformed", detail: RULE };
  return { kind: "key", key };
}

/** The text of a structured-field string; undefined when the value is not exactly one. */
function unquote(value: string): string | undefined {
  if (!/^"(?:[^"\\]|\\["\\])*"$/.test(value)) return undefined;
  return value.slice(1, -1).replaceAll(/\\(["\\])/g, "$1");
}

function isVisible(key: string): boolean {
  return key.length <= MAX_IDEMPOTENCY_KEY_CHARACTERS && /^[\x21-\x7e]+$/.test(key);
}

/** One caller, told from others by what it sends, or by where it sends from. */
export type IdempotencyCaller =
  /** Header lines that may identify it: names and values in turn, by name. */
  { readonly identity: readonly string[] } | { readonly address: string };

/**
 * Who asks. Each header that may identify a caller counts, Postern's own as well as an app's: if one were left
 * out, two users who differ in it alone could read each other's responses by guessing a key. Only where there
 * is none, the address counts.
 *
 * Behind a proxy that is not trusted, all connections come from the proxy's address. So the address then includes
 * the proxy's name for its client. A client can forge that, but not into another client's: the proxy adds the real
 * one.
 * @param parameter a token in the target
 */
export function callerOf(
  headers: HeaderLines,
  { address, isNamedByProxy }: CallerAddress,
  parameter?: ConnectParameter,
): IdempotencyCaller {
  const lines: [name: string, value: string][] = [];
  // No header has a name with a question mark.
  if (parameter !== undefined) lines.push(["?", parameter.token]);
  const proxied: [name: string, value: string][] = [];
  headers.forEach((given, name) => {
    const value = name === "cookie" ? withoutCookies(given, SAY_NO_NAME) : given;
    if (value === undefined) return;
    if (mayIdentify(name)) lines.push([name, value]);
    else if (FROM_A_PROXY.has(name)) proxied.push([name, withoutPorts(value)]);
  });
  if (lines.length > 0) return { identity: lines.toSorted(byName).flat() };
  if (isNamedByProxy) return { address };
  return { address: [address, ...proxied.toSorted(byName).flat()].join("\n") };
}

/** The address of a caller, as far as the gateway knows it. */
export interface CallerAddress {
  readonly address: string;
  /** A trusted proxy named it; else it is the connection's. */
  readonly isNamedByProxy: boolean;
}

/**
 * Words that names of identifying headers end in: `authorization`, `cookie`, `x-api-key`, `x-auth-token`,
 * `mcp-session-id`, and those of proxies that authorize (`x-auth-request-email`, `x-amzn-oidc-identity`,
 * `client-cert` of RFC 9440).
 */
const IDENTIFYING_WORDS =
  "authorization auth key apikey token jwt secret credential credentials cookie session session-id sessionid " +
  "user user-id userid username uid email identity assertion account account-id principal principal-id " +
  "tenant tenant-id organization organization-id cert clientcert certificate dn subject";

const IDENTIFYING = new RegExp(`(?:^|-)(?:${IDENTIFYING_WORDS.replaceAll(" ", "|")})$`);

/** The gateway's own cookies that come and go while their holder stays who it is. */
const SAY_NO_NAME: readonly string[] = [AFFINITY_COOKIE, ...BROWSER_COOKIES];

/** Names that end in such a word and identify no caller. */
const NOT_IDENTIFYING: ReadonlySet<string> = new Set(["idempotency-key", "sec-websocket-key"]);

/** A WebSocket's subprotocols may carry a key (wire/client-keys.ts), and a plain request may have the header. */
function mayIdentify(name: string): boolean {
  if (name === "sec-websocket-protocol") return true;
  return IDENTIFYING.test(name) && !NOT_IDENTIFYING.has(name);
}

/** Proxies name their client in these (RFC 7239 and its forerunners). */
const FROM_A_PROXY: ReadonlySet<string> = new Set(["forwarded", "x-forwarded-for", "x-real-ip"]);

/** Some proxies add the client's port, which is another one for each connection. */
function withoutPorts(value: string): string {
  return value.replaceAll(/(\d{1,3}(?:\.\d{1,3}){3}|\])"?:\d{1,5}/g, "$1");
}

function byName([left]: readonly [string, string], [right]: readonly [string, string]): number {
  return left < right ? -1 : 1;
}

export interface IdempotencyScope {
  endpoint: string;
  method: string;
  /** Path without query: the query belongs to what must be the same under a key, as the body does. */
  path: string;
  caller: IdempotencyCaller;
  key: string;
}

/**
 * One string for everything that makes two keys the same key; different for any two that are not. It
 * contains secrets of the caller: hash it before it is stored or logged.
 */
export function scopeText({ endpoint, method, path, caller, key }: IdempotencyScope): string {
  return JSON.stringify([endpoint, method, path, caller, key]);
}
