/**
 * A file that only grows, with group commit: everything that is appended while one fsync runs shares
 * the next one. What was acknowledged is on the disk, in order; what was not is either there or torn off
 * at the end, and readers must tell by the records' own checksums.
 */
import type { FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { MIB } from "../../../routing/wire/limits.ts";
import {
  type Files,
  isNoSpace,
  PRIVATE_FILE_MODE,
  removeFile,
  syncDirectory,
  writeAll,
} from "./files.ts";

/** One write takes so much at most: a batch that is too large for the disk is tried again one by one. */
const MAX_BATCH_BYTES = MIB;

interface Waiting {
  record: Uint8Array;
  resolve: (offset: number) => void;
  reject: (error: Error) => void;
}

interface Replacement {
  content: () => Iterable<Uint8Array>;
  resolve: () => void;
  reject: (error: Error) => void;
}

/** Nothing can be appended any more: nobody knows what of the file is on the disk. */
export class BrokenLogError extends Error {}

export class AppendLog {
  readonly #files: Files;
  readonly #path: string;
  #handle: FileHandle;
  #size: number;
  #queue: Waiting[] = [];
  readonly #replacements: Replacement[] = [];
  #working: Promise<void> | undefined;
  #broken: BrokenLogError | undefined;

  private constructor(files: Files, path: string, handle: FileHandle, size: number) {
    this.#files = files;
    this.#path = path;
    this.#handle = handle;
    this.#size = size;
  }

  /** Goes on behind the first `size` bytes of a file, or makes one; what is behind them is torn off. */
  static async open(files: Files, path: string, size: number): Promise<AppendLog> {
    const handle = await files.open(path, size === 0 ? "w+" : "r+", PRIVATE_FILE_MODE);
    try {
      await handle.truncate(size);
      await handle.sync();
      await syncDirectory(files, dirname(path));
    } catch (error) {
      await handle.close();
      throw error;
    }
    return new AppendLog(files, path, handle, size);
  }

  /** Bytes that are on the disk. */
  get size(): number {
    return this.#size;
  }

  get broken(): boolean {
    return this.#broken !== undefined;
  }

  /**
   * Appends a record. Records are written in the order of the calls.
   * @returns its offset, once it is on the disk (in a file that is rewritten, offsets mean nothing)
   * @throws when it could not be written: then nothing of it is in the file; `isNoSpace` tells a full disk.
   * After `BrokenLogError` the file takes nothing until it is rewritten.
   */
  append(record: Uint8Array): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#queue.push({ record, resolve, reject });
    this.#work();
    return promise;
  }

  /**
   * Puts another content into the file's place, all of it or nothing: at every moment the file is the old
   * one or the new one. A broken log is whole again afterwards.
   * @param content must have the effect of everything that was appended until it is asked for its first
   * piece. Others append while the pieces are written: it may contain some of that, which comes again
   * behind it.
   */
  rewrite(content: () => Iterable<Uint8Array>): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#replacements.push({ content, resolve, reject });
    this.#work();
    return promise;
  }

  /** Waits for what was appended, and closes the file. */
  async close(): Promise<void> {
    await this.#working;
    await this.#handle.close();
  }

  #work(): void {
    this.#working ??= this.#drain();
  }

  async #drain(): Promise<void> {
    // Not in the caller's turn: what is appended in one turn shares a batch.
    await Promise.resolve();
    for (;;) {
      const replacement = this.#replacements.shift();
      if (replacement !== undefined) await this.#replace(replacement);
      else if (this.#queue.length > 0) await this.#commit(this.#nextBatch());
      else break;
    }
    this.#working = undefined;
  }

  #nextBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length) {
      bytes += (this.#queue[count] as Waiting).record.length;
      if (count > 0 && bytes > MAX_BATCH_BYTES) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  /** Never throws: each of the batch learns how it went. */
  async #commit(batch: Waiting[]): Promise<void> {
    if (this.#broken !== undefined) {
      for (const { reject } of batch) reject(this.#broken);
      return;
    }
    const start = this.#size;
    const bytes =
      batch.length === 1
        ? (batch[0] as Waiting).record
        : Buffer.concat(batch.map(({ record }) => record));
    try {
      await writeAll(this.#handle, bytes, start);
    } catch (error) {
      await this.#takeBack(start);
      if (batch.length === 1 || this.#broken !== undefined) {
        for (const { reject } of batch) reject(asError(error));
        return;
      }
      // A smaller one may still fit: a full disk fails those that find no room, and nobody else.
      for (const waiting of batch) await this.#commit([waiting]);
      return;
    }
    try {
      await this.#handle.datasync();
    } catch (error) {
      // After a failed fsync the kernel may have dropped the pages, and the next fsync would say "fine".
      await this.#takeBack(start);
      this.#broken = new BrokenLogError(`${this.#path}: ${asError(error).message}`);
      for (const { reject } of batch) reject(isNoSpace(error) ? asError(error) : this.#broken);
      return;
    }
    let offset = start;
    this.#size = start + bytes.length;
    for (const { record, resolve } of batch) {
      resolve(offset);
      offset += record.length;
    }
  }

  /** Removes what was written of a batch that failed: half a record would hide what comes behind it. */
  async #takeBack(start: number): Promise<void> {
    try {
      await this.#handle.truncate(start);
    } catch (error) {
      this.#broken = new BrokenLogError(`${this.#path}: ${asError(error).message}`);
    }
  }

  /** Never throws. */
  async #replace({ content, resolve, reject }: Replacement): Promise<void> {
    const included = this.#queue;
    this.#queue = [];
    try {
      await this.#putInPlace(content);
    } catch (error) {
      this.#queue.unshift(...included);
      reject(asError(error));
      return;
    }
    for (const waiting of included) waiting.resolve(this.#size);
    resolve();
  }

  async #putInPlace(content: () => Iterable<Uint8Array>): Promise<void> {
    const path = `${this.#path}.new`;
    const handle = await this.#files.open(path, "w+", PRIVATE_FILE_MODE);
    let size = 0;
    try {
      for (const piece of content()) {
        await writeAll(handle, piece, size);
        size += piece.length;
      }
      await handle.sync();
      await this.#files.rename(path, this.#path);
    } catch (error) {
      await handle.close();
      await removeFile(this.#files, path);
      throw error;
    }
    const old = this.#handle;
    this.#handle = handle;
    this.#size = size;
    this.#broken = undefined;
    await old.close();
    await syncDirectory(this.#files, dirname(this.#path));
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
