/**
 * One line of a container's log in the form in which it is kept: a line of JSON. Its text is made once, when the app
 * prints it, and goes to the disk and to readers as it is.
 */
import * as z from "zod";
import { LOG_STREAM } from "../../routing/wire/container-logs.ts";

const LOG_RECORD = z.object({
  /** Counts the container's lines, with those that were left out: a gap is a loss. */
  number: z.int().min(1),
  /** ISO 8601 in UTC, so that times compare as texts. */
  time: z.string(),
  stream: LOG_STREAM,
  text: z.string(),
});

export type LogRecord = z.output<typeof LOG_RECORD>;

/** The container whose log it is. */
export const LOGGED_CONTAINER = z.object({
  container: z.string().max(64),
  environment: z.string(),
  app: z.string(),
  function: z.string(),
  /** Other functions that the container serves (`containers_of`). */
  guests: z.array(z.string()).exactOptional(),
  /** 0 for an app that the box announces itself. */
  version: z.int().min(0),
  startedAt: z.string(),
});

export type LoggedContainer = z.output<typeof LOGGED_CONTAINER>;

export function formatRecord(record: LogRecord): string {
  return JSON.stringify(record);
}

/** Reads a record; undefined for one that a crash has cut. */
export function parseRecord(text: string): LogRecord | undefined {
  try {
    return JSON.parse(text) as LogRecord;
  } catch {
    return undefined;
  }
}

/** Makes the lines that readers get of a container's records. */
export function lineMaker({
  container,
  function: functionName,
}: Pick<LoggedContainer, "container" | "function">): (record: string) => string {
  const owner = JSON.stringify({ container, function: functionName });
  const beginning = `${owner.slice(0, -1)},`;
  return (record) => beginning + record.slice(1);
}

/** A line about the reading itself. */
export function readerLine(atMs: number, text: string): string {
  const record = {
    number: 0,
    time: new Date(atMs).toISOString(),
    stream: "postern",
    text,
  } as const;
  return lineMaker({ container: "", function: "" })(formatRecord(record));
}
