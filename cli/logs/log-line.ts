/** How a line of a log is shown, and which of them a user asks for. */
import type { ApiLogLine } from "../../api/logs.ts";
import { MAX_TAIL_LINES } from "../../routing/wire/container-logs.ts";
import { durationMs } from "../duration.ts";
import { UsageError } from "../failure.ts";

/** Where neither `--since` nor `--tail` says how many. */
const DEFAULT_TAIL = 100;

export const LOG_OPTIONS = {
  follow: { type: "boolean", short: "f", summary: "go on with lines as they come, until Ctrl-C" },
  timestamps: { type: "boolean", summary: "put each line's time before it" },
  since: {
    type: "string",
    value: "TIME",
    summary: "no earlier lines: 10m, 2h, or 2026-01-31T12:00Z",
  },
  tail: {
    type: "string",
    value: "N",
    summary: `the last N lines alone (${DEFAULT_TAIL}, or all of --since)`,
  },
} as const;

/** Which lines are wanted, as the API takes it. */
export interface LogRange {
  readonly since?: string;
  readonly tail?: number;
}

export interface LogValues {
  readonly since?: string;
  readonly tail?: string;
}

/** @throws {UsageError} for what is no time or no number */
export function logRange({ since, tail }: LogValues, nowMs: number): LogRange {
  return {
    ...(since !== undefined && { since: sinceTime(since, nowMs) }),
    ...(tail !== undefined && { tail: tailLines(tail) }),
    ...(since === undefined && tail === undefined && { tail: DEFAULT_TAIL }),
  };
}

/** A line of a box. */
export interface BoxLine extends ApiLogLine {
  readonly box: string;
}

/** A line as it is printed. */
export function shownLine(
  line: BoxLine,
  { json = false, timestamps = false }: { readonly json?: boolean; readonly timestamps?: boolean },
): string {
  if (json) return JSON.stringify(line);
  return timestamps ? `${line.time} ${line.text}` : line.text;
}

function sinceTime(text: string, nowMs: number): string {
  const agoMs = durationMs(text);
  const atMs = agoMs === undefined ? Date.parse(text) : nowMs - agoMs;
  const isDated = agoMs !== undefined || /^\d{4}-\d{2}-\d{2}/.test(text);
  if (isDated && !Number.isNaN(atMs) && atMs >= 0) return new Date(atMs).toISOString();
  throw new UsageError(
    `--since: "${text}" is neither a while, such as 90s, 10m, 2h or 1d, nor a time, such as 2026-01-31T12:00Z`,
  );
}

function tailLines(text: string): number {
  const lines = /^\d{1,6}$/.test(text) ? Number(text) : Infinity;
  if (lines <= MAX_TAIL_LINES) return lines;
  throw new UsageError(`--tail: "${text}" is not a number from 0 to ${MAX_TAIL_LINES}`);
}
