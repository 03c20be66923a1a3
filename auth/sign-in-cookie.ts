/**
 * Cookies of people who have signed in: the value says who its holder is, for one endpoint at one host, until it expires.
 * The gateway stores none: a value is signed claims. Its holder can read it. Values of a workspace belong to a round, a
 * number that grows: those of earlier rounds are revoked.
 */
import { base64url } from "jose";
import { type ClaimsKey, SignedClaims } from "./signed-claims.ts";
import { placeText, type SignInPlace } from "./sign-in-place.ts";

/** Somebody as an identity provider vouches for them. */
export interface SignedInPerson {
  /** The provider's name for them, which stays (OpenID Connect Core 1.0, 2). */
  readonly sub: string;
  /** Verified by the provider. */
  readonly email: string;
  /** As they call themselves. */
  readonly name?: string;
}

/** A time in seconds since 1970, and the round of the workspace's sign-ins. */
export interface SignInTime {
  readonly seconds: number;
  readonly round: number;
}

/** OpenID Connect Core 1.0, 2. */
export const MAX_SUB_CHARACTERS = 255;

/** RFC 5321, 4.5.3.1. */
export const MAX_EMAIL_CHARACTERS = 254;

/** A longer one is left out. */
export const MAX_NAME_CHARACTERS = 100;

/** A cookie of 4,096 bytes holds it (RFC 6265, 6.1), with its name. */
const MAX_VALUE_CHARACTERS = 4_000;

const VALUES = new SignedClaims("postern-sign-in", MAX_VALUE_CHARACTERS);

/**
 * Makes a value.
 * @param until when it expires, and the round that it belongs to
 * @throws RangeError for a person that `verifySignInCookie` would not accept
 */
export async function signSignInCookie(
  key: ClaimsKey,
  place: SignInPlace,
  person: SignedInPerson,
  until: SignInTime,
): Promise<string> {
  const { seconds, round } = until;
  const payload = { at: await digestOf(place), ...person, exp: seconds, round };
  const value = await VALUES.sign(payload, key);
  if (parsePerson(payload) === undefined || value.length > MAX_VALUE_CHARACTERS) {
    throw new RangeError("this person makes no cookie");
  }
  return value;
}

/**
 * Who signed in at this place; undefined for a value that is forged, expired, revoked or another place's. Never throws.
 * A later round than the present one counts: another isolate may have heard of it before.
 * @param keys any of which may have signed it
 */
export async function verifySignInCookie(
  keys: readonly ClaimsKey[],
  place: SignInPlace,
  value: string,
  now: SignInTime,
): Promise<SignedInPerson | undefined> {
  const payload = await VALUES.verify(value, ...keys);
  if (payload === undefined) return undefined;
  const { at, exp, round } = payload;
  if (typeof exp !== "number" || now.seconds >= exp) return undefined;
  if (typeof round !== "number" || round < now.round) return undefined;
  return at === (await digestOf(place)) ? parsePerson(payload) : undefined;
}

/** A person of an identity provider's or a cookie's claims; undefined where they tell none. */
export function parsePerson(claims: Readonly<Record<string, unknown>>): SignedInPerson | undefined {
  const { sub, email, name } = claims;
  if (!isText(sub, MAX_SUB_CHARACTERS) || !isText(email, MAX_EMAIL_CHARACTERS)) return undefined;
  return isText(name, MAX_NAME_CHARACTERS) ? { sub, email, name } : { sub, email };
}

function isText(value: unknown, longest: number): value is string {
  return typeof value === "string" && value !== "" && value.length <= longest;
}

/** A cookie has no room for the names of a place. */
async function digestOf(place: SignInPlace): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(placeText(place)));
  return base64url.encode(new Uint8Array(digest));
}
