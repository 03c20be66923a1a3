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

export interface LineForm {
  readonly json?: boolean;
  readonly timestamps?: boolean;
  /** Says whose each line is. */
  readonly owners?: LineOwners;
}

/** A line as it is printed. */
export function shownLine(line: BoxLine, { json, timestamps, owners }: LineForm): string {
  if (json === true) return JSON.stringify(line);
  const text = `${owners?.prefixOf(line) ?? ""}${line.text}`;
  return timestamps === true ? `${line.time} ${text}` : text;
}

/** Says whose a line is where lines of several functions, or of several containers of one, come together. */
export class LineOwners {
  readonly #hasFunctions: boolean;
  /** The container of each function whose line came first. */
  readonly #first = new Map<string, string>();
  /** Functions of which lines of another container have come. */
  readonly #several = new Set<string>();

  /** @param functions those whose lines are shown */
  constructor(functions: readonly string[]) {
    this.#hasFunctions = functions.length > 1;
  }

  prefixOf({ function: name, container }: ApiLogLine): string {
    // A line about the reading itself.
    if (container === "") return "";
    const first = this.#first.get(name);
    if (first === undefined) this.#first.set(name, container);
    else if (first !== container) this.#several.add(name);
    const owner = [this.#hasFunctions && name, this.#several.has(name) && container];
    const words = owner.filter((word) => word !== false);
    return words.length === 0 ? "" : `[${words.join(" ")}] `;
  }
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
