/**
 * One stored response while it comes from the app, for any number of readers. A small one stays in memory, a
 * larger one goes to a file. Readers see the end, and the last byte of a declared length, only when the
 * response is on the disk: a client that has it whole can have it again.
 */
import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { KIB, MIB } from "../../../base/units.ts";
import { contentLength, type ResponseHead } from "../../../routing/wire/heads.ts";
import { checksumsBytes } from "./body-blocks.ts";
import { type Files, isMissing } from "./files.ts";
import {
  encodeMeta,
  encodeRecord,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  type ResultMeta,
} from "./result-record.ts";
import { ResultSpoolFile } from "./result-spool-file.ts";
import { asReadError, asResultError, ResultError } from "./result-error.ts";
import { READ_BYTES } from "./part-checks.ts";
import type { ReadOptions, ResultLocation } from "./result-reader.ts";

/** Bytes that may wait to be written: above this number the app is held back, below half of it it goes on. */
const UNWRITTEN_LIMIT_BYTES = MIB;

const FIRST_BUFFER_BYTES = KIB;

/** The store, as its spools see it. */
export interface SpoolHost {
  readonly files: Files;
  /** Responses up to this size stay in memory until they are complete. */
  readonly memoryBytes: number;
  now(): number;
  /** Reserves room of the quota; older results are evicted for it. @returns false when there is none */
  reserve(bytes: number): boolean;
  newPartialPath(): string;
  /** Puts a complete record into a pack; its room is reserved. @returns when it is on the disk */
  storeInPack(meta: ResultMeta, header: RecordHeader, record: Buffer): Promise<ResultLocation>;
  /** Gives a complete and synced file its final name; its room is reserved. */
  storeAlone(meta: ResultMeta, header: RecordHeader, partialPath: string): Promise<ResultLocation>;
  /** Reads the body of a complete one, or a part of it. @throws ResultError */
  read(callId: string, result: ResultLocation, options: ReadOptions): AsyncGenerator<Uint8Array>;
  /** The spool failed. Its room is free when its file, if it has one, is gone. */
  onFailed(spool: ResultSpool, reservedBytes: number, fileGone: Promise<void> | undefined): void;
}

export interface SpoolOptions {
  /** Milliseconds that the response can be read, from its completion on. */
  ttlMs: number;
  /** Called when the app may go on after `append` returned false. */
  onDrain: () => void;
}

export class ResultSpool {
  readonly meta: ResultMeta;
  readonly #host: SpoolHost;
  readonly #options: SpoolOptions;
  readonly #encodedMeta: Buffer;
  readonly #declaredBytes: number | undefined;
  #state: "open" | "finishing" | "stored" | "failed" = "open";
  #failure: ResultError | undefined;
  #stored: ResultLocation | undefined;

  /** All body bytes so far. */
  #bytes = 0;
  /** The body's first bytes, in a buffer that grows, until they are in the file. */
  #memory = Buffer.allocUnsafeSlow(0);
  #memoryBytes = 0;
  #file: ResultSpoolFile | undefined;
  #reservedBytes = 0;
  #held = false;
  readonly #waiting = new Set<() => void>();

  constructor(host: SpoolHost, meta: ResultMeta, options: SpoolOptions) {
    this.#host = host;
    this.meta = meta;
    this.#options = options;
    this.#encodedMeta = encodeMeta(meta);
    this.#declaredBytes = contentLength(meta.head.headers);
  }

  /** Body bytes, once it is whole. */
  get bodyBytes(): number | undefined {
    return this.#stored?.bodyBytes;
  }

  head(): Promise<ResponseHead> {
    return Promise.resolve(this.meta.head);
  }

