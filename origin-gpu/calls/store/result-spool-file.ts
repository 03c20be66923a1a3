/**
 * The file of a stored response that grows: a record (result-record.ts) whose header is written last, after the
 * checksums of the body's blocks. It is written in the background. Until it is whole it has a name that a restart
 * removes.
 */
import type { FileHandle } from "node:fs/promises";
import { BlockChecksums } from "./body-blocks.ts";
import { type Files, PRIVATE_FILE_MODE, readAll, removeFile, writeAll } from "./files.ts";
import { encodeHeader, RECORD_HEADER_BYTES, type RecordHeader } from "./result-record.ts";

export class ResultSpoolFile {
  readonly path: string;
  readonly #files: Files;
  readonly #onProgress: () => void;
  readonly #onError: (error: unknown) => void;
  readonly #bodyOffset: number;
  readonly #checksums = new BlockChecksums();
  #handle: FileHandle | undefined;
  #unwritten: Uint8Array[];
  #unwrittenBytes: number;
  #fileBytes = 0;
  #writing: Promise<void>;
  #idle = false;
  #abandoned = false;

  /**
   * @param meta the bytes between header and body
   * @param onProgress called when more of the body is in the file
   * @param onError called when a write failed: the file is to be discarded
   */
  constructor(
    files: Files,
    path: string,
    meta: Buffer,
    onProgress: () => void,
    onError: (error: unknown) => void,
  ) {
    this.#files = files;
    this.path = path;
    this.#onProgress = onProgress;
    this.#onError = onError;
    this.#bodyOffset = RECORD_HEADER_BYTES + meta.length;
    this.#unwritten = [Buffer.alloc(RECORD_HEADER_BYTES), meta];
    this.#unwrittenBytes = this.#bodyOffset;
    this.#writing = this.#writeAll();
  }

  /** Body bytes that can be read from the file. */
  get writtenBytes(): number {
    return Math.max(0, this.#fileBytes - this.#bodyOffset);
  }

  /** Bytes that wait to be written. */
  get unwrittenBytes(): number {
    return this.#unwrittenBytes;
  }

  /** Takes the next bytes of the body over. */
  write(bytes: Uint8Array): void {
    if (this.#abandoned) return;
    this.#checksums.add(bytes);
    this.#unwritten.push(bytes);
    this.#unwrittenBytes += bytes.length;
    if (this.#idle) this.#writing = this.#writeAll();
  }

  /** Writes checksums and header, and waits until everything is on the disk. The name stays. */
  async finish(header: RecordHeader): Promise<void> {
    await this.#writing;
    const handle = this.#handle;
    // `onError` has reported why.
    if (this.#abandoned || handle === undefined) throw new Error("the file was given up");
    await writeAll(handle, this.#checksums.encode(), this.#bodyOffset + header.bodyBytes);
    await writeAll(handle, encodeHeader(header), 0);
    await handle.sync();
    this.#handle = undefined;
    await handle.close();
  }

  /** Removes the file, once the write that is under way has ended. */
  async discard(): Promise<void> {
    this.#abandoned = true;
    this.#unwritten = [];
    await this.#writing;
    await this.#handle?.close();
    this.#handle = undefined;
    await removeFile(this.#files, this.path);
  }

  /** Reads written bytes of the body by the reader's own handle. @returns fewer where the file was cut */
  async read(handle: FileHandle, from: number, length: number): Promise<Uint8Array> {
    const part = Buffer.allocUnsafeSlow(length);
    const read = await readAll(handle, part, this.#bodyOffset + from);
    return part.subarray(0, read);
  }

  /** Writes until no byte waits. Never rejects. */
  async #writeAll(): Promise<void> {
    this.#idle = false;
    try {
      this.#handle ??= await this.#files.open(this.path, "wx+", PRIVATE_FILE_MODE);
      while (this.#unwritten.length > 0) {
        const bytes = Buffer.concat(this.#unwritten);
        this.#unwritten = [];
        await writeAll(this.#handle, bytes, this.#fileBytes);
        this.#unwrittenBytes -= bytes.length;
        this.#fileBytes += bytes.length;
        this.#onProgress();
      }
    } catch (error) {
      this.#onError(error);
    }
    this.#idle = true;
  }
}
