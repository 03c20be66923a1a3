/**
 * Packs: files that small results share, one behind the other, so that a hundred thousand of them are a
 * few files and their fsyncs are shared. One pack grows at a time; a full one is never written again.
 */
import { AppendLog } from "./append-log.ts";
import type { Files } from "./files.ts";
import type { ResultFile } from "./stored-result.ts";

export interface ResultPacksOptions {
  files: Files;
  /** A pack that would grow beyond it is sealed; a larger record gets a pack of its own. */
  packBytes: number;
  newPath: () => string;
  /** A sealed pack has no live results: it can be removed. */
  onEmpty: (pack: ResultFile) => void;
}

interface GrowingPack extends ResultFile {
  readonly log: AppendLog;
  /** Bytes that it will have when everything is written that was given to it. */
  plannedBytes: number;
}

export class ResultPacks {
  readonly #options: ResultPacksOptions;
  #growing: GrowingPack | undefined;
  #opening: Promise<void> | undefined;
  readonly #closing = new Set<Promise<void>>();

  constructor(options: ResultPacksOptions) {
    this.#options = options;
  }

  /** The pack that results go to now. */
  get growing(): ResultFile | undefined {
    return this.#growing;
  }

  /** Appends a record. @returns its place, once it is on the disk */
  async append(record: Uint8Array): Promise<{ file: ResultFile; offset: number }> {
    for (;;) {
      const pack = this.#growing;
      if (pack !== undefined && this.#takes(pack, record))
        return await appendTo(pack, record, this);
      this.#opening ??= this.#open().finally(() => {
        this.#opening = undefined;
      });
      await this.#opening;
    }
  }

  /** Nothing more goes to the growing pack. */
  seal(): void {
    const pack = this.#growing;
    if (pack === undefined) return;
    this.#growing = undefined;
    const closed = pack.log
      .close()
      // What was acknowledged is on the disk, whatever closing says.
      .catch(() => undefined)
      .then(() => void this.#closing.delete(closed));
    this.#closing.add(closed);
    this.emptied(pack);
  }

  /** To be called when a result of a pack is gone. */
  emptied(pack: ResultFile): void {
    if (pack.liveBytes === 0 && pack !== this.#growing) this.#options.onEmpty(pack);
  }

  async close(): Promise<void> {
    await this.#opening?.catch(() => undefined);
    this.seal();
    await Promise.all(this.#closing);
  }

  #takes({ log, plannedBytes }: GrowingPack, record: Uint8Array): boolean {
    if (log.broken) return false;
    return plannedBytes === 0 || plannedBytes + record.length <= this.#options.packBytes;
  }

  async #open(): Promise<void> {
    this.seal();
    const { files, newPath } = this.#options;
    const path = newPath();
    const log = await AppendLog.open(files, path, 0);
    this.#growing = { path, log, bytes: 0, liveBytes: 0, plannedBytes: 0 };
  }
}

async function appendTo(pack: GrowingPack, record: Uint8Array, packs: ResultPacks) {
  pack.plannedBytes += record.length;
  pack.liveBytes += record.length;
  try {
    const offset = await pack.log.append(record);
    pack.bytes += record.length;
    return { file: pack, offset };
  } catch (error) {
    pack.plannedBytes -= record.length;
    pack.liveBytes -= record.length;
    packs.emptied(pack);
    throw error;
  }
}
