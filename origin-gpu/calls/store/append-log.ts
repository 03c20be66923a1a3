/**
 * A file that only grows, with group commit: all records that are appended while one fsync runs share the
 * next one. An acknowledged record is on the disk, in order. An unacknowledged one is there or torn off at
 * the end: readers tell by the records' own checksums.
 */
import type { FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { MIB } from "../../../base/units.ts";
import {
  type Files,
  isNoSpace,
  PRIVATE_FILE_MODE,
  removeFile,
  syncDirectory,
  writeAll,
} from "./files.ts";

/** A write is not larger than this: the records of a batch that the disk refuses are tried one by one. */
const MAX_BATCH_BYTES = MIB;

interface WaitingRecord {
  record: Uint8Array;
  resolve: (offset: number) => void;
  reject: (error: Error) => void;
}

interface Replacement {
  content: () => Iterable<Uint8Array>;
  resolve: () => void;
  reject: (error: Error) => void;
}

/** The file takes no record until it is rewritten: how much of it is on the disk is unknown. */
export class BrokenLogError extends Error {}

export class AppendLog {
  readonly #files: Files;
  readonly #path: string;
  #handle: FileHandle;
  #size: number;
  #queue: WaitingRecord[] = [];
  readonly #replacements: Replacement[] = [];
  #working: Promise<void> | undefined;
  #broken: BrokenLogError | undefined;

  private constructor(files: Files, path: string, handle: FileHandle, size: number) {
    this.#files = files;
    this.#path = path;
    this.#handle = handle;
    this.#size = size;
  }

  /** Opens a file to append behind its first `size` bytes, or makes one. Cuts off what is behind them. */
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
   * Appends a record. Records are written in the order in which they are appended.
   * @returns its offset, once it is on the disk; meaningless in a file that is rewritten
   * @throws when it could not be written: then no byte of it is in the file. `isNoSpace` tells a full disk.
   */
  append(record: Uint8Array): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#queue.push({ record, resolve, reject });
    this.#work();
    return promise;
  }

  /**
   * Replaces the file's content. At every moment the file is the old one or the new one. A broken log is
   * whole again afterwards.
   * @param content must have the effect of all records that were appended before its first piece is asked
   * for. Of records that are appended later it may have some: they come again behind it.
   */
  rewrite(content: () => Iterable<Uint8Array>): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#replacements.push({ content, resolve, reject });
    this.#work();
    return promise;
  }

  /** Waits for the records that were appended, and closes the file. */
  async close(): Promise<void> {
    await this.#working;
    await this.#handle.close();
  }

  #work(): void {
    this.#working ??= this.#drain();
  }

  async #drain(): Promise<void> {
    // Not in the caller's turn: records that are appended in one turn share a batch, those too that follow from
    // a promise that has settled.
    await new Promise(setImmediate);
    for (;;) {
      const replacement = this.#replacements.shift();
      if (replacement !== undefined) await this.#replace(replacement);
      else if (this.#queue.length > 0) await this.#commit(this.#nextBatch());
      else break;
    }
    this.#working = undefined;
  }

  #nextBatch(): WaitingRecord[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length) {
      bytes += (this.#queue[count] as WaitingRecord).record.length;
      if (count > 0 && bytes > MAX_BATCH_BYTES) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  /** Never rejects: each record of the batch has a promise of its own. */
  async #commit(batch: WaitingRecord[]): Promise<void> {
    if (this.#broken !== undefined) {
      for (const { reject } of batch) reject(this.#broken);
      return;
    }
    const start = this.#size;
    const bytes =
      batch.length === 1
        ? (batch[0] as WaitingRecord).record
        : Buffer.concat(batch.map(({ record }) => record));
    try {
      await writeAll(this.#handle, bytes, start);
    } catch (error) {
      await this.#takeBack(start);
      if (batch.length === 1 || this.#broken !== undefined) {
        for (const { reject } of batch) reject(asError(error));
        return;
      }
      // A smaller record may still fit: a full disk fails those alone that find no room.
      for (const waiting of batch) await this.#commit([waiting]);
      return;
    }
    try {
      await this.#handle.datasync();
    } catch (error) {
      // After a failed fsync the kernel may have dropped the pages; the next fsync would succeed all the same.
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

  /** Removes the bytes of a batch that failed: half a record would damage the one behind it. */
  async #takeBack(start: number): Promise<void> {
    try {
      await this.#handle.truncate(start);
    } catch (error) {
      this.#broken = new BrokenLogError(`${this.#path}: ${asError(error).message}`);
    }
  }

  /** Never rejects. */
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
