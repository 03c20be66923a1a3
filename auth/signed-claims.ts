/**
 * Claims as a text that its holder can read and nobody can forge: a JWS (RFC 7515) under one of the gateway's keys. Each
 * kind of claims has a type of its own (RFC 8725, 3.11), which keeps kinds apart.
 *
 * A text has one spelling. Libraries accept several (padding, white space, unused bits of the last character), and a
 * cache or a log would take two spellings for two texts.
 */
import { base64url, CompactSign, compactVerify, type CryptoKey } from "jose";

/** The HMAC key (RFC 7518, 3.2: 32 bytes or more), as bytes or imported for HMAC with SHA-256. */
export type ClaimsKey = Uint8Array | CryptoKey;

const ALGORITHM = "HS256";

export class SignedClaims {
  readonly #header: { readonly alg: string; readonly typ: string };
  /** The only header that is accepted, as it stands in a text: another algorithm, or `none`, is never tried. */
  readonly #encodedHeader: string;
  readonly #maxCharacters: number;

  /** @param maxCharacters longer texts are refused unread */
  constructor(typ: string, maxCharacters: number) {
    this.#header = { alg: ALGORITHM, typ };
    this.#encodedHeader = base64url.encode(JSON.stringify(this.#header));
    this.#maxCharacters = maxCharacters;
  }

  async sign(claims: object, key: ClaimsKey): Promise<string> {
    return await new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
      .setProtectedHeader(this.#header)
      .sign(key);
  }

  /** The claims of a text that one of these keys signed, unchecked; undefined for any other text. Never throws. */
  async verify(
    text: string,
    ...keys: readonly ClaimsKey[]
  ): Promise<Record<string, unknown> | undefined> {
    if (!this.#isSpelledAsOurs(text)) return undefined;
    for (const key of keys) {
      const claims = await this.#verifyUnder(text, key);
      if (claims !== undefined) return claims;
    }
    return undefined;
  }

  async #verifyUnder(text: string, key: ClaimsKey): Promise<Record<string, unknown> | undefined> {
    try {
      const { payload } = await compactVerify(text, key, { algorithms: [ALGORITHM] });
      const claims: unknown = JSON.parse(new TextDecoder().decode(payload));
      return typeof claims === "object" && claims !== null
        ? (claims as Record<string, unknown>)
        : undefined;
    } catch {
      return undefined;
    }
  }

  /** Everything that can be told without the key: size, header, alphabet, canonical last characters. */
  #isSpelledAsOurs(text: string): boolean {
    if (text.length > this.#maxCharacters) return false;
    const [header, payload, signature, ...rest] = text.split(".");
    if (header !== this.#encodedHeader || rest.length > 0) return false;
    return isCanonical(payload) && isCanonical(signature);
  }
}

/** Whether a text is base64url and spelt as an encoder spells it (RFC 4648, 3.5). */
export function isCanonical(part: string | undefined): boolean {
  if (part === undefined || !/^[A-Za-z0-9_-]+$/.test(part)) return false;
  try {
    return base64url.encode(base64url.decode(part)) === part;
  } catch {
    return false;
  }
}