  /**
   * Takes the next bytes of the body over: the caller must not change them any more. `complete` and the
   * readers report a failure (no room).
   * @returns false when the app should be held back until `onDrain`
   */
  append(chunk: Uint8Array): boolean {
    if (this.#state !== "open" || chunk.length === 0) return true;
    this.#bytes += chunk.length;
    if (this.#file === undefined && this.#bytes <= this.#host.memoryBytes) {
      this.#remember(chunk);
      this.#wake();
      return true;
    }
    const before = RECORD_HEADER_BYTES + this.#encodedMeta.length + this.#memoryBytes;
    const bytes = this.#file === undefined ? before + chunk.length : chunk.length;
    if (!this.#reserve(bytes)) return true;
    this.#file ??= this.#spill();
    this.#file.write(chunk);
    this.#held ||= this.#file.unwrittenBytes > UNWRITTEN_LIMIT_BYTES;
    return !this.#held;
  }

  /** The response is whole. Resolves when it is on the disk. @throws ResultError when it could not be stored */
  async complete(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#state !== "open") throw new Error("the result is complete already");
    this.#state = "finishing";
    this.#wake();
    try {
      this.#stored = await (this.#file === undefined
        ? this.#finishSmall()
        : this.#finish(this.#file));
    } catch (error) {
      this.#fail(error);
    }
    if (this.#failure !== undefined) throw this.#failure;
    this.#state = "stored";
    this.#forgetMemory();
    this.#wake();
  }

  /** The response will not become whole: readers see it break off. No effect on a complete one. */
  discard(reason: string): void {
    if (this.#state === "open") this.#fail(new ResultError("discarded", reason));
  }

  /** Reads the body from any byte on, while it grows too. @throws ResultError when it breaks off */
  async *read(options: ReadOptions = {}): AsyncGenerator<Uint8Array> {
    const { from = 0, to = Number.POSITIVE_INFINITY, signal } = options;
    let at = from;
    let handle: FileHandle | undefined;
    try {
      while (at < to) {
        if (signal?.aborted === true) return;
        if (this.#failure !== undefined) throw this.#failure;
        if (this.#stored !== undefined) {
          yield* this.#host.read(this.meta.callId, this.#stored, { ...options, from: at });
          return;
        }
        const length = Math.min(READ_BYTES, to - at, this.#visibleBytes() - at);
        if (length <= 0) {
          await this.#progress(signal);
          continue;
        }
        let part: Uint8Array;
        if (at < this.#memoryBytes) {
          part = this.#memory.subarray(at, Math.min(at + length, this.#memoryBytes));
        } else {
          const file = this.#file as ResultSpoolFile;
          handle ??= await this.#openForReading(file.path);
          if (handle === undefined) continue;
          part = await file.read(handle, at, length);
          if (part.length === 0) throw new ResultError("damaged", "the result's file was cut");
        }
        at += part.length;
        yield part;
      }
    } finally {
      await handle?.close();
    }
  }

  /** Bytes of the body that readers may have now. */
  #visibleBytes(): number {
    const finishing = this.#state === "finishing";
    // Small, and on the disk in a moment: readers get it in one piece then.
    if (finishing && this.#file === undefined) return 0;
    const there = Math.max(this.#memoryBytes, this.#file?.writtenBytes ?? 0);
    const whole = finishing ? this.#bytes : this.#declaredBytes;
    return whole !== undefined && there >= whole ? whole - 1 : there;
  }

  async #openForReading(path: string): Promise<FileHandle | undefined> {
    try {
      return await this.#host.files.open(path, "r");
    } catch (error) {
      if (!isMissing(error)) throw asReadError(error);
      // The file gets its final name in this moment, and is read from there.
      if (this.#state === "finishing" && this.#stored === undefined)
        await this.#progress(undefined);
      return undefined;
    }
  }

  /** Waits for a change. */
  async #progress(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    this.#waiting.add(wake);
    signal?.addEventListener("abort", wake);
    await promise;
    signal?.removeEventListener("abort", wake);
    this.#waiting.delete(wake);
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  #remember(chunk: Uint8Array): void {
    if (this.#bytes > this.#memory.length) {
      const doubled = Math.max(FIRST_BUFFER_BYTES, this.#memory.length * 2, this.#bytes);
      // A new buffer: readers still hold parts of the old one.
      const larger = Buffer.allocUnsafeSlow(Math.min(doubled, this.#host.memoryBytes));
      larger.set(this.#memory.subarray(0, this.#memoryBytes));
      this.#memory = larger;
    }
    this.#memory.set(chunk, this.#memoryBytes);
    this.#memoryBytes = this.#bytes;
  }

  #forgetMemory(): void {
    this.#memory = Buffer.allocUnsafeSlow(0);
    this.#memoryBytes = 0;
  }

  /** From now on the body goes to a file. */
  #spill(): ResultSpoolFile {
    const file = new ResultSpoolFile(
      this.#host.files,
      this.#host.newPartialPath(),
      this.#encodedMeta,
      () => this.#written(file),
      (error) => this.#fail(error),
    );
    if (this.#memoryBytes > 0) file.write(this.#memory.subarray(0, this.#memoryBytes));
    return file;
  }

  #written(file: ResultSpoolFile): void {
    if (this.#failure !== undefined) return;
    if (file.writtenBytes >= this.#memoryBytes) this.#forgetMemory();
    this.#wake();
    if (this.#held && file.unwrittenBytes < UNWRITTEN_LIMIT_BYTES / 2) {
      this.#held = false;
      this.#options.onDrain();
    }
  }

  async #finishSmall(): Promise<ResultLocation> {
    const body = this.#memory.subarray(0, this.#memoryBytes);
    const { record, header } = encodeRecord(this.#times(), this.#encodedMeta, body);
    if (!this.#reserve(record.length)) throw this.#failure as ResultError;
    return await this.#host.storeInPack(this.meta, header, record);
  }

  async #finish(file: ResultSpoolFile): Promise<ResultLocation> {
    if (!this.#reserve(checksumsBytes(this.#bytes))) throw this.#failure as ResultError;
    const header: RecordHeader = {
      ...this.#times(),
      metaBytes: this.#encodedMeta.length,
      metaCrc: crc32(this.#encodedMeta),
      bodyBytes: this.#bytes,
      bodyCrc: 0,
      hasBlocks: true,
    };
    await file.finish(header);
    return await this.#host.storeAlone(this.meta, header, file.path);
  }

  #times(): { completedAtMs: number; expiresAtMs: number } {
    const completedAtMs = this.#host.now();
    return { completedAtMs, expiresAtMs: completedAtMs + this.#options.ttlMs };
  }

  #reserve(bytes: number): boolean {
    if (!this.#host.reserve(bytes)) {
      this.#fail(new ResultError("results_full", "the quota of results has no room for this one"));
      return false;
    }
    this.#reservedBytes += bytes;
    return true;
  }

  /** The first failure stays. */
  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#state = "failed";
    this.#failure = asResultError(error);
    this.#forgetMemory();
    this.#host.onFailed(this, this.#reservedBytes, this.#file?.discard());
    this.#wake();
    if (this.#held) this.#options.onDrain();
    this.#held = false;
  }
}
