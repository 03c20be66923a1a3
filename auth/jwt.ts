/**
 * JSON Web Tokens of other issuers (RFC 7519): whether one opens an endpoint that trusts its issuer. Only the issuer's
 * published keys count (RFC 7517). A token's own words about keys, such as `jwk`, `jku` and `x5u`, count for nothing.
 * Fetches nothing, and gets the time as an argument.
 */
import {
  createLocalJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
  jwtVerify,
} from "jose";
import { isCanonical } from "./signed-claims.ts";

/** The issuer whose tokens an endpoint takes, and the name that they must have it by. */
export interface JwtTrust {
  readonly issuer: string;
  readonly audience: string;
}

export type JwtVerdict =
  | { readonly kind: "valid"; readonly claims: Readonly<Record<string, unknown>> }
  /** The token names a key that is not among these: the issuer may have a new one. */
  | { readonly kind: "unknown_key" }
  | { readonly kind: "invalid" };

/** Signatures by a private key alone (RFC 8725, 3.1): a secret that verifies could sign as well. */
const ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];

/** Seconds by which the clocks of issuer and gateway may differ. */
const CLOCK_SKEW_S = 60;

const MAX_TOKEN_CHARACTERS = 16_384;
const MAX_KEYS = 100;

/** An issuer's keys. */
export class JwtKeys {
  readonly find: JWTVerifyGetKey;

  private constructor(keys: JSONWebKeySet) {
    this.find = createLocalJWKSet(keys);
  }

  /** The keys of a JWK set; undefined for what is none. Keys of other kinds than public ones are left out. */
  static parse(text: string): JwtKeys | undefined {
    try {
      const { keys } = JSON.parse(text) as { keys?: unknown };
      if (!Array.isArray(keys) || keys.length > MAX_KEYS) return undefined;
      const known = keys.filter((key: unknown) => isPublicKey(key));
      return known.length === 0 ? undefined : new JwtKeys({ keys: known as JSONWebKeySet["keys"] });
    } catch {
      return undefined;
    }
  }
}

/** Checks a token. Never throws. @param nowS seconds since 1970 */
export async function verifyJwt(
  token: string,
  { issuer, audience }: JwtTrust,
  keys: JwtKeys,
  nowS: number,
): Promise<JwtVerdict> {
  if (!isSpelledRight(token)) return { kind: "invalid" };
  try {
    const { payload } = await jwtVerify(token, keys.find, {
      algorithms: ALGORITHMS,
      issuer,
      audience,
      requiredClaims: ["exp"],
      clockTolerance: CLOCK_SKEW_S,
      currentDate: new Date(nowS * 1_000),
    });
    return { kind: "valid", claims: payload };
  } catch (error) {
    return { kind: error instanceof errors.JWKSNoMatchingKey ? "unknown_key" : "invalid" };
  }
}

/** Claims as a header's value: JSON in ASCII, since servers differ on other letters. */
export function claimsText(claims: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(claims).replaceAll(
    /[\x7f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Whether a text has the form of a signed token, with one spelling for each part. */
function isSpelledRight(token: string): boolean {
  if (token.length > MAX_TOKEN_CHARACTERS) return false;
  const parts = token.split(".");
  return parts.length === 3 && parts.every(isCanonical);
}

function isPublicKey(key: unknown): boolean {
  if (typeof key !== "object" || key === null) return false;
  const { kty, d } = key as Record<string, unknown>;
  // An issuer that publishes its private key signs for everybody.
  return (kty === "RSA" || kty === "EC" || kty === "OKP") && d === undefined;
}
