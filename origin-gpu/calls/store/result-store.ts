/**
 * The responses of durable calls, in a directory with a size limit. A response is readable while it comes,
 * and then until it expires, by later processes too. Small ones share files (packs, with group commit),
 * large ones have their own. When there is no room, the oldest complete ones are evicted. The journal has
 * the calls.
 */
import { join } from "node:path";
import { OldestKey } from "../../../base/oldest-key.ts";
import { KIB, MIB } from "../../../base/units.ts";
import type { ResponseHead } from "../../../routing/wire/heads.ts";
import {
  type Files,
  PRIVATE_DIRECTORY_MODE,
  REAL_FILES,
  removeFile,
  syncDirectory,
} from "./files.ts";
import { type RecordHeader, recordBytes, type ResultMeta } from "./result-record.ts";
import { recoverResults, resultFileName } from "./result-recovery.ts";
import { ResultSpool, type SpoolHost, type SpoolOptions } from "./result-spool.ts";
import { BodyChecks } from "./body-checks.ts";
import { type DamagedFile, DamagedFiles } from "./damaged-files.ts";
import { isDamage, isGone } from "./result-error.ts";
import { type RecordFile, RecordPacks } from "./record-packs.ts";
import { readHead, type ReadOptions, readRecord, type ResultLocation } from "./result-reader.ts";

export interface ResultStoreOptions {
  directory: string;
  /** Bytes of the directory. */
  quotaBytes: number;
  /** Number of complete responses: each costs memory. */
  maxResults?: number;
  /** Called when a complete response is dropped: its time is over, there is no room, or it is damaged. */
  onDropped?: (callId: string, why: DropReason) => void;
  /** Called for a file in which responses are lost. */
  onDamaged?: (file: DamagedFile) => void;
  /** Called for a file in which so many flipped bits were mended. */
  onMended?: (path: string, bits: number) => void;
  /** Called for a file that the disk cannot read: its responses are missing. */
  onUnreadable?: (path: string, error: Error) => void;
  /** Milliseconds since 1970. */
  now: () => number;
  files?: Files;
  /** Larger responses get a file of their own. */
  memoryBytes?: number;
  /** A pack that would grow beyond it is closed. */
  packBytes?: number;
}

export type DropReason = "expired" | "evicted" | "damaged";

const MAX_RESULTS = 1_000_000;
const MEMORY_BYTES = 64 * KIB;
const PACK_BYTES = 16 * MIB;

/** A stored response: complete, or still coming. */
export interface ReadableResult {
  /** Body bytes; undefined while it is still coming. */
  readonly bodyBytes: number | undefined;
  /** @throws ResultError */
  head(): Promise<ResponseHead>;
  /** The body or a part of it. @throws ResultError when it breaks off */
  read(options?: ReadOptions): AsyncGenerator<Uint8Array>;
}

export class ResultStore implements SpoolHost {
  readonly files: Files;
  readonly memoryBytes: number;
  readonly #options: ResultStoreOptions;
  readonly #maxResults: number;
  readonly #packs: RecordPacks;
  readonly #checks: BodyChecks;
  readonly #damaged: DamagedFiles;
  /** Responses that are still coming. */
  readonly #spools = new Map<string, ResultSpool>();
  /** Complete ones, oldest first. */
  readonly #stored = new Map<string, ResultLocation>();
  readonly #oldest = new OldestKey(this.#stored);
  /** Bytes on the disk, and bytes that are reserved. */
  #usedBytes = 0;
  #lastFile = 0;
  #sweeping: Promise<void> | undefined;
  /** Removals that are under way. */
  readonly #removals = new Set<Promise<void>>();

