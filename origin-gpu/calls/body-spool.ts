/**
 * Request bodies of calls that wait for a place. They are drained off their streams, so that their clients
 * can be sent away. Small ones stay in memory, the others are files; together they have a limit, which the endpoints share.
 * None of them survives the agent.
 */
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { KIB, MIB } from "../../base/units.ts";
import {
  type Files,
  PRIVATE_DIRECTORY_MODE,
  PRIVATE_FILE_MODE,
  readAll,
  REAL_FILES,
  removeFile,
  writeAll,
} from "./store/files.ts";
import { SharedRoom } from "./shared-room.ts";

/** Larger bodies are on the disk. */
const MEMORY_BYTES = 4 * KIB;

/** Limit of all bodies in memory together: beyond it small ones are on the disk, too. */
const TOTAL_MEMORY_BYTES = 256 * MIB;

const READ_BYTES = 64 * KIB;

const ROOM_TAKEN = "the bodies of the endpoint's waiting calls take all the room that they may";

/** A full disk tells nothing of when it will have room. */
const DISK_RETRY_S = 10;

const FILE_NAME = /^\d+\.body$/;

export interface BodySpoolsOptions {
  directory: string;
  /** Bytes of all bodies together, in memory and on the disk. */
  limitBytes: number;
  files?: Files;
  totalMemoryBytes?: number;
}

/** There is no room for a body: 429 `queue_full`. */
export class BodySpoolFullError extends Error {
  /** Whole seconds after which there may be. */
  readonly retryAfterS: number;

  constructor(message: string, retryAfterS: number, options?: ErrorOptions) {
    super(message, options);
    this.retryAfterS = retryAfterS;
  }
}

/** The body broke off, or its call is over. */
export class BodyGoneError extends Error {}

export class BodySpools {
  readonly files: Files;
  readonly #directory: string;
  readonly #room: SharedRoom;
  readonly #totalMemoryBytes: number;
  #memoryBytes = 0;
  #lastFile = 0;

  private constructor(options: BodySpoolsOptions) {
    this.files = options.files ?? REAL_FILES;
    this.#directory = options.directory;
    this.#room = new SharedRoom(options.limitBytes);
    this.#totalMemoryBytes = options.totalMemoryBytes ?? TOTAL_MEMORY_BYTES;
  }

