/**
 * The code of deployed apps on this box. The store keeps it packed, whole and under its hash, as it came and as other
 * boxes get it. Each version that runs has an unpacked copy of its own. Files that an app writes there are removed
 * with the version or the agent, unless the next agent takes over its containers. A copy is never a source of code.
 */
import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, open as openFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { type AppUser, giveTo, removeTree } from "../app-user.ts";
import { GIB } from "../../base/units.ts";
import { MAX_CODE_BYTES } from "../../routing/wire/deployments.ts";
import { BlockChecksums } from "../calls/store/body-blocks.ts";
import {
  type Files,
  isMissing,
  isNoSpace,
  PRIVATE_DIRECTORY_MODE,
  PRIVATE_FILE_MODE,
  REAL_FILES,
  removeFile,
  syncDirectory,
  writeAll,
} from "../calls/store/files.ts";
import { CodeRefused, diskFull, noRoom, tooLarge } from "./code-refused.ts";
import { keepChecksums, mendPacked, removeChecksums } from "./packed-checksums.ts";
import { unpackCode, verifyCode } from "./unpack-code.ts";

/** Packed code of this box together, arriving code included. Beyond it, unneeded code is removed, oldest first. */
const MAX_STORED_BYTES = 10 * GIB;

/** Code that no version needs is kept this long, since it arrives before its version starts. */
const UNASSIGNED_MS = 15 * 60_000;

const FILE_NAME = /^([0-9a-f]{64})\.tar\.gz$/;
const OWNER = /^\w[\w.-]*$/;
/** An owner, and six characters of `mkdtemp`. */
const COPY_NAME = /^(\w[\w.-]*)-\w{6}$/;

export interface CodeStoreOptions {
  /** No other agent uses it. */
  readonly directory: string;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Told of damage that was mended. */
  readonly notice?: (line: string) => void;
  readonly files?: Files;
  readonly limitBytes?: number;
  /** Gets the copies as its own, in its own place. */
  readonly user?: AppUser | undefined;
  /** Directories of containers that run already: their copies stay. */
  readonly inUse?: readonly string[];
}

/** All code and copies that are needed; the store may remove the rest. */
export interface NeededCode {
  readonly hashes: Iterable<string>;
  /** As given to `directoryOf`. */
  readonly owners: Iterable<string>;
}

interface Stored {
  readonly bytes: number;
  readonly receivedAtMs: number;
}

export class CodeStore {
  readonly #packedDirectory: string;
  readonly #arrivingDirectory: string;
  readonly #copiesDirectory: string;
  readonly #files: Files;
  readonly #now: () => number;
  readonly #notice: (line: string) => void;
  readonly #limitBytes: number;
  readonly #user: AppUser | undefined;
  readonly #stored = new Map<string, Stored>();
  readonly #fetching = new Map<string, Promise<void>>();
  readonly #copies = new Map<string, Promise<string>>();
  /** Undefined until the first `retain`. Until then the store removes no code. */
  #needed: ReadonlySet<string> | undefined;
  #arrivingBytes = 0;

  private constructor({ directory, now, notice, files, limitBytes, user }: CodeStoreOptions) {
    this.#packedDirectory = join(directory, "packed");
    this.#arrivingDirectory = join(directory, "arriving");
    this.#copiesDirectory = join(user?.directory ?? directory, "copies");
    this.#user = user;
    this.#now = now ?? Date.now;
    this.#notice = notice ?? (() => undefined);
    this.#files = files ?? REAL_FILES;
    this.#limitBytes = limitBytes ?? MAX_STORED_BYTES;
  }

