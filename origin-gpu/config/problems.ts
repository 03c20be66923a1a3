/** Problems of a configuration, and their text for a person: each line says where, which value and what is right. */
import type { KeyPath } from "./key-lines.ts";

/** One mistake: its place, the value there, and a message that says what would be right. */
export interface ConfigProblem {
  readonly file: string;
  /** From 1; absent where the file as a whole is the problem. */
  readonly line?: number;
  /** The key with its tables, as in `endpoint.chat.max_inputs`. */
  readonly key?: string;
  /** The value there, as TOML would write it, shortened. */
  readonly value?: string;
  readonly message: string;
}

/** Also the greatest depth: a value that is nested deeper is cut off by its length in any case. */
const MAX_VALUE_CHARACTERS = 60;

/** One line per problem: `postern.toml:12: endpoint.chat.max_inputs = 0: must be …`. */
export function formatProblems(problems: readonly ConfigProblem[]): string {
  return problems.map(formatProblem).join("\n");
}

function formatProblem({ file, line, key, value, message }: ConfigProblem): string {
  const place = line === undefined ? file : `${file}:${line}`;
  const subject = value === undefined ? key : `${key} = ${value}`;
  return subject === undefined ? `${place}: ${message}` : `${place}: ${subject}: ${message}`;
}

/** A value as TOML writes it on one line, cut where it is long. */
export function showValue(value: unknown): string {
  const text = inline(value);
  if (text.length <= MAX_VALUE_CHARACTERS) return text;
  return `${text.slice(0, MAX_VALUE_CHARACTERS - 1)}…`;
}

function inline(value: unknown, depth = 0): string {
  if (depth > MAX_VALUE_CHARACTERS) return "…";
  if (Array.isArray(value)) {
    return `[${value.map((element) => inline(element, depth + 1)).join(", ")}]`;
  }
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number" && !Number.isFinite(value)) {
    return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  }
  // The parser's dates know how they were written.
  if (value instanceof Date) return value.toISOString();
  if (typeof value !== "object" || value === null) return String(value);
  const members = Object.entries(value).map(
    ([key, member]) => `${showKey(key)} = ${inline(member, depth + 1)}`,
  );
  return members.length === 0 ? "{}" : `{ ${members.join(", ")} }`;
}

/** A path as TOML writes it: bare keys with dots, others quoted, indices in brackets. */
export function showPath(path: KeyPath): string {
  return path
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${showKey(part)}`))
    .join("")
    .replace(/^\./, "");
}

function showKey(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key);
}
