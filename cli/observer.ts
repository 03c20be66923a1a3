/**
 * This process's observer: its lines go to stderr, as text or, with POSTERN_LOG=json, as JSON. Commands that
 * keep running put the time before each line of text.
 */
import { boundedNotices } from "../base/bounded-notices.ts";
import {
  type ObservedEvent,
  jsonSink,
  Observer,
  NO_TOPICS,
  parseTopics,
  textSink,
} from "../base/observer.ts";
import { within } from "../base/runtime/within.ts";
import { UsageError } from "./failure.ts";
import { LineWriter } from "./line-writer.ts";
import { stderrWriter } from "./stderr.ts";

/** How long the end of a command waits for a reader of its last lines. */
const LAST_LINES_MS = 1_000;

let isJson = process.env["POSTERN_LOG"] === "json";
let isStamped = false;

const writer = new LineWriter(stderrWriter(), (lines) => observer.emit("log.dropped", { lines }));
const asText = textSink(writer.add.bind(writer), stamp);
const asJson = jsonSink(writer.add.bind(writer));
const topics = parseTopics(process.env["POSTERN_DEBUG"] ?? "");

export const observer = new Observer({
  sinks: [boundedNotices(write)],
  now: Date.now,
  debug: topics.ok ? topics.value : NO_TOPICS,
});

/** An app's lines go first where there is no room for all: Postern's own have what is left. */
function write(event: ObservedEvent): void {
  if (event.name === "container.output" && writer.isFull) writer.drop();
  else if (isJson) asJson(event);
  else asText(event);
}

/** @throws {UsageError} for a variable that can't be meant */
export function checkLogVariables(environment: NodeJS.ProcessEnv): void {
  if (!topics.ok) throw new UsageError(`POSTERN_DEBUG: ${topics.error}`);
  const form = environment["POSTERN_LOG"] ?? "";
  if (!["", "json", "off"].includes(form)) {
    throw new UsageError(`POSTERN_LOG: "${form}" is neither json nor off`);
  }
}

/** Puts the time before each line from here on: for commands that keep running. */
export function stampLines(): void {
  isStamped = true;
}

/** Writes JSON from here on: `--log json`. */
export function writeJsonLines(): void {
  isJson = true;
}

/** Writes a line of the Worker, whose observer has made it: JSON as it is, text with the time before it. */
export function passOn(line: string): void {
  if (isJson && line.startsWith("{")) writer.add(line);
  else observer.notice(line);
}

/** Resolves when all lines have left, or nobody reads them. */
export async function linesWritten(): Promise<void> {
  await within(LAST_LINES_MS, writer.flushed());
}

let stamped = { atMs: Number.NaN, text: "" };

function stamp(atMs: number): string {
  if (!isStamped) return "";
  if (stamped.atMs !== atMs) stamped = { atMs, text: timeOf(new Date(atMs)) };
  return stamped.text;
}

/** On a terminal the time of day is enough; a file is read on other days and in other places. */
function timeOf(date: Date): string {
  if (!process.stderr.isTTY) return `${date.toISOString()} `;
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()];
  return `${parts.map((part) => String(part).padStart(2, "0")).join(":")} `;
}