  /** Makes the directory, or takes it over: what was arriving is removed, and so are copies that nothing uses. */
  static async open(options: CodeStoreOptions): Promise<CodeStore> {
    const store = new CodeStore(options);
    await removeTree(store.#arrivingDirectory);
    for (const path of [store.#packedDirectory, store.#arrivingDirectory, store.#copiesDirectory]) {
      await mkdir(path, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    }
    for (const name of await readdir(store.#copiesDirectory)) {
      await store.#keepOrRemoveCopy(name, options.inUse ?? []);
    }
    for (const name of await readdir(store.#packedDirectory)) {
      const hash = FILE_NAME.exec(name)?.[1];
      if (hash === undefined) continue;
      const { size, mtimeMs } = await stat(store.#packedPath(hash));
      store.#stored.set(hash, { bytes: size, receivedAtMs: mtimeMs });
    }
    return store;
  }

  has(hash: string): boolean {
    return this.#stored.has(hash);
  }

  /** Hashes of the code that is whole on the disk. */
  list(): string[] {
    return [...this.#stored.keys()];
  }

  /**
   * Stores packed code, which is on the disk for good when this resolves. Several callers may store one hash at a
   * time. @throws CodeRefused, or what the content throws; nothing stays then
   */
  async receive(hash: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const path = join(this.#arrivingDirectory, randomBytes(8).toString("hex"));
    const arriving = { bytes: 0, checksums: new BlockChecksums() };
    try {
      await this.#write(path, content, arriving);
      await verifyCode({ packed: createReadStream(path), hash });
      await this.#files.rename(path, this.#packedPath(hash));
      await keepChecksums(this.#files, this.#packedPath(hash), arriving.checksums.encode());
      await syncDirectory(this.#files, this.#packedDirectory);
      this.#stored.set(hash, { bytes: arriving.bytes, receivedAtMs: this.#now() });
    } catch (error) {
      await removeFile(this.#files, path);
      throw isNoSpace(error) ? diskFull() : error;
    } finally {
      this.#arrivingBytes -= arriving.bytes;
    }
  }

  /** Gets missing code. Callers that ask for one hash at a time share one transfer. */
  async fetch(
    hash: string,
    source: (hash: string) => Promise<AsyncIterable<Uint8Array>>,
  ): Promise<void> {
    if (this.has(hash)) return;
    const present = this.#fetching.get(hash);
    if (present !== undefined) return await present;
    const fetching = source(hash).then((content) => this.receive(hash, content));
    this.#fetching.set(hash, fetching);
    try {
      await fetching;
    } finally {
      this.#fetching.delete(hash);
    }
  }

  /** Packed code; undefined where it is not here. The caller reads `content` to its end or destroys it. */
  async read(hash: string): Promise<{ bytes: number; content: Readable } | undefined> {
    const stored = this.#stored.get(hash);
    if (stored === undefined) return undefined;
    try {
      // Opened at once: the store may remove the file before its content is read.
      const handle = await openFile(this.#packedPath(hash));
      return { bytes: stored.bytes, content: handle.createReadStream() };
    } catch (error) {
      if (!isMissing(error)) throw error;
      this.#stored.delete(hash);
      return undefined;
    }
  }

  /**
   * A directory with the code, for this owner alone; the same one whenever it is asked for again.
   * @param owner names one version of one app: letters, digits, dashes and dots
   * @throws CodeRefused when the code is not here, damaged, or finds no room
   */
  async directoryOf(hash: string, owner: string): Promise<string> {
    if (!OWNER.test(owner)) throw new Error(`${owner} is no name for a directory`);
    const present = this.#copies.get(owner);
    if (present !== undefined) return await present;
    const copying = this.#copy(hash, owner);
    this.#copies.set(owner, copying);
    try {
      return await copying;
    } catch (error) {
      this.#copies.delete(owner);
      throw error;
    }
  }

  /** Removes the code and the copies that are not needed any more; code that has just come stays. */
  async retain({ hashes, owners }: NeededCode): Promise<void> {
    this.#needed = new Set(hashes);
    const kept = new Set(owners);
    // All are chosen at once: a caller that asks for a copy during the removal is not among the owners yet.
    const unneeded = [...this.#copies].filter(([owner]) => !kept.has(owner));
    for (const [owner] of unneeded) this.#copies.delete(owner);
    for (const [, copying] of unneeded) {
      const directory = await copying.catch(() => undefined);
      if (directory !== undefined) await removeTree(directory, this.#user);
    }
    for (const hash of this.#unneeded(this.#now() - UNASSIGNED_MS)) await this.#remove(hash);
  }

  async #write(
    path: string,
    content: AsyncIterable<Uint8Array>,
    arriving: { bytes: number; readonly checksums: BlockChecksums },
  ): Promise<void> {
    const handle = await this.#files.open(path, "wx", PRIVATE_FILE_MODE);
    try {
      for await (const chunk of content) {
        if (arriving.bytes + chunk.length > MAX_CODE_BYTES) throw tooLarge();
        await this.#makeRoom(chunk.length);
        await writeAll(handle, chunk, arriving.bytes);
        arriving.bytes += chunk.length;
        arriving.checksums.add(chunk);
        this.#arrivingBytes += chunk.length;
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  async #makeRoom(bytes: number): Promise<void> {
    const used = () =>
      [...this.#stored.values()].reduce((sum, stored) => sum + stored.bytes, this.#arrivingBytes);
    while (used() + bytes > this.#limitBytes) {
      const [oldest] = this.#unneeded(Infinity);
      if (oldest === undefined) throw noRoom();
      await this.#remove(oldest);
    }
  }

  /** Hashes of code that may be removed and was received before this time, the oldest first. */
  #unneeded(beforeMs: number): string[] {
    const needed = this.#needed;
    if (needed === undefined) return [];
    return [...this.#stored]
      .filter(([hash, { receivedAtMs }]) => !needed.has(hash) && receivedAtMs < beforeMs)
      .toSorted(([, first], [, second]) => first.receivedAtMs - second.receivedAtMs)
      .map(([hash]) => hash);
  }

  async #copy(hash: string, owner: string): Promise<string> {
    for (let isMended = false; ; isMended = true) {
      try {
        return await this.#unpack(hash, owner);
      } catch (error) {
        if (isNoSpace(error)) throw diskFull();
        if (!(error instanceof CodeRefused)) throw error;
        const path = this.#packedPath(hash);
        if (!isMended && (await mendPacked(this.#files, path, this.#notice))) continue;
        // The disk lost it: another box may have it whole.
        await this.#remove(hash);
        throw error;
      }
    }
  }

  async #unpack(hash: string, owner: string): Promise<string> {
    const found = await this.read(hash);
    if (found === undefined) throw new CodeRefused("not_found", `the box lacks the code ${hash}`);
    // A name of its own: an earlier copy of this owner may still be on its way out.
    const directory = await mkdtemp(join(this.#copiesDirectory, `${owner}-`));
    try {
      await unpackCode({ packed: found.content, hash }, directory, this.#files);
      if (this.#user !== undefined) await giveTo(this.#user, directory);
      return directory;
    } catch (error) {
      await removeTree(directory);
      throw error;
    }
  }

  /** A container runs in whole copies alone. */
  async #keepOrRemoveCopy(name: string, inUse: readonly string[]): Promise<void> {
    const copy = join(this.#copiesDirectory, name);
    const owner = COPY_NAME.exec(name)?.[1];
    const isUsed = inUse.some((used) => `${used}/`.startsWith(`${copy}/`));
    if (owner !== undefined && isUsed) this.#copies.set(owner, Promise.resolve(copy));
    else await removeTree(copy, this.#user);
  }

  async #remove(hash: string): Promise<void> {
    this.#stored.delete(hash);
    await removeChecksums(this.#files, this.#packedPath(hash));
    await removeFile(this.#files, this.#packedPath(hash));
  }

  #packedPath(hash: string): string {
    return join(this.#packedDirectory, `${hash}.tar.gz`);
  }
}
