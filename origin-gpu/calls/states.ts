/**
 * The life of a call, as one table: its states, and the events that are legal in each. No other code decides
 * whether a call goes on. Journal, spool and response follow from the state, and are elsewhere.
 */
import type { CallStatus } from "../../routing/wire/call-descriptions.ts";
import type { ErrorCode } from "../../routing/wire/errors.ts";
import type { CallProgress } from "../../routing/wire/resend.ts";

export type CallState =
  /** Its request body is on its way; it waits for a place, or for the body to be whole. */
  | "receiving"
  /** Its body is whole; it waits for a place. */
  | "queued"
  /** The app has the request and has not answered. From here on the call counts as executed. */
  | "running"
  /** Its container died before the response's first byte, and it waits to be run again: the endpoint says that it may. */
  | "retrying"
  /** The app's response headers have come. */
  | "responding"
  /** The app's response is whole. */
  | "complete"
  /** It ended with an error of its own: a limit, a broken exchange, a start that failed. */
  | "failed"
  /** A user or the agent ended it, or its client left. */
  | "cancelled"
  /** The agent that ran it died; how far it came is unknown. */
  | "lost"
  /** The agent stopped before it began: it certainly never ran. */
  | "not_started"
  /** Its stored response has expired. */
  | "expired";

export type CallEvent =
  | "body_received"
  | "started"
  /** Its start is withdrawn: no byte of its request reached the app. */
  | "requeued"
  /** Its run has ended without a byte of a response, and another one follows. */
  | "retried"
  | "answered"
  | "completed"
  | "failed"
  | "cancelled"
  | "lost"
  | "not_started"
  | "expired";

/** Events that end a call. */
const ENDINGS = { failed: "failed", cancelled: "cancelled", lost: "lost" } as const;

/** Events of a call that has ended. */
const ENDED = { expired: "expired" } as const;

/** Where each event leads; an event that a state does not list is illegal there. */
const TRANSITIONS: Readonly<Record<CallState, Readonly<Partial<Record<CallEvent, CallState>>>>> = {
  // A body can stream into the app: then the call starts before it is whole.
  receiving: {
    body_received: "queued",
    started: "running",
    not_started: "not_started",
    ...ENDINGS,
  },
  queued: { started: "running", not_started: "not_started", ...ENDINGS },
  // The body of a call that runs can become whole at any time.
  running: {
    body_received: "running",
    requeued: "queued",
    retried: "retrying",
    answered: "responding",
    ...ENDINGS,
  },
  retrying: { body_received: "retrying", started: "running", ...ENDINGS },
  // An app can answer before it has read the body.
  responding: { body_received: "responding", completed: "complete", ...ENDINGS },
  complete: ENDED,
  failed: ENDED,
  cancelled: ENDED,
  lost: ENDED,
  not_started: ENDED,
  expired: {},
};

/** @returns `illegal` for an event that came too late: events race, for instance a cancellation and a response */
export function transition(state: CallState, event: CallEvent): CallState | "illegal" {
  return TRANSITIONS[state][event] ?? "illegal";
}

const PROGRESS: Readonly<Record<CallState, CallProgress>> = {
  receiving: "not_sent",
  queued: "not_sent",
  running: "started",
  retrying: "started",
  responding: "answered",
  complete: "answered",
  failed: "unknown",
  cancelled: "unknown",
  lost: "unknown",
  not_started: "not_sent",
  expired: "unknown",
};

/** How far a call in this state came, for `mayResend`. */
export function callProgress(state: CallState): CallProgress {
  return PROGRESS[state];
}

/** Only `expired` is legal from here on. */
export function isEnded(state: CallState): boolean {
  return transition(state, "failed") === "illegal";
}

const STATUS: Readonly<Record<Exclude<CallState, "failed" | "expired">, CallStatus>> = {
  receiving: "pending",
  queued: "pending",
  running: "running",
  retrying: "pending",
  responding: "running",
  complete: "success",
  cancelled: "terminated",
  lost: "lost",
  not_started: "init_failure",
};

const STATUS_OF_FAILURE: Readonly<Partial<Record<ErrorCode, CallStatus>>> = {
  call_lost: "lost",
  call_timeout: "timeout",
  starting_failed: "init_failure",
  startup_timeout: "init_failure",
};

/**
 * A call's public status. An expired call has none: its client gets 410.
 * @param failure the code of a call that failed
 */
export function callStatus(
  state: Exclude<CallState, "expired">,
  failure: ErrorCode | undefined,
): CallStatus {
  if (state !== "failed") return STATUS[state];
  return (failure && STATUS_OF_FAILURE[failure]) ?? "failure";
}
