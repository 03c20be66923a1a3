/**
 * How a GPU box proves its identity. An enrolled box has a key of its own, which the gateway derives from its secret
 * when it needs it, and stores nowhere. For each connection the box signs a credential with that key: a JWT
 * (RFC 7519) of one minute that names the box and the gateway it is for. The workspace knows whether an enrolment is
 * still valid; this file does not.
 */
import { base64url, decodeJwt, errors, jwtVerify, SignJWT } from "jose";
import { type GatewayKeys, validKeys } from "./keys.ts";

/** One enrolment of a box. */
export interface BoxIdentity {
  readonly workspace: string;
  readonly box: string;
  /** Tells one enrolment under this name from the next: random hex, used once. */
  readonly serial: string;
}

/** The enrolment that a box gets and stores. */
export interface BoxEnrolment extends BoxIdentity {
  /** From `deriveBoxKey`. */
  readonly key: string;
  /** The gateway that its credentials are for, by its base domain. */
  readonly audience: string;
}

export type BoxVerdict =
  | { kind: "valid"; identity: BoxIdentity }
  /** Signed by its box, for another gateway's base domain. */
  | { kind: "elsewhere" }
  /** Signed by a box whose clock is ahead by so many seconds; negative: behind. */
  | { kind: "clock"; aheadS: number }
  | { kind: "forged" };

const ALGORITHM = "HS256";

/** RFC 8725, 3.11: the type keeps tokens of another kind under the same key apart. */
const TYPE = "postern-box";

/** A box makes a credential for one connection and uses it at once. */
export const BOX_CREDENTIAL_LIFETIME_S = 60;

/** The clocks of box and gateway may differ by this much. */
export const CLOCK_SKEW_S = 30;

/** Longer credentials are refused unread. */
const MAX_CREDENTIAL_CHARACTERS = 2048;

/** The same names as in routing/names.ts, which this room may not import. */
const NAME = /^[A-Za-z0-9._-]{1,64}$/;
const SERIAL = /^[0-9a-f]{1,64}$/;

/**
 * The key of an enrolment: 32 bytes in unpadded base64url. HMAC-SHA-256 is a pseudo-random function, so one box's
 * key tells nothing about another's.
 */
export async function deriveBoxKey(
  keys: GatewayKeys,
  { workspace, box, serial }: BoxIdentity,
): Promise<string> {
  const text = new TextEncoder().encode(JSON.stringify([workspace, box, serial]));
  const mac = await crypto.subtle.sign("HMAC", keys.boxKeys, text);
  return base64url.encode(new Uint8Array(mac));
}

/** Makes a credential for one connection. @param nowS seconds since 1970 */
export async function mintBoxCredential(
  { workspace, box, serial, key, audience }: BoxEnrolment,
  nowS: number,
): Promise<string> {
  const issuedAtS = Math.floor(nowS);
  return await new SignJWT({ workspace, box, serial })
    .setProtectedHeader({ alg: ALGORITHM, typ: TYPE })
    .setAudience(audience)
    .setIssuedAt(issuedAtS)
    .setExpirationTime(issuedAtS + BOX_CREDENTIAL_LIFETIME_S)
    .sign(base64url.decode(key));
}

/** Checks a credential. Never throws. */
export async function verifyBoxCredential(
  keys: GatewayKeys,
  credential: string,
  audience: string,
  nowS: number,
): Promise<BoxVerdict> {
  const claimed = claimsOf(credential);
  if (claimed === undefined) return { kind: "forged" };
  const { identity, issuedAtS } = claimed;
  let verdict: BoxVerdict = { kind: "forged" };
  for (const valid of validKeys(keys)) {
    verdict = await verifyUnder(valid, credential, identity, { audience, issuedAtS, nowS });
    if (verdict.kind !== "forged") return verdict;
  }
  return verdict;
}

/** The verdict by one of the gateway's keys. */
async function verifyUnder(
  keys: GatewayKeys,
  credential: string,
  identity: BoxIdentity,
  { audience, issuedAtS, nowS }: { audience: string; issuedAtS: number; nowS: number },
): Promise<BoxVerdict> {
  const key = base64url.decode(await deriveBoxKey(keys, identity));
  try {
    await jwtVerify(credential, key, {
      algorithms: [ALGORITHM],
      typ: TYPE,
      audience,
      currentDate: new Date(nowS * 1_000),
      clockTolerance: CLOCK_SKEW_S,
      // A box could set a later `exp`; its credential still ends with this age.
      maxTokenAge: BOX_CREDENTIAL_LIFETIME_S,
    });
    return { kind: "valid", identity };
  } catch (error) {
    return refusalOf(error, issuedAtS - Math.floor(nowS));
  }
}

/** jose checks the signature before any claim. */
function refusalOf(error: unknown, aheadS: number): BoxVerdict {
  if (error instanceof errors.JWTExpired) return { kind: "clock", aheadS };
  if (!(error instanceof errors.JWTClaimValidationFailed)) return { kind: "forged" };
  if (error.claim === "iat" && error.reason === "check_failed") return { kind: "clock", aheadS };
  return { kind: error.claim === "aud" ? "elsewhere" : "forged" };
}

/** The unverified claims of a credential: they tell which key verifies it. */
function claimsOf(credential: string): { identity: BoxIdentity; issuedAtS: number } | undefined {
  if (credential.length > MAX_CREDENTIAL_CHARACTERS) return undefined;
  let claims: Record<string, unknown>;
  try {
    claims = decodeJwt(credential);
  } catch {
    return undefined;
  }
  const { workspace, box, serial, iat } = claims;
  if (!matches(NAME, workspace) || !matches(NAME, box) || !matches(SERIAL, serial)) {
    return undefined;
  }
  if (typeof iat !== "number") return undefined;
  return { identity: { workspace, box, serial }, issuedAtS: iat };
}

function matches(pattern: RegExp, value: unknown): value is string {
  return typeof value === "string" && pattern.test(value);
}
