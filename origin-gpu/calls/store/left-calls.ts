/** The calls that an earlier agent left waiting, as the one that starts takes them over. */
import { DETACHED_MS } from "../../../routing/wire/limits.ts";
import { isWaiting, type JournalEntry } from "./journal-record.ts";
import type { WaitingCall } from "./waiting-call.ts";

/** A waiting call that an earlier agent left. */
export interface LeftCall extends WaitingCall {
  /** Milliseconds since its client began it. */
  readonly ageMs: number;
}

/** Whether a call that was found on the disk is still to be run. */
export function isAwaited(
  { head, ttlMs, attached }: WaitingCall,
  entries: ReadonlyMap<string, JournalEntry>,
  nowMs: number,
): boolean {
  const entry = entries.get(head.callId);
  const patienceMs = attached === undefined ? ttlMs : DETACHED_MS;
  return isWaiting(entry) && entry.acceptedAtMs + patienceMs > nowMs;
}

/** When the client of a call began it, as the journal has it. */
function arrivedAtMs(entry: JournalEntry | undefined): number {
  return entry?.openedAtMs ?? entry?.acceptedAtMs ?? Infinity;
}

/** Sorts calls by when their clients began them, as the journal has it. */
export function inOrderOfArrival(
  calls: readonly WaitingCall[],
  entries: ReadonlyMap<string, JournalEntry>,
  nowMs: number,
): LeftCall[] {
  const timed = calls.map((call) => ({ call, atMs: arrivedAtMs(entries.get(call.head.callId)) }));
  // Two that are unknown would have no difference.
  timed.sort((one, other) => one.atMs - other.atMs || 0);
  // The clock may have been set back.
  return timed.map(({ call, atMs }) => Object.assign(call, { ageMs: Math.max(0, nowMs - atMs) }));
}
