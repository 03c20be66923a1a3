/**
 * The requests of durable calls that wait, in a directory of packs: an agent that starts runs what an
 * earlier one left. A client is told that its call goes on only when the request stands here, or its start
 * stands in the journal. The journal decides which of these calls still wait.
 */
import { join } from "node:path";
import { KIB, MIB } from "../../../base/units.ts";
import type { RequestBody } from "../request-body.ts";
import { type Files, PRIVATE_DIRECTORY_MODE, removeFile } from "./files.ts";
import { type RecordFile, RecordPacks } from "./record-packs.ts";
import { encodeWaitingCall, readWaitingCalls, type WaitingCall } from "./waiting-call.ts";

const PACK_BYTES = 16 * MIB;

/** A growing pack without a waiting call is removed from this size on, and not for each call anew. */
const EMPTY_PACK_BYTES = MIB;

/** A longer body of a call that waits is not saved: it dies with the agent. */
const MAX_SAVED_BODY_BYTES = 64 * MIB;

/** Bodies up to this size are saved together. */
const SMALL_BODY_BYTES = 64 * KIB;

const FILE_NAME = /^(\d{12,15})\.requests$/;

/** Where a request stands. */
interface SavedRequest {
  readonly file: RecordFile;
  readonly bytes: number;
}

export class RequestStore {
  readonly #files: Files;
  readonly #directory: string;
  readonly #packs: RecordPacks;
  /** By callId. */
  readonly #saved = new Map<string, SavedRequest>();
  readonly #removals = new Set<Promise<void>>();
  #lastFile = 0;
  /** One large body at a time is in memory while it is saved. Never rejects. */
  #savingLarge: Promise<unknown> = Promise.resolve();

  private constructor(files: Files, directory: string) {
    this.#files = files;
    this.#directory = directory;
    this.#packs = new RecordPacks({
      files,
      packBytes: PACK_BYTES,
      newPath: () => this.#newPath(),
      onEmpty: ({ path }) => this.#removeFile(path),
    });
  }

  /**
   * Opens a directory, or makes it.
   * @param isWaiting whether a call that was found is still to be run
   * @param onDamaged called for a file in which calls are lost
   * @returns with the calls that are
   */
  static async open(
    files: Files,
    directory: string,
    isWaiting: (call: WaitingCall) => boolean,
    onDamaged?: (path: string) => void,
  ): Promise<{ store: RequestStore; waiting: WaitingCall[] }> {
    const store = new RequestStore(files, directory);
    await files.mkdir(directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    const waiting = new Map<string, WaitingCall>();
    const all: RecordFile[] = [];
    for (const name of (await files.readdir(directory)).sort()) {
      const number = FILE_NAME.exec(name)?.[1];
      if (number === undefined) continue;
      store.#lastFile = Math.max(store.#lastFile, Number(number));
      const path = join(directory, name);
      const file: RecordFile = { path, bytes: 0, liveBytes: 0 };
      const { found, isDamaged } = await readWaitingCalls(files, path);
      if (isDamaged) onDamaged?.(path);
      for (const { call, bytes } of found) {
        const { callId } = call.head;
        if (!isWaiting(call)) continue;
        // The later one says what it is now.
        const before = store.#saved.get(callId);
        if (before !== undefined) before.file.liveBytes -= before.bytes;
        store.#saved.set(callId, { file, bytes });
        file.liveBytes += bytes;
        waiting.set(callId, call);
      }
      all.push(file);
    }
    for (const { liveBytes, path } of all) if (liveBytes === 0) store.#removeFile(path);
    return { store, waiting: [...waiting.values()] };
  }

  has(callId: string): boolean {
    return this.#saved.has(callId);
  }

  /**
   * Saves the request of a call, with a copy of its body; without effect for a body that is not whole or too
   * long.
   * @throws when it could not be written
   */
  async save(call: Omit<WaitingCall, "body">, body: RequestBody): Promise<void> {
    const saveNow = async (): Promise<void> => {
      // It has broken off where the call ended meanwhile.
      const bytes = await body.collect(MAX_SAVED_BODY_BYTES).catch(() => undefined);
      if (bytes !== undefined) await this.add({ ...call, body: bytes });
    };
    if (body.bytes <= SMALL_BODY_BYTES) {
      await saveNow();
      return;
    }
    const saved = this.#savingLarge.then(saveNow);
    this.#savingLarge = saved.catch(() => undefined);
    await saved;
  }

  /** Saves a call's request. @throws when it could not be written: `isNoSpace` tells a full disk */
  async add(call: WaitingCall): Promise<void> {
    const { callId } = call.head;
    const record = encodeWaitingCall(call);
    const { file } = await this.#packs.append(record);
    // It may have been saved before, as something else.
    this.remove(callId);
    this.#saved.set(callId, { file, bytes: record.length });
  }

  /** The call's response has begun, or it has ended: its request is not needed any more. */
  remove(callId: string): void {
    const saved = this.#saved.get(callId);
    if (saved === undefined) return;
    this.#saved.delete(callId);
    const { file, bytes } = saved;
    file.liveBytes -= bytes;
    const isGrowing = file === this.#packs.growing;
    if (isGrowing && file.liveBytes === 0 && file.bytes > EMPTY_PACK_BYTES) this.#packs.seal();
    else if (!isGrowing && file.liveBytes === 0) this.#removeFile(file.path);
  }

  /** Waits for the last write. */
  async close(): Promise<void> {
    await this.#packs.close();
    await Promise.all(this.#removals);
  }

  #removeFile(path: string): void {
    const removal = removeFile(this.#files, path)
      // A file that cannot be removed now is removed at the next start.
      .catch(() => undefined)
      .then(() => void this.#removals.delete(removal));
    this.#removals.add(removal);
  }

  #newPath(): string {
    this.#lastFile += 1;
    return join(this.#directory, `${String(this.#lastFile).padStart(12, "0")}.requests`);
  }
}
