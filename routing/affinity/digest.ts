/**
 * SHA-256 at once, where Web Crypto's takes a promise: a key is needed in the middle of decisions that take none. For
 * session keys alone, never for a secret. Pure.
 */
import { sha256 } from "@noble/hashes/sha2.js";

/** SHA-256 (FIPS 180-4) of a text in UTF-8, as lower-case hex. */
export function digestOfText(text: string): string {
  let hex = "";
  for (const byte of sha256(new TextEncoder().encode(text)))
    hex += byte.toString(16).padStart(2, "0");
  return hex;
}
