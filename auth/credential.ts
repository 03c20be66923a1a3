/**
 * Reads the credential that a request presents from its headers: the pair `Postern-Key` and `Postern-Secret`, the
 * pair `Modal-Key` and `Modal-Secret`, or one value `wk-….ws-…`, `pat-…` or `pct-…`. Such a value is a Bearer, an API key's
 * header or a subprotocol; any other value there belongs to the app. Reads only, and verifies nothing.
 */
import { holdsOurKey, KEY_HEADERS, subprotocolKey } from "../routing/wire/client-keys.ts";
import type { Credential } from "./tokens.ts";

/** A runtime's `Headers`, or anything that answers like it. */
export interface HeaderSource {
  get(name: string): string | null;
}

/** The first complete pair counts. */
const PAIRS = [
  ["postern-key", "postern-secret"],
  ["modal-key", "modal-secret"],
] as const;

/** RFC 6750, 2.1; the scheme's name is case-insensitive (RFC 9110, 11.1). */
const BEARER = /^bearer +(\S+)$/i;

/** The proxy token that a request presents to an endpoint; undefined where it has none, or half a pair. */
export function proxyCredential(headers: HeaderSource): Credential | undefined {
  for (const [key, secret] of PAIRS) {
    const id = headers.get(key);
    const value = headers.get(secret);
    if (id !== null && value !== null) return { id, secret: value };
  }
  const value = keyOf(headers, /^wk-/i);
  return value === undefined ? undefined : split(value);
}

/** The app token that a request presents to an endpoint; undefined where it has none. */
export function appToken(headers: HeaderSource): string | undefined {
  return keyOf(headers, /^pat-/i);
}

/** The connect token that a request presents in its headers; cookies and parameters are routing/connect-token.ts's. */
export function connectToken(headers: HeaderSource): string | undefined {
  return keyOf(headers, /^pct-/i);
}

/** The Bearer value of a request that has the form of a JSON Web Token; undefined for any other. */
export function jwtOf(headers: HeaderSource): string | undefined {
  const value = bearerValue(headers);
  return value !== undefined && /^eyJ[^.]*\.[^.]*\.[^.]*$/.test(value) ? value : undefined;
}

/** The credential that a request presents to the API; undefined where it has no Bearer value. */
export function apiCredential(headers: HeaderSource): Credential | undefined {
  const value = bearerValue(headers);
  return value === undefined ? undefined : split(value);
}

/** The first single value of this kind: a Bearer, an API key's header, a subprotocol. */
function keyOf(headers: HeaderSource, kind: RegExp): string | undefined {
  const bearer = bearerValue(headers);
  if (bearer !== undefined && kind.test(bearer)) return bearer;
  for (const name of KEY_HEADERS) {
    const value = headers.get(name);
    if (value !== null && kind.test(value) && holdsOurKey(value)) return value;
  }
  const value = subprotocolKey(headers.get("sec-websocket-protocol"));
  return value !== undefined && kind.test(value) ? value : undefined;
}

function bearerValue(headers: HeaderSource): string | undefined {
  return BEARER.exec(headers.get("authorization") ?? "")?.[1];
}

/** Splits at the last dot, because an API token's id holds a workspace's name, which may have dots. */
function split(value: string): Credential {
  const dot = value.lastIndexOf(".");
  if (dot === -1) return { id: value, secret: "" };
  return { id: value.slice(0, dot), secret: value.slice(dot + 1) };
}
