/**
 * Small private files, each with the CRC-32 of its content beside it in `<file>.crc32`. Where a disk flips a bit of a
 * key, nobody knows the key that is left. So a reader mends the bit.
 */
import { crc32 } from "node:zlib";
import { mendFlippedBit } from "../base/node/bit-repair.ts";
import { readIfThere, writePrivate } from "./private-file.ts";

export interface CheckedFile {
  readonly text: string;
  /** `unchecked`: without a checksum. `changed`: more than one bit is not as it was when the checksum was written. */
  readonly state: "whole" | "unchecked" | "mended" | "changed";
}

/** Reads a file, without one flipped bit of it. Undefined where there is none. */
export function readChecked(path: string): CheckedFile | undefined {
  const content = readIfThere(path);
  if (content === undefined) return undefined;
  const noted = readIfThere(checksumPath(path))?.toString() ?? "";
  const checksum = /^\d+$/.test(noted) ? Number(noted) : undefined;
  const stateOf = (): CheckedFile["state"] => {
    if (checksum === undefined) return "unchecked";
    if (checksum === crc32(content)) return "whole";
    return mendFlippedBit(content, checksum) === undefined ? "changed" : "mended";
  };
  const state = stateOf();
  return { text: content.toString(), state };
}

/** Writes a file and its checksum. */
export function writeChecked(path: string, text: string): void {
  writePrivate(path, text);
  writePrivate(checksumPath(path), String(crc32(text)));
}

/**
 * Mends a file that was read, or notes the checksum of one that somebody else has written. On a full disk a later
 * reader does it.
 */
export function keepChecked(
  path: string,
  { text, state }: CheckedFile,
  notice: (line: string) => void,
): void {
  if (state === "whole") return;
  if (state === "mended") notice(`${path}: mended a flipped bit`);
  try {
    if (state === "mended") writePrivate(path, text);
    else writePrivate(checksumPath(path), String(crc32(text)));
  } catch {
    // The text is good for this time.
  }
}

function checksumPath(path: string): string {
  return `${path}.crc32`;
}
