/**
 * The letters that tokens are spelt in, and how such texts are compared. Each character carries five bits of its own
 * and nothing is decoded, so a token has one spelling.
 */

/** RFC 4648, 6, in lower case. A random byte picks one of the 32 without bias. */
const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

/** One letter for each byte. */
export function letters(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += ALPHABET[byte % ALPHABET.length];
  return text;
}

/** Compares in constant time: it does not depend on where the texts differ. */
export function sameText(left: string, right: string): boolean {
  let difference = left.length ^ right.length;
  for (let index = 0; index < right.length; index++) {
    // Past the end of `left` there is NaN, which counts as 0: the lengths already differ then.
    difference |= left.charCodeAt(index) ^ right.charCodeAt(index);
  }
  return difference === 0;
}
