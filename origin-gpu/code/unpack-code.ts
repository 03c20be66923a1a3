/**
 * Unpacks a packed snapshot and checks it against its hash, without writing a file or into a new directory. This file
 * bounds the size of the snapshot; tar.ts checks its entries.
 */
import { createHash } from "node:crypto";
import { chmod, mkdir, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { GIB } from "../../base/units.ts";
import { type Files, writeAll } from "../calls/store/files.ts";
import { CodeRefused } from "./code-refused.ts";
import { type ReadTarEntry, readTar, type TarLink } from "./tar.ts";

/** Bytes of the unpacked archive at most, so that a small packed one can't fill a disk. */
export const MAX_UNPACKED_BYTES = GIB;

const FILE_MODE = 0o644;
const EXECUTABLE_MODE = 0o755;

export interface PackedSource {
  readonly packed: Readable;
  /** SHA-256 of the archive, in hex. */
  readonly hash: string;
  readonly limitBytes?: number;
}

/** @throws CodeRefused where it is not the code of this hash, or none that may be unpacked */
export async function verifyCode(source: PackedSource): Promise<void> {
  await readPacked(source, () => Promise.resolve());
}

/**
 * Writes the files into a directory that is there and empty.
 * @throws CodeRefused as `verifyCode`; what has been written by then stays
 */
export async function unpackCode(
  source: PackedSource,
  directory: string,
  files: Files,
): Promise<void> {
  const links: TarLink[] = [];
  await readPacked(source, async (entry) => {
    if (entry.kind === "link") links.push(entry);
    else await writeFile(join(directory, entry.path), entry, files);
  });
  // No entry is below a link (tar.ts), so each directory here is one that this archive made.
  for (const { path, target } of links) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await symlink(target, join(directory, path));
  }
}

async function readPacked(
  { packed, hash, limitBytes = MAX_UNPACKED_BYTES }: PackedSource,
  onEntry: (entry: ReadTarEntry) => Promise<void>,
): Promise<void> {
  const digest = createHash("sha256");
  let bytes = 0;
  const observed = async function* (unpacked: AsyncIterable<Uint8Array>) {
    for await (const chunk of unpacked) {
      bytes += chunk.length;
      if (bytes > limitBytes) {
        throw new CodeRefused(
          "body_too_large",
          `the code unpacks to more than ${limitBytes} bytes`,
        );
      }
      digest.update(chunk);
      yield chunk;
    }
  };
  try {
    await pipeline(packed, createGunzip(), async (unpacked: AsyncIterable<Uint8Array>) => {
      for await (const entry of readTar(observed(unpacked))) await onEntry(entry);
    });
  } catch (error) {
    if (!isZlibError(error)) throw error;
    throw new CodeRefused("bad_request", `the code is damaged: ${error.message}`);
  }
  if (digest.digest("hex") === hash) return;
  throw new CodeRefused("bad_request", `the code does not have the hash that names it, ${hash}`);
}

function isZlibError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && String(error.code).startsWith("Z_");
}

async function writeFile(
  path: string,
  { executable, content }: Extract<ReadTarEntry, { kind: "file" }>,
  files: Files,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const handle = await files.open(path, "wx", FILE_MODE);
  try {
    let at = 0;
    for await (const chunk of content) {
      await writeAll(handle, chunk, at);
      at += chunk.length;
    }
  } finally {
    await handle.close();
  }
  if (executable) await chmod(path, EXECUTABLE_MODE);
}
