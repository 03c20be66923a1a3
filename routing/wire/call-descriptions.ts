/** A call as an agent describes it for people, and where a list of calls goes on. */
import * as z from "zod";
import { CALL_ID } from "./messages.ts";

/** A call's public status: Modal's words in lower case, and `lost`. */
export const CALL_STATUS = z.enum([
  "pending",
  "running",
  "success",
  "failure",
  "init_failure",
  "terminated",
  "timeout",
  "lost",
]);

/** Calls of one question for their progress: the answer fits a short window. */
export const MAX_ASKED_CALLS = 50;

/** How far a call has come. */
const CALL_STATUS_REPORT = z.object({
  callId: CALL_ID,
  status: CALL_STATUS,
  /** Calls before it in the queue; 0 when it runs. */
  position: z.number().min(0),
  /** Milliseconds until its response is expected, where that is known. */
  etaMs: z.number().min(0).exactOptional(),
  /** It waits, and no container is ready that could take it. Absent of others, and of an older agent. */
  starting: z.boolean().exactOptional(),
  /** Milliseconds since the call was opened, until now or until it ended. */
  elapsedMs: z.number().min(0),
});

export const STATUS_QUERY = z.object({ callIds: z.array(CALL_ID).max(MAX_ASKED_CALLS) });
export const STATUS_REPORTS = z.object({
  calls: z.array(CALL_STATUS_REPORT).max(MAX_ASKED_CALLS),
});

/** States of a call's timeline are for people; a newer agent may know more of them. */
export const CALL_DESCRIPTION = z.object({
  callId: CALL_ID,
  endpoint: z.string().max(512),
  /** Absent of a call that ended at an older agent. */
  method: z.string().max(64).exactOptional(),
  path: z.string().max(1_024).exactOptional(),
  status: CALL_STATUS,
  /** The container that works on it. Not recorded of a call that has ended. */
  container: z.string().max(256).exactOptional(),
  durable: z.boolean(),
  /** Milliseconds since 1970; an older agent does not say. */
  openedAtMs: z.number().exactOptional(),
  /** From then on, until now or until the call ended. */
  elapsedMs: z.number(),
  /** Milliseconds since the call was opened. */
  timeline: z.array(z.object({ state: z.string().max(64), atMs: z.number() })).max(64),
});

/** Where a list of calls goes on: after a running call, or after one that has ended. */
export const CALL_CURSOR = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("running"), openedAt: z.number() }),
  z.object({ kind: z.literal("ended"), acceptedAtMs: z.number(), callId: CALL_ID }),
]);

/** Calls on one page: a page must fit the initial window. */
export const MAX_LISTED_CALLS = 100;

export const CALL_PAGE = z.object({
  calls: z.array(CALL_DESCRIPTION).max(MAX_LISTED_CALLS),
  /** Absent on the last page. */
  next: CALL_CURSOR.exactOptional(),
});

export type CallStatus = z.output<typeof CALL_STATUS>;
export type CallStatusReport = z.output<typeof CALL_STATUS_REPORT>;
export type CallDescription = z.output<typeof CALL_DESCRIPTION>;
export type CallCursor = z.output<typeof CALL_CURSOR>;
