/**
 * Secrets at rest: sealed with AES-GCM (NIST SP 800-38D) under their workspace's key, which is derived from the
 * gateway's key and stored nowhere. A sealed secret is bound to its place: in another environment, under another name
 * or in another workspace it does not open.
 */
import type { CryptoKey } from "jose";
import { type GatewayKeys, purpose } from "./keys.ts";

/** Where a secret belongs. */
export interface SecretPlace {
  readonly workspace: string;
  /** The environment's number. */
  readonly environment: number;
  readonly name: string;
}

/** Names and values of environment variables. */
export type Variables = Record<string, string>;

/** SP 800-38D, 8.2.2: 96 random bits, never twice under one key. */
export const SECRET_IV_BYTES = 12;

/** The key of a workspace's secrets. */
export async function deriveSecretsKey(keys: GatewayKeys, workspace: string): Promise<CryptoKey> {
  return await crypto.subtle.deriveKey(
    purpose(`secrets of ${workspace}`),
    keys.secrets,
    { name: "AES-GCM", length: 256 },
    false,
    ["encrypt", "decrypt"],
  );
}

/** Seals a secret. @param iv `SECRET_IV_BYTES` bytes from a cryptographic source */
export async function sealSecret(
  key: CryptoKey,
  place: SecretPlace,
  variables: Variables,
  iv: Uint8Array<ArrayBuffer>,
): Promise<ArrayBuffer> {
  if (iv.length !== SECRET_IV_BYTES) throw new RangeError("an IV has 12 bytes");
  const text = new TextEncoder().encode(JSON.stringify(variables));
  return await crypto.subtle.encrypt(parameters(place, iv), key, text);
}

/** Opens a secret; undefined where it was not sealed with this key for this place. */
export async function openSecret(
  key: CryptoKey,
  place: SecretPlace,
  sealed: ArrayBuffer,
  iv: Uint8Array<ArrayBuffer>,
): Promise<Variables | undefined> {
  try {
    const text = await crypto.subtle.decrypt(parameters(place, iv), key, sealed);
    return JSON.parse(new TextDecoder().decode(text)) as Variables;
  } catch {
    return undefined;
  }
}

function parameters({ workspace, environment, name }: SecretPlace, iv: Uint8Array<ArrayBuffer>) {
  const place = new TextEncoder().encode(JSON.stringify([workspace, environment, name]));
  return { name: "AES-GCM", iv, additionalData: place };
}
