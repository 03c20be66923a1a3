/** Real files whose writes and syncs fail when a test says so. */
import * as promises from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import type { Files } from "../../../../origin-gpu/calls/store/files.ts";

export class FaultyFiles {
  /** Bytes that may still be written; then the disk is full. */
  roomBytes = Number.POSITIVE_INFINITY;
  /** Bytes that are left, as the file system says. */
  leftBytes = Number.POSITIVE_INFINITY;
  /** The file system says nothing of its size. */
  isSizeless = false;
  /** The next so many calls of fsync and fdatasync fail with EIO. */
  failingSyncs = 0;
  /** The next so many files cannot be opened for reading (EMFILE). */
  failingReads = 0;
  /** The next so many files cannot be opened for writing (EMFILE). */
  failingWrites = 0;
  /** Reads from this place of a file on fail with EIO. */
  unreadableFrom = Number.POSITIVE_INFINITY;
  /** The next so many truncations fail with EIO. */
  failingTruncations = 0;
  /** Syncs wait for it. */
  syncGate: Promise<void> = Promise.resolve();
  /** Counts fsync and fdatasync of files, not of directories. */
  syncs = 0;
  /** Open handles, and the largest number of them so far. */
  open = 0;
  maxOpen = 0;
  /** Handles that were opened so far. */
  opened = 0;

  readonly files: Files = {
    ...promises,
    statfs: (async (path: string) => {
      const real = await promises.statfs(path);
      const left = Math.floor(this.leftBytes / real.bsize);
      const blocks = this.isSizeless ? 0 : real.blocks;
      return Object.assign(real, { blocks, bavail: Math.min(real.bavail, left) });
    }) as Files["statfs"],
    open: (async (path: string, flags: string, mode: number) => {
      if (flags === "r" && this.failingReads > 0) {
        this.failingReads -= 1;
        throw failure("EMFILE");
      }
      if (flags !== "r" && this.failingWrites > 0) {
        this.failingWrites -= 1;
        throw failure("EMFILE");
      }
      const handle = await promises.open(path, flags, mode);
      this.open += 1;
      this.opened += 1;
      this.maxOpen = Math.max(this.maxOpen, this.open);
      return flags === "r" ? this.#counted(handle) : this.#faulty(handle);
    }) as Files["open"],
  };

  #counted(handle: FileHandle): FileHandle {
    const close = handle.close.bind(handle);
    const read = handle.read.bind(handle) as (...args: unknown[]) => Promise<unknown>;
    handle.read = (async (bytes: Uint8Array, offset: number, length: number, position: number) => {
      if (position >= this.unreadableFrom) throw failure("EIO");
      return await read(bytes, offset, length, position);
    }) as FileHandle["read"];
    handle.close = async () => {
      this.open -= 1;
      await close();
    };
    return handle;
  }

  #faulty(handle: FileHandle): FileHandle {
    const write = handle.write.bind(handle) as (...args: unknown[]) => Promise<unknown>;
    handle.write = (async (bytes: Uint8Array, offset: number, length: number, position: number) => {
      if (this.roomBytes === 0 && length > 0) throw failure("ENOSPC");
      // A disk that runs full takes a part of the last write.
      const taken = Math.min(length, this.roomBytes);
      this.roomBytes -= taken;
      return await write(bytes, offset, taken, position);
    }) as FileHandle["write"];
    for (const name of ["sync", "datasync"] as const) {
      const sync = handle[name].bind(handle);
      handle[name] = async () => {
        this.syncs += 1;
        if (this.failingSyncs > 0) {
          this.failingSyncs -= 1;
          throw failure("EIO");
        }
        await this.syncGate;
        await sync();
      };
    }
    const truncate = handle.truncate.bind(handle);
    handle.truncate = async (length) => {
      if (this.failingTruncations > 0) {
        this.failingTruncations -= 1;
        throw failure("EIO");
      }
      const { size } = await handle.stat();
      await truncate(length);
      this.roomBytes += Math.max(0, size - (length ?? 0));
    };
    return this.#counted(handle);
  }
}

function failure(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}
