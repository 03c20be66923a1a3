/**
 * States of sign-ins that have begun (OpenID Connect Core 1.0, 3.1.2.1). A state goes by the person's browser to the
 * identity provider and back, sealed: neither of them can read or change it. It opens in the browser that began, at the
 * place where it began, for some minutes. The gateway stores none.
 *
 * Each state has a key of its own, since strangers may begin any number of sign-ins.
 */
import { base64url, type CryptoKey } from "jose";
import { type GatewayKeys, purpose, validKeys } from "./keys.ts";
import { isCanonical } from "./signed-claims.ts";
import { placeText, type SignInPlace } from "./sign-in-place.ts";

export interface SignInState {
  /** Path and query where the person goes on. */
  readonly target: string;
  /** The provider repeats it in its token. */
  readonly nonce: string;
  /** The secret of PKCE (RFC 7636, 4.1). */
  readonly verifier: string;
  /** Seconds since 1970. */
  readonly expiresAtS: number;
}

/** Names a state, and makes its key. */
export const STATE_ID_BYTES = 16;

/** Longer than any that is made: a target has its own bound. */
const MAX_STATE_CHARACTERS = 8_192;

/** NIST SP 800-38D, 8.2: a key that seals one text needs no IV of its own. */
const IV = new Uint8Array(12);

/**
 * Seals a state.
 * @param browser the secret of the browser that begins
 * @param id `STATE_ID_BYTES` bytes from a cryptographic source, for this state alone
 */
export async function sealSignInState(
  keys: GatewayKeys,
  place: SignInPlace,
  browser: string,
  state: SignInState,
  id: Uint8Array,
): Promise<string> {
  if (id.length !== STATE_ID_BYTES) throw new RangeError("a state's id has 16 bytes");
  const idText = base64url.encode(id);
  const sealed = await crypto.subtle.encrypt(
    parameters(place, browser),
    await keyOf(keys, idText),
    new TextEncoder().encode(JSON.stringify(state)),
  );
  return `${idText}.${base64url.encode(new Uint8Array(sealed))}`;
}

/** Opens a state; undefined for one that is forged, expired, another place's or another browser's. Never throws. */
export async function openSignInState(
  keys: GatewayKeys,
  place: SignInPlace,
  browser: string,
  text: string,
  nowS: number,
): Promise<SignInState | undefined> {
  if (text.length > MAX_STATE_CHARACTERS) return undefined;
  const [id = "", sealed = "", ...rest] = text.split(".");
  if (rest.length > 0 || !isCanonical(id) || !isCanonical(sealed)) return undefined;
  for (const valid of validKeys(keys)) {
    try {
      const opened = await crypto.subtle.decrypt(
        parameters(place, browser),
        await keyOf(valid, id),
        new Uint8Array(base64url.decode(sealed)),
      );
      const state = JSON.parse(new TextDecoder().decode(opened)) as SignInState;
      return nowS < state.expiresAtS ? state : undefined;
    } catch {
      // Sealed by another key, or by nobody.
    }
  }
  return undefined;
}

async function keyOf({ signInStates }: GatewayKeys, id: string): Promise<CryptoKey> {
  return await crypto.subtle.deriveKey(
    purpose(`sign-in state ${id}`),
    signInStates,
    { name: "AES-GCM", length: 256 },
    false,
    ["encrypt", "decrypt"],
  );
}

function parameters(place: SignInPlace, browser: string) {
  const additionalData = new TextEncoder().encode(`${browser}\n${placeText(place)}`);
  return { name: "AES-GCM", iv: IV, additionalData };
}
