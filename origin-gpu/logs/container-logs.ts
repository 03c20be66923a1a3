/**
 * The logs of this box's containers: each line that a container prints, and what Postern says about it, with its time
 * and its stream. A container writes to its log and waits for nothing; log-store.ts keeps it, within bounds.
 */
import type { Observer } from "../../base/observer.ts";
import { DiskLogs } from "./disk-logs.ts";
import { formatRecord, type LoggedContainer, type LogStream } from "./log-record.ts";
import type { LogSink, LogStore } from "./log-store.ts";
import { MemoryLogs } from "./memory-logs.ts";

export class ContainerLogs {
  readonly #store: LogStore;
  readonly #now: () => number;
  readonly #written = new Set<ContainerLog>();

  constructor(store: LogStore = new MemoryLogs(), now: () => number = Date.now) {
    this.#store = store;
    this.#now = now;
  }

  /** @param directory where logs are, for this agent alone */
  static async open(directory: string, { notice }: Observer): Promise<ContainerLogs> {
    return new ContainerLogs(await DiskLogs.open({ directory, notice }));
  }

  /** Begins the log of a container that starts now. */
  begin(of: Omit<LoggedContainer, "startedAt">): ContainerLog {
    const startedAt = new Date(this.#now()).toISOString();
    const log = new ContainerLog({
      now: this.#now,
      open: (leftOut) => this.#store.begin({ ...of, startedAt }, leftOut),
      onEnd: () => this.#written.delete(log),
    });
    this.#written.add(log);
    return log;
  }

  /** Resolves when all lines so far are where they are kept. */
  async flushed(): Promise<void> {
    await Promise.all([...this.#written].map(async (log) => await log.flushed()));
  }

  /** Ends all logs. Resolves when they are where they are kept. */
  async close(): Promise<void> {
    await Promise.all([...this.#written].map(async (log) => await log.end()));
  }
}

interface ContainerLogOptions {
  readonly now: () => number;
  readonly open: (leftOut: (lines: number) => string) => LogSink;
  readonly onEnd: () => void;
}

/** One container's log, as the container writes it. */
export class ContainerLog {
  readonly #options: ContainerLogOptions;
  readonly #sink: LogSink;
  #number = 0;
  /** Many lines have one millisecond, and a time's text costs more than the rest of the line. */
  #time = { atMs: Number.NaN, text: "" };

  constructor(options: ContainerLogOptions) {
    this.#options = options;
    this.#sink = options.open((lines) =>
      this.#record(
        "postern",
        `postern: ${lines} lines were left out: the disk was too slow or full`,
      ),
    );
  }

  write(stream: LogStream, text: string): void {
    this.#sink.add(this.#record(stream, text));
  }

  async flushed(): Promise<void> {
    await this.#sink.flushed();
  }

  /** The container has ended, and printed everything. Resolves when all of it is kept. May be repeated. */
  async end(): Promise<void> {
    await this.#sink.end();
    this.#options.onEnd();
  }

  #record(stream: LogStream, text: string): string {
    this.#number += 1;
    return formatRecord({ number: this.#number, time: this.#timeText(), stream, text });
  }

  #timeText(): string {
    const atMs = this.#options.now();
    if (this.#time.atMs !== atMs) this.#time = { atMs, text: new Date(atMs).toISOString() };
    return this.#time.text;
  }
}
