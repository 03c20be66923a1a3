/**
 * The logs of this box's containers: each line that a container prints, and what Postern says about it, with its time
 * and its stream. A container writes to its log and waits for nothing; log-store.ts keeps it, within bounds.
 */
import type { Observer } from "../../base/observer.ts";
import type { LogQuery, LogStream } from "../../routing/wire/container-logs.ts";
import { DiskLogs } from "./disk-logs.ts";
import { LogFollower } from "./log-follower.ts";
import { type HistoryQuery, historyOf } from "./log-history.ts";
import { formatRecord, type LoggedContainer, lineMaker } from "./log-record.ts";
import type { LogSink, LogStore } from "./log-store.ts";
import { MemoryLogs } from "./memory-logs.ts";

/** Lines on their way to a reader. */
export interface LogReading {
  /**
   * The next lines; none where `limitMs` has passed without one; undefined at the end. One question at a time.
   */
  next(limitMs: number): Promise<readonly string[] | undefined>;
  /** Ends it: its reader has gone. */
  close(): void;
}

export class ContainerLogs {
  readonly #store: LogStore;
  readonly #now: () => number;
  readonly #written = new Set<ContainerLog>();
  /** By whom new containers' lines are followed too. */
  readonly #followers = new Map<LogFollower, LogQuery["of"]>();

  constructor(store: LogStore = new MemoryLogs(), now: () => number = Date.now) {
    this.#store = store;
    this.#now = now;
  }

  /**
   * @param directory where logs are, for this agent alone
   * @param running containers that an earlier agent left running
   */
  static async open(
    directory: string,
    { notice }: Observer,
    running: readonly string[] = [],
  ): Promise<ContainerLogs> {
    return new ContainerLogs(await DiskLogs.open({ directory, notice, running }));
  }

  /** Begins the log of a container that starts now, or goes on with that of one that runs already. */
  begin(container: Omit<LoggedContainer, "startedAt">): ContainerLog {
    const of = { ...container, startedAt: new Date(this.#now()).toISOString() };
    const log = new ContainerLog({
      of,
      now: this.#now,
      lastNumber: this.#store.lastNumberOf(of.container),
      open: (leftOut) => this.#store.begin(of, leftOut),
      onEnd: () => this.#written.delete(log),
    });
    this.#written.add(log);
    for (const [follower, wanted] of this.#followers) {
      if (isOf(of, wanted)) log.followers.add(follower);
    }
    return log;
  }

  /** Reads the lines of a query; undefined where it is for a container that has no log here. */
  read({ of, since, tail, follow }: LogQuery): LogReading | undefined {
    const written = [...this.#written].filter((log) => isOf(log.of, of));
    const stored = this.#store.logs.filter((log) => isOf(log.of, of));
    if ("container" in of && written.length + stored.length === 0) return undefined;
    const follower = follow ? this.#follow(of, written) : undefined;
    const lastNumbers = new Map(written.map((log) => [log.of.container, log.lastNumber]));
    // A log's first lines may be on their way to the store.
    const flushed = Promise.all(written.map(async (log) => await log.flushed()));
    // A container that starts from now on is told of by the follower.
    const known = new Set([...written, ...stored].map((log) => log.of.container));
    const history = this.#history(known, flushed, { since, tail, lastNumbers });
    return {
      next: async (limitMs) => {
        const { value, done } = await history.next();
        if (done !== true) return value;
        return await follower?.next(limitMs);
      },
      close: () => {
        void history.return(undefined);
        if (follower === undefined) return;
        this.#followers.delete(follower);
        for (const log of this.#written) log.followers.delete(follower);
        follower.finish();
      },
    };
  }

  /** Resolves when all lines so far are where they are kept. */
  async flushed(): Promise<void> {
    await Promise.all([...this.#written].map(async (log) => await log.flushed()));
  }

  /** Ends all logs. Resolves when they are where they are kept. */
  async close(): Promise<void> {
    await Promise.all([...this.#written].map(async (log) => await log.end()));
  }

  #follow(of: LogQuery["of"], written: readonly ContainerLog[]): LogFollower {
    const follower = new LogFollower(this.#now);
    this.#followers.set(follower, of);
    for (const log of written) log.followers.add(follower);
    if ("container" in of) {
      // A log that is not written any more has ended.
      const ended = Promise.all(written.map(async (log) => await log.ended));
      void ended.then(() => follower.finish());
    }
    return follower;
  }

  async *#history(
    containers: ReadonlySet<string>,
    flushed: Promise<unknown>,
    query: HistoryQuery,
  ): AsyncGenerator<readonly string[], undefined> {
    await flushed;
    const logs = this.#store.logs.filter((log) => containers.has(log.of.container));
    for await (const lines of historyOf(logs, query)) if (lines.length > 0) yield lines;
  }
}

interface ContainerLogOptions {
  readonly of: LoggedContainer;
  readonly now: () => number;
  readonly lastNumber: number;
  readonly open: (leftOut: (lines: number) => string) => LogSink;
  readonly onEnd: () => void;
}

/** One container's log, as the container writes it. */
export class ContainerLog {
  readonly of: LoggedContainer;
  /** Resolves when no line follows. */
  readonly ended: Promise<void>;
  readonly followers = new Set<LogFollower>();
  readonly #options: ContainerLogOptions;
  readonly #sink: LogSink;
  readonly #ended = Promise.withResolvers<void>();
  readonly #lineOf: (record: string) => string;
  #number: number;
  /** Many lines have one millisecond, and a time's text costs more than the rest of the line. */
  #time = { atMs: Number.NaN, text: "" };

  constructor(options: ContainerLogOptions) {
    this.of = options.of;
    this.ended = this.#ended.promise;
    this.#options = options;
    this.#number = options.lastNumber;
    this.#lineOf = lineMaker(options.of);
    this.#sink = options.open((lines) =>
      this.#record(
        "postern",
        `postern: ${lines} lines were left out: the disk was too slow or full`,
      ),
    );
  }

  get lastNumber(): number {
    return this.#number;
  }

  write(stream: LogStream, text: string): void {
    const record = this.#record(stream, text);
    this.#sink.add(record);
    if (this.followers.size === 0) return;
    const line = this.#lineOf(record);
    for (const follower of this.followers) follower.push(line);
  }

  async flushed(): Promise<void> {
    await this.#sink.flushed();
  }

  /** The container has ended, and printed everything. Resolves when all of it is kept. May be repeated. */
  async end(): Promise<void> {
    await this.#sink.end();
    this.#options.onEnd();
    this.#ended.resolve();
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

/** Whether a container's lines are wanted. */
function isOf(container: LoggedContainer, wanted: LogQuery["of"]): boolean {
  const { environment = container.environment } = wanted;
  if (container.environment !== environment) return false;
  if ("container" in wanted) return container.container === wanted.container;
  if (container.app !== wanted.app) return false;
  const { function: name, guests = [] } = container;
  return wanted.function === undefined || [name, ...guests].includes(wanted.function);
}
