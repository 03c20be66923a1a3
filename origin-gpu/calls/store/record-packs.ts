/**
 * Packs: files that small records share, one behind the other. A hundred thousand records are a few files,
 * and share fsyncs. One pack grows at a time; a full one is never written again.
 */
import { AppendLog } from "./append-log.ts";
import type { Files } from "./files.ts";

/** A file of records: a pack of small ones, or one large one. */
export interface RecordFile {
  readonly path: string;
  /** Bytes of it, and how many of them belong to records that are still needed. */
  bytes: number;
  liveBytes: number;
}

export interface RecordPacksOptions {
  files: Files;
  /** A pack that would grow beyond this size is sealed; a larger record gets a pack of its own. */
  packBytes: number;
  newPath: () => string;
  /** Called when a sealed pack has no live record. */
  onEmpty: (pack: RecordFile) => void;
}

interface GrowingPack extends RecordFile {
  readonly log: AppendLog;
  /** Its size once all records are written that were given to it. */
  plannedBytes: number;
}

export class RecordPacks {
  readonly #options: RecordPacksOptions;
  #growing: GrowingPack | undefined;
  #opening: Promise<void> | undefined;
  readonly #closing = new Set<Promise<void>>();

  constructor(options: RecordPacksOptions) {
    this.#options = options;
  }

  /** The pack that takes records now. */
  get growing(): RecordFile | undefined {
    return this.#growing;
  }

  /** Appends a record. @returns its place, once it is on the disk */
  async append(record: Uint8Array): Promise<{ file: RecordFile; offset: number }> {
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

  /** Closes the growing pack. */
  seal(): void {
    const pack = this.#growing;
    if (pack === undefined) return;
    this.#growing = undefined;
    const closed = pack.log
      .close()
      // Acknowledged records are on the disk, even if closing fails.
      .catch(() => undefined)
      .then(() => void this.#closing.delete(closed));
    this.#closing.add(closed);
    this.onRecordGone(pack);
  }

  /** To be called when a record of a pack is gone. */
  onRecordGone(pack: RecordFile): void {
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

async function appendTo(pack: GrowingPack, record: Uint8Array, packs: RecordPacks) {
  pack.plannedBytes += record.length;
  pack.liveBytes += record.length;
  try {
    const offset = await pack.log.append(record);
    pack.bytes += record.length;
    return { file: pack, offset };
  } catch (error) {
    pack.plannedBytes -= record.length;
    pack.liveBytes -= record.length;
    packs.onRecordGone(pack);
    throw error;
  }
}
