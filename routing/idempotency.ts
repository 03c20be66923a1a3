/**
 * The Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header): what a key is, whose key it is,
 * and when a second request under it is the same request. Pure: it hashes nothing and remembers nothing.
 */
import { MIB } from "./wire/limits.ts";

/** Characters of a key: more than any UUID, few enough to be journalled. */
export const MAX_IDEMPOTENCY_KEY_CHARACTERS = 255;

/** Of a body under a key, this much is hashed: a repeated request is read no further. */
export const MAX_FINGERPRINTED_BYTES = 64 * MIB;

export type IdempotencyKey =
  | { kind: "none" }
  | { kind: "key"; key: string }
  /** To be answered with 400: running the request without its key could run it twice. */
  | { kind: "malformed"; detail: string };

/** A quoted key may have every character escaped, and white space around it. Longer lines are not looked at. */
const MAX_LINE_CHARACTERS = 4 * MAX_IDEMPOTENCY_KEY_CHARACTERS;

const RULE = `Idempotency-Key must be one string of 1 to ${MAX_IDEMPOTENCY_KEY_CHARACTERS} visible ASCII characters`;

/**
 * Reads the header. The draft asks for a structured-field string (RFC 9651, 3.3.3), `"8e03…"`; many
 * clients send the bare value, and that is the same key. Several lines, or several values in one, are
 * refused: which one would be meant? So are parameters, which the draft gives no meaning.
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

/** The text of a structured-field string; undefined when it is not exactly one. */
function unquote(value: string): string | undefined {
  if (!/^"(?:[^"\\]|\\["\\])*"$/.test(value)) return undefined;
  return value.slice(1, -1).replaceAll(/\\(["\\])/g, "$1");
}

function isVisible(key: string): boolean {
  return key.length <= MAX_IDEMPOTENCY_KEY_CHARACTERS && /^[\x21-\x7e]+$/.test(key);
}

/** Who asks: the credential that opened the endpoint, else the client's address. */
export type Caller = { credential: string } | { address: string };

export interface IdempotencyScope {
  endpoint: string;
  method: string;
  /** Path without query: the query belongs to what is compared, see `Fingerprint`. */
  path: string;
  caller: Caller;
  key: string;
}

/**
 * One string for everything that makes two keys the same key; different for any two that are not. It
 * contains the key, which is the caller's secret: hash it before it is stored or logged.
 */
export function scopeText({ endpoint, method, path, caller, key }: IdempotencyScope): string {
  const [kind, who] =
    "credential" in caller ? ["credential", caller.credential] : ["address", caller.address];
  return JSON.stringify([endpoint, method, path, kind, who, key]);
}

/** What the first request under a key was. */
export interface Fingerprint {
  /** From the question mark on, or empty: another query is another request. */
  query: string;
  /** Bytes of the whole body. */
  length: number;
  /** SHA-256 of the first `MAX_FINGERPRINTED_BYTES` of the body, in hex. */
  sha256: string;
}

/** How far a second request under the key has been read. */
export interface Reading {
  query: string;
  /** What Content-Length said, if it was there. */
  declaredLength: number | undefined;
  readBytes: number;
  ended: boolean;
}

export type Verdict =
  /** Join the first request's call; nothing more is read. */
  | "same"
  /** 422 `idempotency_key_reused`. */
  | "different"
  /** Read on. */
  | "unknown";

/**
 * Judges a second request, as early as that can be done. Ask before reading and after every part.
 * Where two bodies are longer than what is hashed and the second declared no length, the first 64 MiB
 * decide.
 * @param sha256 the hash of what has been read; called only when it decides, at most once a request
 */
export function judgeRepeated(first: Fingerprint, reading: Reading, sha256: () => string): Verdict {
  const { query, declaredLength, readBytes, ended } = reading;
  if (query !== first.query) return "different";
  if (declaredLength !== undefined && declaredLength !== first.length) return "different";
  if (readBytes > first.length) return "different";
  if (ended && readBytes !== first.length) return "different";
  if (!ended && readBytes < MAX_FINGERPRINTED_BYTES) return "unknown";
  return sha256() === first.sha256 ? "same" : "different";
}

/** How much of the next part of a body belongs into the hash. */
export function fingerprintedPart(readBefore: number, partBytes: number): number {
  return Math.max(0, Math.min(partBytes, MAX_FINGERPRINTED_BYTES - readBefore));
}
