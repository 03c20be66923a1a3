/**
 * The life of a call, as one table: in which state it may be, and what may happen to it there. Nothing
 * else decides whether a call goes on; what follows from a state (journal, spool, answer) is elsewhere.
 */
import type { ErrorCode } from "../../routing/wire/errors.ts";

export type CallState =
  /** Its request body is on its way, and it waits for a slot or for the body to be whole. */
  | "receiving"
  /** Its body is here; it waits for a slot. */
  | "queued"
  /** The app has it, and has not answered yet. From here on it was executed. */
  | "running"
  /** The app's response headers have come. */
  | "responding"
  /** The app's response is whole. */
  | "complete"
  /** It ended with an error of its own: a limit, a broken exchange, a start that failed. */
  | "failed"
  /** Somebody ended it, or its client left. */
  | "cancelled"
  /** The process that had it died; nobody knows how far it came. */
  | "lost"
  /** Its answer was kept as long as it had to be, and is gone. */
  | "expired";

export type CallEvent =
  | "body_received"
  | "started"
  | "answered"
  | "completed"
  | "failed"
  | "cancelled"
  | "lost"
  | "expired";

/** What may end a call that has not ended. */
const ENDINGS = { failed: "failed", cancelled: "cancelled", lost: "lost" } as const;

/** What may happen to a call that has ended. */
const ENDED = { expired: "expired" } as const;

/** Where each event leads; an event that a state does not list is illegal there. */
const TRANSITIONS: Readonly<Record<CallState, Readonly<Partial<Record<CallEvent, CallState>>>>> = {
  // A body may stream into the app: then the call starts before it is whole, and never queues.
  receiving: { body_received: "queued", started: "running", ...ENDINGS },
  queued: { started: "running", ...ENDINGS },
  // The body of a call that runs may become whole at any time: that changes nothing here.
  running: { body_received: "running", answered: "responding", ...ENDINGS },
  // An app may answer before it has read everything.
  responding: { body_received: "responding", completed: "complete", ...ENDINGS },
  complete: ENDED,
  failed: ENDED,
  cancelled: ENDED,
  lost: ENDED,
  expired: {},
};

/** Events race (a cancellation and an answer): the one that comes too late is told so. */
export function transition(state: CallState, event: CallEvent): CallState | "illegal" {
  return TRANSITIONS[state][event] ?? "illegal";
}

/** Whether the app may have begun to work: such a call is never sent to an app again. */
export function mayHaveStarted(state: CallState): boolean {
  return state !== "receiving" && state !== "queued";
}

/** Nothing but expiry can happen any more. */
export function isEnded(state: CallState): boolean {
  return transition(state, "failed") === "illegal";
}

/** What users see of a call (the `status` of 202 answers, of `call list`, of status events). */
export type CallStatus =
  | "pending"
  | "running"
  | "success"
  | "failure"
  | "init_failure"
  | "terminated"
  | "timeout"
  | "lost";

const STATUS: Readonly<Record<Exclude<CallState, "failed" | "expired">, CallStatus>> = {
  receiving: "pending",
  queued: "pending",
  running: "running",
  responding: "running",
  complete: "success",
  cancelled: "terminated",
  lost: "lost",
};

const STATUS_OF_FAILURE: Readonly<Partial<Record<ErrorCode, CallStatus>>> = {
  call_lost: "lost",
  call_timeout: "timeout",
  starting_failed: "init_failure",
  startup_timeout: "init_failure",
};

/**
 * A call's public status. An expired call has none: it is answered with 410.
 * @param failure why it failed, where it did
 */
export function callStatus(
  state: Exclude<CallState, "expired">,
  failure: ErrorCode | undefined,
): CallStatus {
  if (state !== "failed") return STATUS[state];
  return (failure && STATUS_OF_FAILURE[failure]) ?? "failure";
}

/** A call as `postern call inspect` shows it; times in milliseconds since it was opened. */
export interface CallDescription {
  call: string;
  endpoint: string;
  /** Not noted of a call that has ended. */
  method?: string;
  path?: string;
  status: CallStatus;
  /** The container that works on it. Not noted of a call that has ended. */
  container?: string;
  /** Its answer is or will be on the disk. */
  kept: boolean;
  elapsedMs: number;
  timeline: { state: CallState; atMs: number }[];
}
