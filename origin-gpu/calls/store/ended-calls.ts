/** Describes durable calls that have ended: for lists, for one who asks, for a client without a response. Pure. */
import type { Failure } from "../../../routing/wire/messages.ts";
import type { CallDescription } from "../../../routing/wire/call-descriptions.ts";
import { type CallState, callStatus } from "../states.ts";
import type { CallOutcome, JournalEntry } from "./journal-record.ts";

/** How a call ended; with the failure of one that failed. */
export interface CallEnd {
  readonly kind: CallOutcome["kind"];
  readonly failure?: Failure;
}

/** A place in the list of ended calls: behind this one. */
export interface EndedCursor {
  kind: "ended";
  acceptedAtMs: number;
  callId: string;
}

export interface EndedPage {
  readonly calls: CallDescription[];
  /** Undefined on the last page. */
  readonly next?: EndedCursor;
}

const STATE_OF_OUTCOME = {
  completed: "complete",
  failed: "failed",
  cancelled: "cancelled",
  lost: "lost",
  not_started: "not_started",
} as const satisfies Record<CallOutcome["kind"], CallState>;

type EndedEntry = JournalEntry & { outcome: CallOutcome };

function hasEnded(entry: JournalEntry): entry is EndedEntry {
  return entry.outcome !== undefined;
}

/** Pages the calls that have ended, newest first. @param before where an earlier page ended */
export function pageOfEnded(
  entries: ReadonlyMap<string, JournalEntry>,
  limit: number,
  before?: EndedCursor,
): EndedPage {
  const found: EndedEntry[] = [];
  for (const entry of [...entries.values()].toReversed()) {
    if (!hasEnded(entry) || (before !== undefined && newestFirst(entry, before) <= 0)) continue;
    // All entries of the last millisecond: their order is not the journal's.
    if (found.length > limit && entry.acceptedAtMs !== found.at(-1)?.acceptedAtMs) break;
    found.push(entry);
  }
  const page = found.toSorted(newestFirst).slice(0, limit);
  const calls = page.flatMap((entry) => describeEnded(entry) ?? []);
  const last = page.at(-1);
  if (last === undefined || found.length === page.length) return { calls };
  return { calls, next: { kind: "ended", acceptedAtMs: last.acceptedAtMs, callId: last.callId } };
}

type Placed = Pick<EndedCursor, "acceptedAtMs" | "callId">;

function newestFirst(a: Placed, b: Placed): number {
  if (a.acceptedAtMs !== b.acceptedAtMs) return b.acceptedAtMs - a.acceptedAtMs;
  if (a.callId === b.callId) return 0;
  return a.callId < b.callId ? 1 : -1;
}

/** Describes a call that has ended, as far as the journal knows it. */
export function describeEnded(entry: JournalEntry): CallDescription | undefined {
  const { callId, endpoint, acceptedAtMs, method, path, startedAtMs, outcome } = entry;
  if (outcome === undefined) return undefined;
  const state = STATE_OF_OUTCOME[outcome.kind];
  const { openedAtMs = acceptedAtMs } = entry;
  const atMs = outcome.atMs - openedAtMs;
  const started =
    startedAtMs === undefined
      ? []
      : [{ state: "running" as const, atMs: startedAtMs - openedAtMs }];
  return {
    callId,
    endpoint,
    ...(method !== undefined && path !== undefined && { method, path }),
    status: callStatus(state, outcome.code),
    durable: true,
    openedAtMs,
    elapsedMs: atMs,
    timeline: [{ state: "queued", atMs: 0 }, ...started, { state, atMs }],
  };
}

/** The failure that a client is told of a call that ended so, where there is no stored response. */
export function failureOf({ kind, code, detail = "" }: CallOutcome): Failure {
  switch (kind) {
    case "failed":
      return { code: code ?? "origin_error", detail };
    case "cancelled":
      return { code: "call_lost", detail: "the call was cancelled" };
    case "lost":
      return { code: "call_lost", detail: "the agent that ran this call is gone" };
    case "not_started":
      // At a result URL `no_origin` would say that the box is away, and its clients would wait.
      return {
        code: "starting_failed",
        detail: "the agent stopped before this call began: it did not run; send it again",
      };
    case "completed":
      return { code: "result_expired", detail: "the response is no longer stored" };
  }
}
