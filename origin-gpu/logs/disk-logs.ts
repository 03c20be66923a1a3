/**
 * Logs on the disk, in files that each begin with a line that says whose log it is. A log that grows goes on in a next
 * file, and loses its oldest one beyond its limit. Beyond the limit of all logs together the file goes whose last line
 * is oldest, whosever it is; the files that are being written stay.
 */
import { mkdir, readdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { MIB } from "../../base/units.ts";
import { messageOf } from "../../base/thrown.ts";
import { PRIVATE_DIRECTORY_MODE } from "../calls/store/files.ts";
import { DiskLog, type LogFile, ownerOf } from "./disk-log.ts";
import { DiskLogWriter } from "./disk-log-writer.ts";
import type { LoggedContainer } from "./log-record.ts";
import type { LogSink, LogStore, StoredLog } from "./log-store.ts";

export interface LogLimits {
  readonly fileBytes: number;
  readonly filesOfLog: number;
  /** Of all logs. Each that is being written may go beyond them by a file. */
  readonly bytes: number;
  /** Of all logs: a box may start a container each minute, and each prints little. */
  readonly files: number;
}

const LIMITS: LogLimits = { fileBytes: MIB, filesOfLog: 8, bytes: 512 * MIB, files: 2_000 };

const FILE_NAME = /^(?<container>ct-[0-9a-f]+)\.(?<index>\d{1,9})\.log$/;

export interface DiskLogsOptions {
  readonly directory: string;
  /** One line for the operator. */
  readonly notice: (text: string) => void;
  readonly limits?: LogLimits;
  /** Containers that an earlier agent left running: their logs go on. */
  readonly running?: readonly string[];
}

export class DiskLogs implements LogStore {
  readonly #options: DiskLogsOptions;
  readonly #limits: LogLimits;
  readonly #logs: Set<DiskLog>;

  private constructor(options: DiskLogsOptions, logs: Iterable<DiskLog>) {
    this.#options = options;
    this.#limits = options.limits ?? LIMITS;
    this.#logs = new Set(logs);
    this.#removeOldest();
  }

  /** Finds the logs that earlier agents wrote. */
  static async open(options: DiskLogsOptions): Promise<DiskLogs> {
    const { directory } = options;
    await mkdir(directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    const logs: DiskLog[] = [];
    for (const files of await filesIn(directory)) {
      const of = await ownerOf(files[0]?.path ?? "");
      if (of !== undefined) logs.push(new DiskLog(of, files, true));
      // A crash may leave a first line that is not whole. The rest says nothing then.
      else for (const { path } of files) await unlink(path);
    }
    const { running = [] } = options;
    for (const log of logs) {
      if (running.includes(log.of.container)) await log.readLastNumber();
    }
    return new DiskLogs(options, logs.toSorted(byStart));
  }

  get logs(): readonly StoredLog[] {
    return [...this.#logs].filter(({ files }) => files.length > 0);
  }

  lastNumberOf(container: string): number {
    return this.#earlier(container)?.lastNumber ?? 0;
  }

  #earlier(container: string): DiskLog | undefined {
    return [...this.#logs].find((log) => log.lastNumber > 0 && log.of.container === container);
  }

  begin(of: LoggedContainer, leftOut: (lines: number) => string): LogSink {
    const { directory, notice } = this.#options;
    const log = this.#earlier(of.container) ?? new DiskLog(of, [], false);
    log.isEnded = false;
    this.#logs.add(log);
    return new DiskLogWriter({
      log,
      ...this.#limits,
      pathOf: (index) => join(directory, `${of.container}.${index}.log`),
      leftOut,
      onFile: () => this.#removeOldest(),
      onFailure: (error) => {
        const reason = messageOf(error);
        notice(`postern: lines of containers can't be written to their logs: ${reason}`);
      },
    });
  }

  #removeOldest(): void {
    const all = [...this.#logs];
    let bytes = all.reduce((sum, log) => sum + log.bytes, 0);
    let files = all.reduce((sum, log) => sum + log.files.length, 0);
    const isOver = () => bytes > this.#limits.bytes || files > this.#limits.files;
    if (isOver()) {
      const closed = all.flatMap((log) => log.closedFiles.map((file) => ({ log, file })));
      for (const { log, file } of closed.toSorted(byAge)) {
        if (!isOver()) break;
        log.remove(file);
        bytes -= file.bytes;
        files -= 1;
      }
    }
    for (const log of all) if (log.isEnded && log.files.length === 0) this.#logs.delete(log);
  }
}

/** The files of each log, in their order. */
async function filesIn(directory: string): Promise<LogFile[][]> {
  const found = new Map<string, LogFile[]>();
  for (const name of await readdir(directory)) {
    const { container, index } = FILE_NAME.exec(name)?.groups ?? {};
    if (container === undefined) continue;
    const path = join(directory, name);
    const { size, mtimeMs } = await stat(path);
    const files = found.get(container) ?? [];
    files.push({ path, index: Number(index), bytes: size, writtenAtMs: mtimeMs });
    found.set(container, files);
  }
  return [...found.values()].map((files) =>
    files.toSorted((one, other) => one.index - other.index),
  );
}

function byStart({ of: one }: DiskLog, { of: other }: DiskLog): number {
  return one.startedAt < other.startedAt ? -1 : 1;
}

function byAge({ file: one }: { file: LogFile }, { file: other }: { file: LogFile }): number {
  return one.writtenAtMs - other.writtenAtMs;
}
