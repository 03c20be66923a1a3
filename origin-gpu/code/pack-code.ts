/**
 * Packs a directory's code as one snapshot, for `postern deploy`. The same files give the same order and the same
 * hash on every machine. A directory that changes while it is read is read again, `MAX_ATTEMPTS` times in all. The
 * packed file has no name, so that nothing stays on the disk, however the process ends.
 */
import { createHash, randomBytes } from "node:crypto";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { GIB, KIB, MIB } from "../../base/units.ts";
import { MAX_CODE_BYTES } from "../../routing/wire/deployments.ts";
import { PRIVATE_FILE_MODE, writeAll } from "../calls/store/files.ts";
import { CodeRefused } from "./code-refused.ts";
import { MAX_CODE_FILES, writeTar } from "./tar.ts";
import { MAX_UNPACKED_BYTES } from "./unpack-code.ts";
import { DirectoryChanged, goneOrUnreadable, walk, type Walked, type WalkedFile } from "./walk.ts";

export { CodeRefused } from "./code-refused.ts";

/** A directory that changed during each of so many attempts is refused: something writes to it all the time. */
const MAX_ATTEMPTS = 3;

const READ_BYTES = 256 * KIB;

/** The largest files that a refusal names, where the code is too large. */
const NAMED_FILES = 5;

export interface PackedCode {
  /** SHA-256 of the unpacked archive, in hex: compressed bytes differ between versions of zlib. */
  readonly hash: string;
  /** Of the packed archive. */
  readonly bytes: number;
  readonly files: number;
  /** All files and links in it, from the directory, with slashes. */
  readonly paths: ReadonlySet<string>;
  /** One line for each entry that was left out although no ignore file names it. */
  readonly skipped: readonly string[];
  /** Reads the packed bytes from the first one. It may be called again. */
  open(): Readable;
  /** Frees the disk. Called once, after the last read. */
  close(): Promise<void>;
}

export interface PackLimits {
  readonly packedBytes: number;
  readonly unpackedBytes: number;
  readonly files: number;
}

const LIMITS: PackLimits = {
  packedBytes: MAX_CODE_BYTES,
  unpackedBytes: MAX_UNPACKED_BYTES,
  files: MAX_CODE_FILES,
};

/** @throws CodeRefused whose message is one line for the user */
export async function packCode(
  directory: string,
  limits: PackLimits = LIMITS,
): Promise<PackedCode> {
  const root = resolve(directory);
  let changed = "";
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    try {
      return await packOnce(root, limits);
    } catch (error) {
      if (!(error instanceof DirectoryChanged)) throw error;
      changed = error.path;
    }
  }
  throw new CodeRefused(
    "conflict",
    `${changed} keeps changing while it is packed; stop what writes it, or leave it out with .posternignore`,
  );
}

async function packOnce(root: string, limits: PackLimits): Promise<PackedCode> {
  const { entries, skipped } = await walk(root, limits.files);
  const files = entries.filter((entry) => entry.kind === "file");
  const contents = files.reduce((sum, { bytes }) => sum + bytes, 0);
  if (contents > limits.unpackedBytes) throw tooLarge(limits.unpackedBytes, "has", files);
  const hash = createHash("sha256");
  let unpackedBytes = 0;
  const archive = async function* () {
    for await (const chunk of writeTar(entries, (file) => contentOf(root, file))) {
      unpackedBytes += chunk.length;
      // Counted as boxes do, who read each file's header too.
      if (unpackedBytes > limits.unpackedBytes) throw tooLarge(limits.unpackedBytes, "has", files);
      hash.update(chunk);
      yield chunk;
    }
  };
  const handle = await openScratch();
  try {
    let bytes = 0;
    await pipeline(archive, createGzip(), async (packed: AsyncIterable<Uint8Array>) => {
      for await (const chunk of packed) {
        if (bytes + chunk.length > limits.packedBytes) {
          throw tooLarge(limits.packedBytes, "packs to", files);
        }
        await writeAll(handle, chunk, bytes);
        bytes += chunk.length;
      }
    });
    requireSame(entries, (await walk(root, limits.files)).entries);
    return {
      hash: hash.digest("hex"),
      bytes,
      files: entries.length,
      paths: new Set(entries.map(({ path }) => path)),
      skipped,
      // Not the handle's own stream, which closes it when its reader leaves early.
      open: () => Readable.from(chunksOf(handle, bytes), { objectMode: false }),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** A file without a name: the kernel frees it with its last user. */
async function openScratch(): Promise<FileHandle> {
  const path = join(tmpdir(), `postern-code-${randomBytes(8).toString("hex")}`);
  const handle = await open(path, "wx+", PRIVATE_FILE_MODE);
  await unlink(path);
  return handle;
}

async function* contentOf(root: string, { path, bytes }: WalkedFile): AsyncGenerator<Uint8Array> {
  const handle = await open(join(root, path)).catch((error: unknown) => {
    throw goneOrUnreadable(path, error);
  });
  try {
    let read = 0;
    for await (const chunk of chunksOf(handle, bytes)) {
      read += chunk.length;
      yield chunk;
    }
    if (read < bytes) throw new DirectoryChanged(path);
  } finally {
    await handle.close();
  }
}

/** The first so many bytes of a file, or all that there are. */
async function* chunksOf(handle: FileHandle, bytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes;) {
    const chunk = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, bytes - at));
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield chunk.subarray(0, bytesRead);
  }
}

/**
 * Compares the directory before and after it was packed. Where they are equal the snapshot is of one moment.
 * @throws DirectoryChanged for the first entry that differs
 */
function requireSame(before: Walked["entries"], after: Walked["entries"]): void {
  for (const [index, entry] of before.entries()) {
    if (JSON.stringify(entry) !== JSON.stringify(after[index])) {
      throw new DirectoryChanged(entry.path);
    }
  }
  const added = after[before.length];
  if (added !== undefined) throw new DirectoryChanged(added.path);
}

function tooLarge(limitBytes: number, verb: string, files: readonly WalkedFile[]): CodeRefused {
  const largest = files
    .toSorted((first, second) => second.bytes - first.bytes)
    .slice(0, NAMED_FILES)
    .map(({ path, bytes }) => `${path} (${inUnits(bytes)})`);
  return new CodeRefused(
    "body_too_large",
    `the directory ${verb} more than ${inUnits(limitBytes)}; leave out what the app does not need with .posternignore; the largest files: ${largest.join(", ")}`,
  );
}

function inUnits(bytes: number): string {
  const [unit, name] = bytes >= GIB ? [GIB, "GiB"] : bytes >= MIB ? [MIB, "MiB"] : [KIB, "KiB"];
  return `${Number((bytes / unit).toFixed(1))} ${name}`;
}
