/**
 * This process's observer: its lines go to stderr, as text or, with POSTERN_LOG=json, as JSON. Commands that
 * keep running put the time before each line of text. With POSTERN_METRICS events are counted as well (metrics.ts).
 */
import { boundedNotices } from "../base/bounded-notices.ts";
import { Counters } from "../base/counters.ts";
import {
  type ObservedEvent,
  jsonSink,
  Observer,
  NO_TOPICS,
  parseJsonLine,
  parseTopics,
  textSink,
} from "../base/observer.ts";
import { within } from "../base/runtime/within.ts";
import { UsageError } from "./failure.ts";
import { LineWriter } from "../base/node/line-writer.ts";
import { parseMetricsAddress } from "./metrics-address.ts";
import { stderrWriter } from "./stderr.ts";

/** How long the end of a command waits for a reader of its last lines. */
const LAST_LINES_MS = 1_000;

let isJson = process.env["POSTERN_LOG"] === "json";
let isStamped = false;

const writer = new LineWriter(stderrWriter(), (lines) => observer.emit("log.dropped", { lines }));
const asText = textSink(writer.add.bind(writer), stamp);
const asJson = jsonSink(writer.add.bind(writer));
const topics = parseTopics(process.env["POSTERN_DEBUG"] ?? "");
const debug = topics.ok ? topics.value : NO_TOPICS;

/** Undefined where nobody asks for metrics: then nothing is counted. */
export const counters = process.env["POSTERN_METRICS"] ? new Counters() : undefined;

export const observer = new Observer({
  sinks: [boundedNotices(write), ...(counters === undefined ? [] : [counters.sink])],
  now: Date.now,
  debug,
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
  const metrics = environment["POSTERN_METRICS"] ?? "";
  if (metrics !== "" && parseMetricsAddress(metrics) === undefined) {
    throw new UsageError(`POSTERN_METRICS: "${metrics}" is neither PORT nor HOST:PORT`);
  }
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

/**
 * Writes a line of the Worker, whose observer has made it: JSON as it is, text with the time before it. Where events
 * are counted, the Worker always writes JSON.
 */
export function passOn(line: string): void {
  const event = counters === undefined ? undefined : parseJsonLine(line, debug);
  if (event !== undefined) counters?.sink(event);
  if (isJson && line.startsWith("{")) writer.add(line);
  else if (event !== undefined) asText(event);
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
