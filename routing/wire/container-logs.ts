/** Logs of containers as a box tells of them: which lines are asked for, and a line. */
import * as z from "zod";

/** A container's id, as the agent makes it. */
export const CONTAINER_ID_FORM = /^ct-[0-9a-f]{1,40}$/;

export const CONTAINER_ID = z.string().regex(CONTAINER_ID_FORM, "must be ct- and hex digits");

/** The agent holds as many lines in memory before it sends the first. */
export const MAX_TAIL_LINES = 10_000;

/** A follower of a log that has nothing new gets an empty line as often. */
export const LOG_HEARTBEAT_MS = 10_000;

/** Where a line comes from: the app's two streams, or Postern. */
export const LOG_STREAM = z.enum(["stdout", "stderr", "postern"]);

/** Which lines of which containers. */
export const LOG_QUERY = z.object({
  /** One container, or all of an app that the box remembers, ended ones included. */
  of: z.union([
    z.object({
      container: CONTAINER_ID,
      /** One of another environment is not found. */
      environment: z.string().max(64).exactOptional(),
    }),
    z.object({
      environment: z.string().max(64),
      app: z.string().max(64),
      function: z.string().max(256).exactOptional(),
    }),
  ]),
  /** ISO 8601 in UTC: no earlier lines. */
  since: z.iso.datetime({ precision: 3 }).exactOptional(),
  /** The last lines alone. */
  tail: z.int().min(0).max(MAX_TAIL_LINES).exactOptional(),
  /** Goes on with lines as they come: of a container until it has ended, of an app for ever. */
  follow: z.boolean(),
});

/** A line, as a line of JSON. */
export const LOG_LINE = z.object({
  /** Empty for a line about the reading itself. */
  container: z.string(),
  function: z.string(),
  /** Counts the container's lines, with those that were left out. */
  number: z.int(),
  time: z.string(),
  stream: LOG_STREAM,
  text: z.string(),
});

export type LogQuery = z.output<typeof LOG_QUERY>;
export type LogStream = z.output<typeof LOG_STREAM>;
