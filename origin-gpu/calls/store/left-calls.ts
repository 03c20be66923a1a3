/** The calls that an earlier agent left waiting, as the one that starts takes them over. */
import { DETACHED_MS } from "../../../routing/wire/limits.ts";
import type { Journal } from "./journal.ts";
import { isWaiting, type JournalEntry } from "./journal-record.ts";
import type { RequestStore } from "./request-store.ts";
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
function inOrderOfArrival(
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

interface LeftStores {
  readonly journal: Journal;
  readonly requests: RequestStore;
  readonly report: (error: unknown) => void;
}

/**
 * Makes calls whose clients attach as transient here as they were: a later agent must not run them again. Resolves with
 * those that this one may run, where the disk agrees, in the order of their arrival.
 */
export async function takeOver(
  waiting: readonly WaitingCall[],
  stores: LeftStores,
  nowMs: number,
): Promise<readonly LeftCall[]> {
  const calls = inOrderOfArrival(waiting, stores.journal.entries, nowMs);
  const isOurs = await Promise.all(calls.map(async (call) => await isTakenOver(call, stores)));
  return calls.filter((_, index) => isOurs[index]);
}

async function isTakenOver(
  { head: { callId }, attached }: LeftCall,
  { journal, requests, report }: LeftStores,
): Promise<boolean> {
  if (attached === undefined) return true;
  try {
    await journal.expire(callId);
  } catch (error) {
    report(error);
    return false;
  }
  requests.remove(callId);
  return true;
}
