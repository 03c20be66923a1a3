/** Where logs are kept, as the rest of the agent sees it: disk-logs.ts with a state directory, memory-logs.ts without. */
import type { LoggedContainer } from "./log-record.ts";

/** A container's log, from its oldest kept line on. */
export interface StoredLog {
  readonly of: LoggedContainer;
  /** In the order in which they were written. */
  readonly pieces: readonly LogPiece[];
}

/** A part of a log that is read at once. */
export interface LogPiece {
  /** When its last line was written, in milliseconds of the epoch. */
  readonly writtenAtMs: number;
  /** Its records, a line each; empty where it has been removed meanwhile. */
  read(): Promise<string>;
}

/** Takes the records of one container. Never makes its caller wait. */
export interface LogSink {
  add(record: string): void;
  /** Resolves when all records so far can be read. */
  flushed(): Promise<void>;
  /** No record follows. Resolves when all have been written. */
  end(): Promise<void>;
}

export interface LogStore {
  /** Logs with at least one line, in the order in which their containers started. */
  readonly logs: readonly StoredLog[];
  /** The number of the last record of a container's log that an earlier agent began and this one goes on with; 0 for none. */
  lastNumberOf(container: string): number;
  /** @param leftOut makes the record that stands for lines that there was no room for */
  begin(of: LoggedContainer, leftOut: (lines: number) => string): LogSink;
}
