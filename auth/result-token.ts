/**
 * Result tokens: what a result URL carries in `__postern_call`. A token is a JWS (RFC 7515) that names a call
 * and where it lives. With it the edge needs no memory of calls, and a guessed token reaches no box. Anybody
 * who has the URL can read the token: it holds no secret.
 *
 * A token opens its call at one endpoint alone: names are unique within a box, and a box may serve several
 * tenants' names that read alike.
 */
import { type ClaimsKey, SignedClaims } from "./signed-claims.ts";

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
  /** It is the call of a HEAD request: its response has no body, whatever length it declares. */
  isHead: boolean;
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

/** Longer tokens are refused unread. The longest names that each limit below allows fit. */
const MAX_TOKEN_CHARACTERS = 1792;

const TOKENS = new SignedClaims("postern-result", MAX_TOKEN_CHARACTERS);

/** Workspaces, boxes and apps have names or ids of at most 64 characters; a call's id is a UUID. */
const MAX_NAME_CHARACTERS = 64;

/** Environment, app, class and function, of at most 64, 64, 128 and 128 characters. */
const MAX_ENDPOINT_CHARACTERS = 640;

const MAX_HOP = 9999;

/** Makes a token. @throws RangeError for claims that `verifyResultToken` would not accept */
export async function signResultToken(claims: ResultClaims, key: ClaimsKey): Promise<string> {
  const { callId, endpoint, appId, workspace, box, isHead, hop, expiresAtS } = claims;
  // These fields alone: other members of the caller's object stay out of the URL.
  const named = { callId, endpoint, appId, workspace, box, ...(isHead && { head: true }) };
  const payload = { ...named, hop, exp: expiresAtS };
  if (parseClaims(payload) === undefined) throw new RangeError("these claims make no result token");
  return await TOKENS.sign(payload, key);
}

/**
 * Checks a token's signature and age. Callers that serve its call also ask `isOpenedAt`.
 * @param keys any of which may have signed it
 * @param nowS seconds since 1970
 */
export async function verifyResultToken(
  token: string,
  keys: readonly ClaimsKey[],
  nowS: number,
): Promise<ResultTokenVerdict> {
  const payload = await TOKENS.verify(token, ...keys);
  const claims = payload && parseClaims(payload);
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

function parseClaims(payload: Readonly<Record<string, unknown>>): ResultClaims | undefined {
  const { callId, endpoint, appId, workspace, box, head = false, hop, exp } = payload;
  if (!isName(callId) || !isName(appId) || !isName(workspace) || !isName(box)) return undefined;
  if (!isName(endpoint, MAX_ENDPOINT_CHARACTERS)) return undefined;
  if (typeof head !== "boolean") return undefined;
  if (!isCount(hop) || hop > MAX_HOP || !isCount(exp)) return undefined;
  return { callId, endpoint, appId, workspace, box, isHead: head, hop, expiresAtS: exp };
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
