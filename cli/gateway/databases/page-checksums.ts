/**
 * The checksums of a database's pages, as it was when no process had it open, and the file in which they are kept.
 * SQLite has none of its own for the pages of its main file.
 */

import { closeSync, fstatSync, openSync, readFileSync, readSync, rmSync, writeSync } from "node:fs";
import { crc32 } from "node:zlib";
import { mendFlippedBit } from "../../../base/node/bit-repair.ts";
import { codeOf } from "../../failure.ts";
import { writePrivate } from "../../private-file.ts";

/** The bytes that one checksum covers: a page of SQLite, though any other size would do. */
const PAGE_BYTES = 4096;

export interface PageChecksums {
  /** When the file was written last, in nanoseconds since 1970: at another time it is another content. */
  readonly modifiedAtNs: string;
  /** The CRC-32 of each page, 4 bytes each, in base64. */
  readonly pages: string;
}

/** By the database's path below the objects' folder. */
export type ChecksumsByPath = ReadonlyMap<string, PageChecksums>;

/** Pages of a file that differ from what was recorded, counted from 1 as SQLite does. */
export interface Differences {
  readonly mended: readonly number[];
  readonly damaged: readonly number[];
}

/** The checksums of a file that no process writes. */
export function checksumsOf(path: string): PageChecksums {
  const sums: number[] = [];
  const modifiedAtNs = eachPage(path, "r", (page) => {
    sums.push(crc32(page));
  });
  const bytes = Buffer.alloc(4 * sums.length);
  for (const [index, sum] of sums.entries()) bytes.writeUInt32BE(sum, 4 * index);
  return { modifiedAtNs, pages: bytes.toString("base64") };
}

/** When the file was written last, as a record has it. */
export function modifiedAtNs(path: string): string {
  const file = openSync(path, "r");
  try {
    return fstatSync(file, { bigint: true }).mtimeNs.toString();
  } finally {
    closeSync(file);
  }
}

/** Compares a file with its record, and mends one flipped bit in each page that differs, in the file. */
export function mendPages(path: string, record: PageChecksums): Differences {
  const sums = Buffer.from(record.pages, "base64");
  const mended: number[] = [];
  const damaged: number[] = [];
  let pages = 0;
  eachPage(path, "r+", (page, number, file) => {
    pages = number;
    const sum = 4 * number <= sums.length ? sums.readUInt32BE(4 * (number - 1)) : undefined;
    if (crc32(page) === sum) return;
    const at = sum === undefined ? undefined : mendFlippedBit(page, sum);
    (at === undefined ? damaged : mended).push(number);
    if (at !== undefined) writeSync(file, page, at, 1, (number - 1) * PAGE_BYTES + at);
  });
  // A file that is too short lacks its last pages.
  for (let number = pages + 1; 4 * number <= sums.length; number += 1) damaged.push(number);
  return { mended, damaged };
}

/** Calls `visit` with each page, which is overwritten by the next one. Returns when the file was written last. */
function eachPage(
  path: string,
  mode: "r" | "r+",
  visit: (page: Buffer, number: number, file: number) => void,
): string {
  const file = openSync(path, mode);
  try {
    const buffer = Buffer.alloc(PAGE_BYTES);
    for (let number = 1; ; number += 1) {
      const length = readSync(file, buffer, 0, PAGE_BYTES, (number - 1) * PAGE_BYTES);
      if (length === 0) return fstatSync(file, { bigint: true }).mtimeNs.toString();
      visit(buffer.subarray(0, length), number, file);
    }
  } finally {
    closeSync(file);
  }
}

/**
 * Reads the record: a line for each database, `<CRC-32> <JSON>`. A damaged line counts as one that is not there.
 * @returns the checksums, and how many lines were damaged
 */
export function readChecksums(path: string): {
  checksums: Map<string, PageChecksums>;
  damaged: number;
} {
  const checksums = new Map<string, PageChecksums>();
  let damaged = 0;
  for (const line of linesOf(path)) {
    const json = line.slice(9);
    if (line.slice(0, 8) !== hexOf(json)) {
      damaged += 1;
      continue;
    }
    const { database, ...record } = JSON.parse(json) as PageChecksums & { database: string };
    checksums.set(database, record);
  }
  return { checksums, damaged };
}

/** Writes the record as a whole. */
export function writeChecksums(path: string, checksums: ChecksumsByPath): void {
  const lines = [...checksums].map(([database, record]) => {
    const json = JSON.stringify({ database, ...record });
    return `${hexOf(json)} ${json}\n`;
  });
  if (lines.length === 0) rmSync(path, { force: true });
  else writePrivate(path, lines.join(""));
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n").filter(Boolean);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}

function hexOf(json: string): string {
  return crc32(json).toString(16).padStart(8, "0");
}
