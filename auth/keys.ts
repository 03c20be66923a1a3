/**
 * The keys that a gateway works with. All are derived by HKDF (RFC 5869) from its one secret, `POSTERN_KEY`: 32 random
 * bytes in unpadded base64url. Each has one purpose, so what one key signed tells nothing about another. The secret
 * comes from the state directory or from wrangler; this file only derives.
 *
 * While a secret is replaced there are two, with a comma between: the present one, which signs, and the one before it,
 * whose signatures are valid too.
 */
import { base64url, type CryptoKey } from "jose";

const GATEWAY_KEY = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

const KEY_ID_BITS = 72;

/** The keys that a gateway derives once from its secret. */
export interface GatewayKeys {
  /** Tells one secret from another, and nothing about either. */
  readonly id: string;
  /** HMAC-SHA-256: the MACs at the end of token ids. */
  readonly tokenIds: CryptoKey;
  /** HMAC-SHA-256: the tokens in result URLs. */
  readonly resultTokens: CryptoKey;
  /** HKDF: the first API token of each workspace. */
  readonly firstTokens: CryptoKey;
  /** HMAC-SHA-256: the keys of enrolled boxes. */
  readonly boxKeys: CryptoKey;
  /** HMAC-SHA-256: the tokens of apps. */
  readonly appTokens: CryptoKey;
  /** HMAC-SHA-256: the cookies that name a session's place. */
  readonly affinityCookies: CryptoKey;
  /** HMAC-SHA-256: connect tokens. */
  readonly connectTokens: CryptoKey;
  /** HMAC-SHA-256: the cookies of people who have signed in. */
  readonly signInCookies: CryptoKey;
  /** HKDF: the keys of states, one for each sign-in that begins. */
  readonly signInStates: CryptoKey;
  /** HMAC-SHA-256: the records that prove custom domains. */
  readonly domainProofs: CryptoKey;
  /** HKDF: the key of each workspace's secrets. */
  readonly secrets: CryptoKey;
  /** Those of the secret before, while it is valid too. */
  readonly before?: GatewayKeys;
}

/** Each key that a signature may be of, the present one first. */
export function validKeys(keys: GatewayKeys): readonly GatewayKeys[] {
  return keys.before === undefined ? [keys] : [keys, keys.before];
}

/** @throws TypeError where the secret is not 32 bytes in unpadded, canonical base64url, nor two of that */
export async function deriveGatewayKeys(secret: string): Promise<GatewayKeys> {
  const [present = "", before, ...more] = secret.split(",");
  if (before === undefined) return await keysOf(present);
  if (more.length > 0)
    throw new TypeError("the gateway's key is more than two with a comma between");
  return { ...(await keysOf(present)), before: await keysOf(before) };
}

async function keysOf(secret: string): Promise<GatewayKeys> {
  if (!GATEWAY_KEY.test(secret)) {
    throw new TypeError("the gateway's key is not 32 bytes in unpadded base64url");
  }
  const root = await crypto.subtle.importKey(
    "raw",
    new Uint8Array(base64url.decode(secret)),
    "HKDF",
    false,
    ["deriveKey", "deriveBits"],
  );
  const hmacKey = async (info: string, usages: ("sign" | "verify")[]) =>
    await crypto.subtle.deriveKey(
      purpose(info),
      root,
      { name: "HMAC", hash: "SHA-256", length: 256 },
      false,
      usages,
    );
  const hkdfKey = async (info: string, usage: "deriveBits" | "deriveKey") => {
    const bits = await crypto.subtle.deriveBits(purpose(info), root, 256);
    return await crypto.subtle.importKey("raw", bits, "HKDF", false, [usage]);
  };
  const id = await crypto.subtle.deriveBits(purpose("key id"), root, KEY_ID_BITS);
  return {
    id: base64url.encode(new Uint8Array(id)),
    tokenIds: await hmacKey("token ids", ["sign"]),
    resultTokens: await hmacKey("result tokens", ["sign", "verify"]),
    firstTokens: await hkdfKey("first tokens", "deriveBits"),
    boxKeys: await hmacKey("box keys", ["sign"]),
    appTokens: await hmacKey("app tokens", ["sign"]),
    affinityCookies: await hmacKey("affinity cookies", ["sign"]),
    connectTokens: await hmacKey("connect tokens", ["sign", "verify"]),
    signInCookies: await hmacKey("sign-in cookies", ["sign", "verify"]),
    signInStates: await hkdfKey("sign-in states", "deriveKey"),
    domainProofs: await hmacKey("domain proofs", ["sign"]),
    secrets: await hkdfKey("secrets", "deriveKey"),
  };
}

/** HKDF's parameters for one use of a key. Without a salt, because the secret is random. */
export function purpose(info: string): HkdfParams {
  return {
    name: "HKDF",
    hash: "SHA-256",
    salt: new Uint8Array(0),
    info: new Uint8Array(new TextEncoder().encode(`postern ${info}`)),
  };
}

interface HkdfParams {
  readonly name: "HKDF";
  readonly hash: "SHA-256";
  readonly salt: Uint8Array<ArrayBuffer>;
  readonly info: Uint8Array<ArrayBuffer>;
}
