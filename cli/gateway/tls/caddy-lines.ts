/** Passes on to the operator what Caddy writes on stderr: its errors, each as one line of words, and not too many. */

import { BoundedLines } from "../bounded-lines.ts";

/** The last lines, which show why Caddy does not start. */
const KEPT_LINES = 3;

/** Responses that broke off, and requests that the gateway did not take: the gateway tells of its own. */
const OF_REQUESTS = /^http\.(?:log\.error|handlers\.reverse_proxy)/;

interface CaddyLine {
  readonly level?: unknown;
  readonly logger?: unknown;
  readonly msg?: unknown;
  readonly error?: unknown;
  readonly identifier?: unknown;
}

export class CaddyLines {
  readonly #lines: BoundedLines;
  readonly #kept: string[] = [];

  constructor(log: (line: string) => void) {
    this.#lines = new BoundedLines("caddy", log);
  }

  /** The last lines, without Caddy's name. */
  get last(): readonly string[] {
    return this.#kept;
  }

  /** @param nowMs of any clock with milliseconds */
  add(text: string, nowMs: number): void {
    const line = wordsOf(text);
    if (line === undefined) return;
    this.#kept.push(line);
    if (this.#kept.length > KEPT_LINES) this.#kept.shift();
    this.#lines.add(`caddy: ${line}`, nowMs);
  }
}

/** A line's words; undefined for one that is not for the operator. */
function wordsOf(text: string): string | undefined {
  if (text === "") return undefined;
  // Before Caddy has read its configuration, and where it gives up, lines are plain text.
  if (!text.startsWith("{")) return text;
  const { level, logger, msg, error, identifier } = parse(text);
  if (level === "info" || level === "warn") return undefined;
  if (typeof logger === "string" && OF_REQUESTS.test(logger)) return undefined;
  const of = typeof identifier === "string" ? `${identifier}: ` : "";
  const why = typeof error === "string" ? `: ${error}` : "";
  return `${of}${String(msg)}${why}`;
}

function parse(text: string): CaddyLine {
  try {
    return JSON.parse(text) as CaddyLine;
  } catch {
    return { msg: text };
  }
}
