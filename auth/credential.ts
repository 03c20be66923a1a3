/**
 * Reads the credential that a request presents from its headers: the pair `Postern-Key` and `Postern-Secret`, the
 * pair `Modal-Key` and `Modal-Secret`, or one Bearer value `wk-….ws-…` or `pat-…`. Any other Authorization belongs to
 * the app. Reads only, and verifies nothing.
 */
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
  const value = bearerValue(headers);
  return value !== undefined && /^wk-/i.test(value) ? split(value) : undefined;
}

/** The app token that a request presents to an endpoint; undefined where it has none. */
export function appToken(headers: HeaderSource): string | undefined {
  const value = bearerValue(headers);
  return value !== undefined && /^pat-/i.test(value) ? value : undefined;
}

/** The credential that a request presents to the API; undefined where it has no Bearer value. */
export function apiCredential(headers: HeaderSource): Credential | undefined {
  const value = bearerValue(headers);
  return value === undefined ? undefined : split(value);
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
