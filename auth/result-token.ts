/**
 * Result tokens: what a result URL carries in `__postern_call`. A token is a JWS (RFC 7515) that names a call
 * and where it lives. With it the edge needs no memory of calls, and a guessed token reaches no box. Anybody
 * who has the URL can read the token: it holds no secret.
 *
 * A token opens its call at one endpoint alone: names are unique within a box, and a box may serve several
 * tenants' names that read alike.
 *
 * A token has one spelling. Libraries accept several (padding, white space, unused bits of the last
 * character), and a cache or a log would take two spellings for two tokens.
 */
import { base64url, CompactSign, compactVerify, type CryptoKey } from "jose";

/** The endpoint that a result token opens its call at. */
export interface ResultEndpoint {
  workspace: string;
  appId: string;
  /** The endpoint's name within its box. */
  endpoint: string;
}

/** The claims of a token. */
export interface ResultClaims extends ResultEndpoint {
  callId: string;
  box: string;
  /** How many redirects led to this URL: each has its own token. */
  hop: number;
  /** Seconds since 1970. */
  expiresAtS: number;
}

export type ResultTokenVerdict =
  | { kind: "valid"; claims: ResultClaims }
  /** Ours and too old: the client gets 410. */
  | { kind: "expired"; claims: ResultClaims }
  /** Not ours, or not spelled as ours are: the client gets 404, and no object is asked. */
  | { kind: "forged" };

/** The HMAC key (RFC 7518, 3.2: 32 bytes or more), as bytes or imported for HMAC with SHA-256. */
export type ResultTokenKey = Uint8Array | CryptoKey;

const ALGORITHM = "HS256";

/** RFC 8725, 3.11: the type keeps tokens of another kind under the same key apart. */
const PROTECTED_HEADER = { alg: ALGORITHM, typ: "postern-result" } as const;

/** The only header that is accepted, as it stands in a token: another algorithm, or `none`, is never tried. */
const ENCODED_HEADER = base64url.encode(JSON.stringify(PROTECTED_HEADER));

/** Longer tokens are refused unread. The longest names that each limit below allows fit. */
const MAX_TOKEN_CHARACTERS = 1792;

/** Workspaces, boxes and apps have names or ids of at most 64 characters; a call's id is a UUID. */
const MAX_NAME_CHARACTERS = 64;

/** Environment, app, class and function, of at most 64, 64, 128 and 128 characters. */
const MAX_ENDPOINT_CHARACTERS = 640;

const MAX_HOP = 9999;

/** Makes a token. @throws RangeError for claims that `verifyResultToken` would not accept */
export async function signResultToken(claims: ResultClaims, key: ResultTokenKey): Promise<string> {
  const { callId, endpoint, appId, workspace, box, hop, expiresAtS } = claims;
  // These fields alone: other members of the caller's object stay out of the URL.
  const payload = JSON.stringify({ callId, endpoint, appId, workspace, box, hop, exp: expiresAtS });
  if (parseClaims(payload) === undefined) throw new RangeError("these claims make no result token");
  return await new CompactSign(new TextEncoder().encode(payload))
    .setProtectedHeader(PROTECTED_HEADER)
    .sign(key);
}

/**
 * Checks a token's signature and age. Callers that serve its call also ask `isOpenedAt`.
 * @param nowS seconds since 1970
 */
export async function verifyResultToken(
  token: string,
  key: ResultTokenKey,
  nowS: number,
): Promise<ResultTokenVerdict> {
  if (!isSpelledAsOurs(token)) return { kind: "forged" };
  let payload: Uint8Array;
  try {
    ({ payload } = await compactVerify(token, key, { algorithms: [ALGORITHM] }));
  } catch {
    return { kind: "forged" };
  }
  const claims = parseClaims(new TextDecoder().decode(payload));
  if (claims === undefined) return { kind: "forged" };
  return { kind: nowS < claims.expiresAtS ? "valid" : "expired", claims };
}

/** Whether a token's call belongs to this endpoint; a token of any other is worth nothing here. */
export function isOpenedAt(
  claims: ResultEndpoint,
  { workspace, appId, endpoint }: ResultEndpoint,
): boolean {
  return claims.workspace === workspace && claims.appId === appId && claims.endpoint === endpoint;
}

/** Everything that can be told without the key: size, header, alphabet, canonical last characters. */
function isSpelledAsOurs(token: string): boolean {
  if (token.length > MAX_TOKEN_CHARACTERS) return false;
  const [header, payload, signature, ...rest] = token.split(".");
  if (header !== ENCODED_HEADER || rest.length > 0) return false;
  return isCanonical(payload) && isCanonical(signature);
}

/** RFC 4648, 3.5: decoding and encoding again gives the same text. */
function isCanonical(part: string | undefined): boolean {
  if (part === undefined || !/^[A-Za-z0-9_-]+$/.test(part)) return false;
  try {
    return base64url.encode(base64url.decode(part)) === part;
  } catch {
    return false;
  }
}

function parseClaims(payload: string): ResultClaims | undefined {
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { callId, endpoint, appId, workspace, box, hop, exp } = value as Record<string, unknown>;
  if (!isName(callId) || !isName(appId) || !isName(workspace) || !isName(box)) return undefined;
  if (!isName(endpoint, MAX_ENDPOINT_CHARACTERS)) return undefined;
  if (!isCount(hop) || hop > MAX_HOP || !isCount(exp)) return undefined;
  return { callId, endpoint, appId, workspace, box, hop, expiresAtS: exp };
}

/** Names end up in logs and object ids: visible ASCII, and no character that JSON would spell longer. */
function isName(value: unknown, maxCharacters = MAX_NAME_CHARACTERS): value is string {
  return (
    typeof value === "string" &&
    value.length <= maxCharacters &&
    /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(value)
  );
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
