/**
 * Writes one container's log. Records wait in memory, in a bounded number, while the disk is slow. Those that a full
 * disk does not take are left out, and counted in the log once the disk takes records again.
 */
import { type FileHandle, open } from "node:fs/promises";
import { LineWriter } from "../../base/node/line-writer.ts";
import { PRIVATE_FILE_MODE, writeAll } from "../calls/store/files.ts";
import { type DiskLog, formatOwner, type LogFile } from "./disk-log.ts";
import type { LogSink } from "./log-store.ts";

export interface DiskLogWriterOptions {
  readonly log: DiskLog;
  readonly pathOf: (index: number) => string;
  readonly fileBytes: number;
  readonly filesOfLog: number;
  /** As in `LogStore`. */
  readonly leftOut: (lines: number) => string;
  /** The log has one file more. */
  readonly onFile: () => void;
  readonly onFailure: (error: unknown) => void;
}

export class DiskLogWriter implements LogSink {
  readonly #options: DiskLogWriterOptions;
  readonly #lines: LineWriter;
  #handle: FileHandle | undefined;
  /** Lines that the disk did not take. */
  #lost = 0;
  #isEnded = false;

  constructor(options: DiskLogWriterOptions) {
    this.#options = options;
    this.#lines = new LineWriter(
      (text, onTaken) => void this.#write(text).then(onTaken),
      (lines) => this.#lines.add(options.leftOut(lines)),
    );
  }

  add(record: string): void {
    // It would open a file that nobody closes.
    if (this.#isEnded) return;
    this.#lines.add(record);
  }

  async flushed(): Promise<void> {
    await this.#lines.flushed();
  }

  async end(): Promise<void> {
    this.#isEnded = true;
    await this.#lines.flushed();
    this.#options.log.isEnded = true;
    await this.#close();
  }

  /** Never rejects. */
  async #write(text: string): Promise<void> {
    const bytes = Buffer.from(
      this.#lost === 0 ? text : `${this.#options.leftOut(this.#lost)}\n${text}`,
    );
    try {
      const file = await this.#fileFor(bytes.length);
      await writeAll(this.#handle as FileHandle, bytes, file.bytes);
      file.bytes += bytes.length;
      file.writtenAtMs = Date.now();
      this.#lost = 0;
    } catch (error) {
      this.#lost += text.split("\n").length - 1;
      this.#options.onFailure(error);
    }
  }

  /** The file that is open, or a next one where these bytes would make that too large. */
  async #fileFor(bytes: number): Promise<LogFile> {
    const { log, fileBytes, filesOfLog, pathOf, onFile } = this.#options;
    const present = log.files.at(-1);
    const isRoom = present !== undefined && present.bytes + bytes <= fileBytes;
    if (isRoom && this.#handle !== undefined) return present;
    await this.#close();
    const index = present === undefined ? 0 : present.index + 1;
    const path = pathOf(index);
    this.#handle = await open(path, "w", PRIVATE_FILE_MODE);
    const owner = Buffer.from(formatOwner(log.of));
    await writeAll(this.#handle, owner, 0);
    const file = { path, index, bytes: owner.length, writtenAtMs: Date.now() };
    log.files.push(file);
    for (const oldest of log.files.slice(0, -filesOfLog)) log.remove(oldest);
    onFile();
    return file;
  }

  async #close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close().catch(() => undefined);
  }
}
