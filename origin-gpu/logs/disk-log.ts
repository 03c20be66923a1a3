/** The files of one container's log. Each begins with a line that says whose log it is, so that any may go. */
import { open, readFile, unlink } from "node:fs/promises";
import { isMissing } from "../calls/store/files.ts";
import { LOGGED_CONTAINER, type LoggedContainer, parseRecord } from "./log-record.ts";
import type { LogPiece, StoredLog } from "./log-store.ts";

/** Of the first line, which names the functions that a container serves. */
const MAX_OWNER_BYTES = 64 * 1024;

export interface LogFile {
  readonly path: string;
  /** The first file of a log has 0, and each next one the next number. */
  readonly index: number;
  bytes: number;
  writtenAtMs: number;
}

export class DiskLog implements StoredLog {
  readonly of: LoggedContainer;
  readonly files: LogFile[];
  /** Nothing is written any more. */
  isEnded: boolean;
  /** Of an earlier agent's last record, where this agent goes on with the log. */
  lastNumber = 0;

  constructor(of: LoggedContainer, files: LogFile[], isEnded: boolean) {
    this.of = of;
    this.files = files;
    this.isEnded = isEnded;
  }

  get pieces(): readonly LogPiece[] {
    return this.files.map(({ path, writtenAtMs }) => ({
      writtenAtMs,
      read: async () => await recordsIn(path),
    }));
  }

  get bytes(): number {
    return this.files.reduce((sum, file) => sum + file.bytes, 0);
  }

  /** Those that may go. */
  get closedFiles(): readonly LogFile[] {
    return this.isEnded ? this.files : this.files.slice(0, -1);
  }

  /** Reads where to go on. */
  async readLastNumber(): Promise<void> {
    const records = await recordsIn(this.files.at(-1)?.path ?? "");
    for (const text of records.split("\n")) {
      this.lastNumber = Math.max(this.lastNumber, parseRecord(text)?.number ?? 0);
    }
  }

  remove(file: LogFile): void {
    this.files.splice(this.files.indexOf(file), 1);
    // The next agent finds a file that can't be removed now.
    void unlink(file.path).catch(() => undefined);
  }
}

/** The first line of a log's file. */
export function formatOwner(of: LoggedContainer): string {
  return `${JSON.stringify(of)}\n`;
}

/** Whose log a file is; undefined where its first line does not say. */
export async function ownerOf(path: string): Promise<LoggedContainer | undefined> {
  const handle = await open(path, "r");
  try {
    const buffer = Buffer.alloc(MAX_OWNER_BYTES);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
    const [line = ""] = buffer.toString("utf8", 0, bytesRead).split("\n", 1);
    const parsed = LOGGED_CONTAINER.safeParse(JSON.parse(line));
    return parsed.data;
  } catch {
    return undefined;
  } finally {
    await handle.close();
  }
}

/** A file's records, without its first line; none where it has been removed. */
async function recordsIn(path: string): Promise<string> {
  try {
    const text = await readFile(path, "utf8");
    return text.slice(text.indexOf("\n") + 1);
  } catch (error) {
    if (isMissing(error)) return "";
    throw error;
  }
}
