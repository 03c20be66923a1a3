/**
 * One line of a container's log in the form in which it is kept: a line of JSON. Its text is made once, when the app
 * prints it, and goes to the disk and to readers as it is.
 */
import * as z from "zod";

/** Where a line comes from: the app's two streams, or Postern. */
const LOG_STREAM = z.enum(["stdout", "stderr", "postern"]);

const LOG_RECORD = z.object({
  /** Counts the container's lines, with those that were left out: a gap is a loss. */
  number: z.int().min(1),
  /** ISO 8601 in UTC, so that times compare as texts. */
  time: z.string(),
  stream: LOG_STREAM,
  text: z.string(),
});

export type LogStream = z.output<typeof LOG_STREAM>;
export type LogRecord = z.output<typeof LOG_RECORD>;

/** The container whose log it is. */
export const LOGGED_CONTAINER = z.object({
  container: z.string().max(64),
  environment: z.string(),
  app: z.string(),
  function: z.string(),
  /** 0 for an app that the box announces itself. */
  version: z.int().min(0),
  startedAt: z.string(),
});

export type LoggedContainer = z.output<typeof LOGGED_CONTAINER>;

export function formatRecord(record: LogRecord): string {
  return JSON.stringify(record);
}