  private constructor(options: ResultStoreOptions, damaged: DamagedFiles) {
    this.#options = options;
    this.#damaged = damaged;
    this.files = options.files ?? REAL_FILES;
    this.memoryBytes = options.memoryBytes ?? MEMORY_BYTES;
    this.#maxResults = options.maxResults ?? MAX_RESULTS;
    this.#checks = new BodyChecks({
      files: this.files,
      onDamaged: async (callId, result) => await this.#dropDamaged(callId, result),
      onMended: ({ file }, bits) => options.onMended?.(file.path, bits),
    });
    this.#packs = new RecordPacks({
      files: this.files,
      // Removing a file frees room, so files must be small where there is little room.
      packBytes: Math.min(options.packBytes ?? PACK_BYTES, Math.ceil(options.quotaBytes / 8)),
      newPath: () => this.#newPath("pack"),
      onEmpty: (pack) => this.#removeFile(pack),
    });
  }

  /** Opens a directory, makes it if need be, and finds the complete responses. For one process at a time. */
  static async open(options: ResultStoreOptions): Promise<ResultStore> {
    const { directory, quotaBytes, files = REAL_FILES } = options;
    await files.mkdir(directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    const damaged = await DamagedFiles.open({
      files,
      directory,
      maxBytes: quotaBytes / 10,
      onDamaged: (file) => options.onDamaged?.(file),
    });
    const store = new ResultStore(options, damaged);
    const { results, usedBytes, lastFile } = await recoverResults(files, directory, {
      damaged,
      onMended: (path, bits) => options.onMended?.(path, bits),
      onUnreadable: (path, error) => options.onUnreadable?.(path, error),
    });
    store.#usedBytes = usedBytes;
    store.#lastFile = lastFile;
    for (const { callId, result } of results) {
      const copy = store.#stored.get(callId);
      if (copy !== undefined) store.#drop(callId, copy);
      store.#stored.set(callId, result);
    }
    store.reserve(0);
    await store.sweep();
    return store;
  }

  /** The callIds of complete responses, oldest first. */
  get completeCalls(): Iterable<string> {
    return this.#stored.keys();
  }

  /** Bytes on the disk, and those that are reserved for responses that are still coming. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Begins a call's response. */
  begin(meta: ResultMeta, options: SpoolOptions): ResultSpool {
    const { callId } = meta;
    if (this.#spools.has(callId) || this.#stored.has(callId)) {
      throw new Error(`call ${callId} has a response already`);
    }
    while (this.#spools.size + this.#stored.size >= this.#maxResults && this.#evictOldest());
    const spool = new ResultSpool(this, meta, options);
    this.#spools.set(callId, spool);
    return spool;
  }

  /** A call's response; undefined when there is none, or it has expired. */
  get(callId: string): ReadableResult | undefined {
    const spool = this.#spools.get(callId);
    if (spool !== undefined) return spool;
    const result = this.#stored.get(callId);
    if (result === undefined) return undefined;
    if (result.expiresAtMs <= this.now()) {
      this.#dropFor("expired", callId, result);
      return undefined;
    }
    return {
      bodyBytes: result.bodyBytes,
      head: async () => {
        await this.#checks.check(callId, result);
        return await readHead(this.files, result);
      },
      read: (readOptions = {}) => this.read(callId, result, readOptions),
    };
  }

  /** Removes a call's response, complete or not. */
  remove(callId: string): void {
    this.#spools.get(callId)?.discard("the response is not wanted any more");
    const result = this.#stored.get(callId);
    if (result !== undefined) this.#drop(callId, result);
  }

  /** Drops expired responses and frees their disk; to be called now and then. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweep().finally(() => {
      this.#sweeping = undefined;
    });
    return this.#sweeping;
  }

  /** Gives up incomplete responses, and waits for the last write. */
  async close(): Promise<void> {
    for (const spool of this.#spools.values()) spool.discard("the agent stops");
    await this.#sweeping;
    await this.#checks.close();
    await this.#packs.close();
    await this.#removed();
  }

  now(): number {
    return this.#options.now();
  }

  reserve(bytes: number): boolean {
    const { quotaBytes } = this.#options;
    while (this.#usedBytes + bytes > quotaBytes && this.#evictOldest());
    if (this.#usedBytes + bytes > quotaBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  newPartialPath(): string {
    return this.#newPath("partial");
  }

  async storeInPack(
    meta: ResultMeta,
    header: RecordHeader,
    record: Buffer,
  ): Promise<ResultLocation> {
    const place = await this.#packs.append(record);
    return this.#complete(meta.callId, { ...header, ...place, isChecked: true });
  }

  async storeAlone(
    meta: ResultMeta,
    header: RecordHeader,
    partialPath: string,
  ): Promise<ResultLocation> {
    const path = this.#newPath("result");
    await this.files.rename(partialPath, path);
    try {
      await syncDirectory(this.files, this.#options.directory);
    } catch (error) {
      await removeFile(this.files, path);
      throw error;
    }
    const bytes = recordBytes(header);
    const file: RecordFile = { path, bytes, liveBytes: bytes };
    return this.#complete(meta.callId, { ...header, file, offset: 0, isChecked: true });
  }

  read(callId: string, result: ResultLocation, options: ReadOptions): AsyncGenerator<Uint8Array> {
    return this.#checks.read(callId, result, options);
  }

  onFailed(spool: ResultSpool, reservedBytes: number, fileGone: Promise<void> | undefined): void {
    this.#spools.delete(spool.meta.callId);
    const release = (): void => {
      this.#usedBytes -= reservedBytes;
    };
    if (fileGone === undefined) release();
    else this.#track(fileGone.finally(release));
  }

  async #dropDamaged(callId: string, result: ResultLocation): Promise<void> {
    if (this.#stored.get(callId) !== result) return;
    const { path, bytes } = result.file;
    await this.#damaged.putAside(path, bytes, 1);
    if (this.#stored.get(callId) === result) this.#dropFor("damaged", callId, result);
  }

  #complete(callId: string, result: ResultLocation): ResultLocation {
    this.#spools.delete(callId);
    this.#stored.set(callId, result);
    return result;
  }

  #evictOldest(): boolean {
    const callId = this.#oldest.find();
    const result = callId === undefined ? undefined : this.#stored.get(callId);
    if (callId === undefined || result === undefined) return false;
    this.#dropFor("evicted", callId, result);
    return true;
  }

  #dropFor(why: DropReason, callId: string, result: ResultLocation): void {
    this.#drop(callId, result);
    this.#options.onDropped?.(callId, why);
  }

  #drop(callId: string, result: ResultLocation): void {
    this.#stored.delete(callId);
    this.#releaseRecord(result.file, recordBytes(result));
  }

  #releaseRecord(file: RecordFile, bytes: number): void {
    file.liveBytes -= bytes;
    if (file.liveBytes > 0) return;
    if (this.#packs.growing === file) this.#packs.seal();
    else this.#removeFile(file);
  }

  #removeFile({ path, bytes }: RecordFile): void {
    this.#usedBytes -= bytes;
    this.#track(removeFile(this.files, path));
  }

  async #sweep(): Promise<void> {
    const now = this.now();
    for (const [callId, result] of this.#stored) {
      if (result.expiresAtMs <= now) this.#dropFor("expired", callId, result);
    }
    await this.#compactPacks();
    await this.#removed();
  }

  /** Moves the live responses out of packs of which more than half is dead. */
  async #compactPacks(): Promise<void> {
    const due: [string, ResultLocation][] = [];
    for (const entry of this.#stored) {
      const { file } = entry[1];
      if (file.liveBytes * 2 < file.bytes && file !== this.#packs.growing) due.push(entry);
    }
    for (const [callId, result] of due) {
      // It may have been dropped since.
      if (this.#stored.get(callId) !== result) continue;
      const bytes = recordBytes(result);
      if (this.#usedBytes + bytes > this.#options.quotaBytes) return;
      this.#usedBytes += bytes;
      try {
        const { file, offset } = await this.#packs.append(await readRecord(this.files, result));
        if (this.#stored.get(callId) === result) {
          const before = result.file;
          result.file = file;
          result.offset = offset;
          this.#releaseRecord(before, bytes);
        } else this.#releaseRecord(file, bytes);
      } catch (error) {
        this.#usedBytes -= bytes;
        if (isDamage(error)) await this.#dropDamaged(callId, result);
        // No room to move it, or it can't be read now: it stays where it is, and the next sweep tries again.
        else if (!isGone(error)) return;
        else if (this.#stored.get(callId) === result) this.#dropFor("damaged", callId, result);
      }
    }
  }

  #newPath(kind: "pack" | "partial" | "result"): string {
    this.#lastFile += 1;
    return join(this.#options.directory, resultFileName(this.#lastFile, kind));
  }

  #track(removal: Promise<void>): void {
    const tracked = removal
      // A file that cannot be removed now is removed, or found again, at the next start.
      .catch(() => undefined)
      .then(() => {
        this.#removals.delete(tracked);
      });
    this.#removals.add(tracked);
  }

  async #removed(): Promise<void> {
    await Promise.all(this.#removals);
  }
}
