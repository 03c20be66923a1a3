/**
 * The part of the file system that calls need, as an argument, so that tests can let it fail; and the loops
 * that POSIX leaves to the caller.
 */
import * as promises from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";

export type Files = Pick<
  typeof promises,
  | "link"
  | "mkdir"
  | "open"
  | "readdir"
  | "readFile"
  | "rename"
  | "stat"
  | "statfs"
  | "truncate"
  | "unlink"
>;

export const REAL_FILES: Files = promises;

/** For the agent's own user alone: results and bodies are its users' data. */
export const PRIVATE_FILE_MODE = 0o600;
export const PRIVATE_DIRECTORY_MODE = 0o700;

/** Writes all bytes. One write may take fewer than it was given, which is how a full disk begins. */
export async function writeAll(
  handle: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const { bytesWritten } = await handle.write(
      bytes,
      written,
      bytes.length - written,
      position + written,
    );
    written += bytesWritten;
  }
}

/** Changes single bytes of a file, waits until they are on the disk, and closes the file. */
export async function changeBytes(
  handle: FileHandle,
  changes: Iterable<readonly [position: number, value: number]>,
): Promise<void> {
  try {
    for (const [position, value] of changes) {
      await writeAll(handle, Uint8Array.of(value), position);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Reads until the buffer is full or the file ends. @returns how many bytes it got */
export async function readAll(
  handle: FileHandle,
  buffer: Uint8Array,
  position: number,
): Promise<number> {
  let read = 0;
  while (read < buffer.length) {
    const { bytesRead } = await handle.read(buffer, read, buffer.length - read, position + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return read;
}

/** Makes creations and renames in a directory durable. */
export async function syncDirectory(files: Files, directory: string): Promise<void> {
  const handle = await files.open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes a file that may be gone already. */
export async function removeFile(files: Files, path: string): Promise<void> {
  try {
    await files.unlink(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/**
 * Gives a file another name besides its own, in the place of an older file.
 * @returns the other name; undefined where the file system refuses it
 */
export async function linkAside(
  files: Files,
  path: string,
  asidePath: string,
): Promise<string | undefined> {
  try {
    await removeFile(files, asidePath);
    await files.link(path, asidePath);
    return asidePath;
  } catch {
    return undefined;
  }
}

export function isMissing(error: unknown): boolean {
  return errorCode(error) === "ENOENT";
}

/** The disk, or the user's share of it, is full, or a file is as large as it may be. */
export function isNoSpace(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT", "EFBIG"].includes(errorCode(error));
}

/** This process, or the machine, has as many files open as it may. */
export function isOutOfDescriptors(error: unknown): boolean {
  return ["EMFILE", "ENFILE"].includes(errorCode(error));
}

/** The disk cannot read, or the file system finds itself damaged. */
export function isUnreadable(error: unknown): boolean {
  return ["EIO", "EUCLEAN", "EBADMSG"].includes(errorCode(error));
}

function errorCode(error: unknown): string {
  return error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? "") : "";
}