  /** Makes the directory, or removes the files that an earlier process left in it. */
  static async open(options: BodySpoolsOptions): Promise<BodySpools> {
    const spools = new BodySpools(options);
    const { directory } = options;
    await spools.files.mkdir(directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    for (const name of await spools.files.readdir(directory)) {
      if (FILE_NAME.test(name)) await removeFile(spools.files, join(directory, name));
    }
    return spools;
  }

  /** Bytes of all bodies, including announced ones that have not come yet. */
  get usedBytes(): number {
    return this.#room.usedBytes;
  }

  /**
   * Begins a body of a call at this endpoint.
   * @param declaredBytes its length, where it is known: the room is reserved at once
   * @throws BodySpoolFullError
   */
  begin(endpoint: string, declaredBytes: number | undefined): BodySpool {
    const spool = new BodySpool(this, endpoint);
    if (declaredBytes !== undefined) spool.reserve(declaredBytes);
    return spool;
  }

  /** @throws BodySpoolFullError */
  take(endpoint: string, bytes: number): void {
    if (this.#room.take(endpoint, bytes)) return;
    const retryAfterS = this.#room.retryAfterS(endpoint, bytes, performance.now());
    throw new BodySpoolFullError(ROOM_TAKEN, retryAfterS);
  }

  giveBack(endpoint: string, bytes: number): void {
    this.#room.giveBack(endpoint, bytes);
  }

  /** @returns whether a body may stay in memory with so many bytes more */
  takeMemory(bytes: number): boolean {
    if (this.#memoryBytes + bytes > this.#totalMemoryBytes) return false;
    this.#memoryBytes += bytes;
    return true;
  }

  giveMemoryBack(bytes: number): void {
    this.#memoryBytes -= bytes;
  }

  newPath(): string {
    this.#lastFile += 1;
    return join(this.#directory, `${this.#lastFile}.body`);
  }
}

export class BodySpool {
  readonly #spools: BodySpools;
  readonly #endpoint: string;
  #reservedBytes = 0;
  /** In memory and in the file. */
  #bytes = 0;
  /** Parts behind those, for which there was no room. */
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #memory: Uint8Array = NOTHING;
  #path: string | undefined;
  #handle: FileHandle | undefined;
  #writing: Promise<void> = Promise.resolve();
  #whole = false;
  #gone: Error | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(spools: BodySpools, endpoint: string) {
    this.#spools = spools;
    this.#endpoint = endpoint;
  }

  /** Bytes so far. */
  get bytes(): number {
    return this.#bytes + this.#keptBytes;
  }

  /** Takes room for the first `bytes` of the body. @throws BodySpoolFullError */
  reserve(bytes: number): void {
    if (bytes <= this.#reservedBytes) return;
    this.#spools.take(this.#endpoint, bytes - this.#reservedBytes);
    this.#reservedBytes = bytes;
  }

  /**
   * Appends the next part; the caller waits before it appends another, which holds the sender back.
   * @throws BodySpoolFullError when it finds no room, BodyGoneError after `discard`
   */
  async append(part: Uint8Array): Promise<void> {
    if (this.#gone !== undefined) throw this.#gone;
    if (this.#keptBytes > 0) {
      this.keep(part);
      return;
    }
    this.reserve(this.#bytes + part.length);
    if (this.#path === undefined && this.#fitsMemory(part)) {
      this.#memory = Buffer.concat([this.#memory, part]);
      this.#bytes += part.length;
    } else {
      this.#writing = this.#write(part);
      await this.#writing;
    }
    this.#wake();
  }

  /** Takes a part for which `append` found no room, in memory: the body must not be lost. It is copied. */
  keep(part: Uint8Array): void {
    this.#kept.push(new Uint8Array(part));
    this.#keptBytes += part.length;
    this.#wake();
  }

  /** The body is whole. */
  async finish(): Promise<void> {
    if (this.#gone !== undefined) throw this.#gone;
    this.#whole = true;
    this.#wake();
    // A hundred thousand waiting calls must not hold a hundred thousand open files.
    await this.#close();
  }

  /** The body, from its first byte, also while it comes; as often as need be. @throws BodyGoneError */
  async *read(): AsyncGenerator<Uint8Array> {
    let at = 0;
    let keptParts = 0;
    let handle: FileHandle | undefined;
    try {
      for (;;) {
        if (this.#gone !== undefined) throw this.#gone;
        if (at < this.#memory.length) {
          const part = this.#memory.subarray(at);
          at += part.length;
          yield part;
        } else if (at < this.#bytes) {
          handle ??= await this.#spools.files.open(this.#path as string, "r");
          const part = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, this.#bytes - at));
          if ((await readAll(handle, part, at)) < part.length) {
            throw new BodyGoneError("the body's file was cut");
          }
          at += part.length;
          yield part;
        } else if (keptParts < this.#kept.length) {
          yield this.#kept[keptParts] as Uint8Array;
          keptParts += 1;
        } else if (this.#whole) return;
        else await this.#progress();
      }
    } finally {
      await handle?.close();
    }
  }

  /** Collects the body, if it is whole and not longer than `maxBytes`. */
  async collect(maxBytes: number): Promise<Uint8Array | undefined> {
    if (!this.#whole || this.bytes > maxBytes) return undefined;
    const parts: Uint8Array[] = [];
    for await (const part of this.read()) parts.push(part);
    return Buffer.concat(parts);
  }

  /**
   * Frees everything. A reader that is not done breaks off: the app never takes a part for the whole. Never
   * rejects: a file that cannot be removed now is removed at the next start.
   */
  async discard(reason: string): Promise<void> {
    if (this.#gone !== undefined) return;
    this.#gone = new BodyGoneError(reason);
    this.#wake();
    this.#spools.giveMemoryBack(this.#memory.length);
    this.#memory = NOTHING;
    this.#kept = [];
    await this.#writing.catch(() => undefined);
    try {
      await this.#close();
      if (this.#path !== undefined) await removeFile(this.#spools.files, this.#path);
    } catch {
      // See above.
    }
    this.#spools.giveBack(this.#endpoint, this.#reservedBytes);
  }

  #fitsMemory(part: Uint8Array): boolean {
    return this.#bytes + part.length <= MEMORY_BYTES && this.#spools.takeMemory(part.length);
  }

  /** Offsets in the file are those of the body: what stays in memory is a hole at its beginning. */
  async #write(part: Uint8Array): Promise<void> {
    this.#path ??= this.#spools.newPath();
    try {
      this.#handle ??= await this.#spools.files.open(this.#path, "wx", PRIVATE_FILE_MODE);
      await writeAll(this.#handle, part, this.#bytes);
    } catch (error) {
      throw new BodySpoolFullError("the body cannot be stored", DISK_RETRY_S, { cause: error });
    }
    this.#bytes += part.length;
  }

  async #close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  #progress(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(() => resolve());
    return promise;
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

const NOTHING = new Uint8Array(0);
