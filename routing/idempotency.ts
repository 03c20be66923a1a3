/**
 * The Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header): what a key is, and
 * whose key it is, as one string that a box can compare. Pure: it hashes nothing and remembers nothing.
 */

/** Characters of a key: more than any UUID, few enough to be journalled. */
const MAX_IDEMPOTENCY_KEY_CHARACTERS = 255;

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
  /** Path without query: the query belongs to what must be the same under a key, as the body does. */
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
