/**
 * Reads the lines that are kept, of several containers in the order of their times. One piece of each log that is
 * being read is in memory at a time, and logs whose containers started later are not begun before their time.
 */
import { lineMaker, parseRecord } from "./log-record.ts";
import type { LogPiece, StoredLog } from "./log-store.ts";

export interface HistoryQuery {
  /** ISO 8601 in UTC: no earlier lines. */
  readonly since?: string | undefined;
  /** The last lines alone. */
  readonly tail?: number | undefined;
  /** The number of the last line of a container that is still written; later ones are told otherwise. */
  readonly lastNumbers: ReadonlyMap<string, number>;
}

/** Lines that are passed on together. */
const BATCH_LINES = 500;

interface KeptLine {
  readonly time: string;
  readonly line: string;
}

/** Yields lines, oldest first, some at a time. */
export async function* historyOf(
  logs: readonly StoredLog[],
  query: HistoryQuery,
): AsyncGenerator<readonly string[]> {
  if (query.tail !== undefined) {
    yield (await lastLines(logs, query.tail, query)).map(({ line }) => line);
    return;
  }
  const waiting = logs.map((log) => new LogCursor(log, query)).toReversed();
  const open: LogCursor[] = [];
  let batch: string[] = [];
  for (;;) {
    // Logs are in the order in which their containers started.
    for (let next = waiting.at(-1); next !== undefined; next = waiting.at(-1)) {
      if (open.length > 0 && next.startedAt > (earliest(open).time ?? "")) break;
      waiting.pop();
      if (await next.begin()) open.push(next);
    }
    if (open.length === 0) break;
    const cursor = earliest(open);
    batch.push(cursor.line);
    if (!(await cursor.advance())) open.splice(open.indexOf(cursor), 1);
    if (batch.length < BATCH_LINES) continue;
    yield batch;
    batch = [];
  }
  yield batch;
}

/** One log on its way to its end. */
class LogCursor {
  readonly startedAt: string;
  readonly #log: StoredLog;
  readonly #query: HistoryQuery;
  readonly #pieces: readonly LogPiece[];
  #nextPiece = 0;
  #lines: readonly KeptLine[] = [];
  #index = 0;

  constructor(log: StoredLog, query: HistoryQuery) {
    this.startedAt = log.of.startedAt;
    this.#log = log;
    this.#query = query;
    this.#pieces = log.pieces;
  }

  get time(): string {
    return this.#lines[this.#index]?.time ?? "";
  }

  get line(): string {
    return this.#lines[this.#index]?.line ?? "";
  }

  /** Goes to the first line; false where there is none. */
  async begin(): Promise<boolean> {
    this.#index = -1;
    return await this.advance();
  }

  /** Goes to the next line; false where there is none. */
  async advance(): Promise<boolean> {
    this.#index += 1;
    while (this.#index >= this.#lines.length) {
      const piece = this.#pieces[this.#nextPiece];
      if (piece === undefined) return false;
      this.#nextPiece += 1;
      this.#lines = await linesIn(this.#log, piece, this.#query);
      this.#index = 0;
    }
    return true;
  }
}

function earliest(cursors: readonly LogCursor[]): LogCursor {
  return cursors.reduce((first, cursor) => (cursor.time < first.time ? cursor : first));
}

/** The last lines of all logs together, oldest first. */
async function lastLines(
  logs: readonly StoredLog[],
  count: number,
  query: HistoryQuery,
): Promise<readonly KeptLine[]> {
  if (count === 0) return [];
  let kept: readonly KeptLine[] = [];
  const newestFirst = logs.toSorted((one, other) => endOf(other) - endOf(one));
  for (const log of newestFirst) {
    const oldest = kept[0]?.time;
    // Neither this log nor those that ended before it have a line that is newer.
    if (kept.length >= count && oldest !== undefined && endOf(log) < Date.parse(oldest)) break;
    const lines = await lastLinesOf(log, count, query);
    kept = [...kept, ...lines].toSorted(byTime).slice(-count);
  }
  return kept;
}

async function lastLinesOf(
  log: StoredLog,
  count: number,
  query: HistoryQuery,
): Promise<readonly KeptLine[]> {
  const newestFirst: (readonly KeptLine[])[] = [];
  let found = 0;
  for (const piece of log.pieces.toReversed()) {
    if (found >= count) break;
    const lines = await linesIn(log, piece, query);
    found += lines.length;
    newestFirst.push(lines);
  }
  return newestFirst.toReversed().flat().slice(-count);
}

async function linesIn(
  log: StoredLog,
  piece: LogPiece,
  { since = "", lastNumbers }: HistoryQuery,
): Promise<readonly KeptLine[]> {
  if (piece.writtenAtMs < Date.parse(since)) return [];
  const lineOf = lineMaker(log.of);
  const lastNumber = lastNumbers.get(log.of.container) ?? Infinity;
  const lines: KeptLine[] = [];
  for (const text of (await piece.read()).split("\n")) {
    const record = parseRecord(text);
    if (record === undefined || record.number > lastNumber || record.time < since) continue;
    lines.push({ time: record.time, line: lineOf(text) });
  }
  return lines;
}

function endOf({ pieces }: StoredLog): number {
  return pieces.at(-1)?.writtenAtMs ?? 0;
}

function byTime({ time: one }: KeptLine, { time: other }: KeptLine): number {
  return one < other ? -1 : Number(one > other);
}
