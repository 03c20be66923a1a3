/**
 * The calls that outlive their client's patience, on this box's disk: the journal says which there are,
 * the store has their answers. What stands here survives a kill of the agent; a call that was under way
 * then is lost, and whoever asks for it is told so: it may have run, so it is never run again.
 */
import { join } from "node:path";
import { GIB } from "../../../routing/wire/limits.ts";
import type { ErrorCode } from "../../../routing/wire/errors.ts";
import type { ResponseHead } from "../../../routing/wire/heads.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import type { Fingerprint } from "../fingerprint.ts";
import { Journal } from "./journal.ts";
import type { CallOutcome, JournalEntry } from "./journal-record.ts";
import { type CallDescription, type CallState, callStatus } from "../states.ts";
import type { ResultSpool } from "./result-spool.ts";
import { type ReadableResult, ResultStore } from "./result-store.ts";

/** Disk that kept answers of one agent may take; beyond it the oldest complete ones expire first. */
const RESULTS_QUOTA_BYTES = 10 * GIB;

/** How often what is due is given back. */
const SWEEP_INTERVAL_MS = 60_000;

/** What became of a call that is not running. */
export type EndedCall =
  | { kind: "result"; result: ReadableResult }
  | { kind: "failed"; failure: Failure }
  /** Never kept here, or so long ago that nothing is left of it. */
  | { kind: "unknown" };

/** After a call that has ended: its place in the list. */
export interface EndedCursor {
  kind: "ended";
  acceptedAtMs: number;
  callId: string;
}

/** A call to keep, as the journal needs it. */
export interface AcceptedRequest {
  callId: string;
  endpoint: string;
  /** The scope of its Idempotency-Key. */
  key?: string | undefined;
  /** Where its body is whole already. */
  fingerprint?: Fingerprint | undefined;
}

export class DurableCalls {
  readonly #journal: Journal;
  readonly #results: ResultStore;
  readonly #sweeper: ReturnType<typeof setInterval>;

  private constructor(journal: Journal, results: ResultStore) {
    this.#journal = journal;
    this.#results = results;
    this.#sweeper = setInterval(() => void this.#sweep(), SWEEP_INTERVAL_MS);
    this.#sweeper.unref();
  }

  /**
   * Opens the directory, and ends what an agent that died left open: with the answer, where that was
   * complete, else as lost. For one agent at a time.
   */
  static async open(directory: string, quotaBytes = RESULTS_QUOTA_BYTES): Promise<DurableCalls> {
    let journal: Journal | undefined;
    const results = await ResultStore.open({
      directory: join(directory, "results"),
      quotaBytes,
      now: Date.now,
      onExpired: (callId) => void journal?.expire(callId).catch(() => undefined),
    });
    const opened = await Journal.open(join(directory, "journal"));
    journal = opened;
    const kept = new DurableCalls(opened, results);
    const open = [...opened.entries.values()].filter((entry) => entry.outcome === undefined);
    await Promise.all(
      open.map(async ({ callId }) => {
        const complete = results.get(callId) !== undefined;
        await kept.#end(callId, { kind: complete ? "completed" : "lost" }, LOST_TTL_MS);
      }),
    );
    return kept;
  }

  /** Resolves when the call is in the journal: from then on it is known, whatever happens. */
  async accept({ callId, endpoint, key, fingerprint }: AcceptedRequest): Promise<void> {
    await this.#journal.accept({
      callId,
      endpoint,
      acceptedAtMs: Date.now(),
      ...(key === undefined ? {} : { key }),
      ...(fingerprint === undefined ? {} : { fingerprint }),
    });
  }

  /** The body of a call under a key is whole. */
  async addFingerprint(callId: string, fingerprint: Fingerprint): Promise<void> {
    await this.#journal.addFingerprint(callId, fingerprint);
  }

  /** The call under this key, and what its request was, once that is known. */
  byKey(key: string): { callId: string; fingerprint: Fingerprint | undefined } | undefined {
    const entry = this.#journal.byKey(key);
    return entry === undefined
      ? undefined
      : { callId: entry.callId, fingerprint: entry.fingerprint };
  }

  /** Begins to keep an answer. @param onDrain the app may go on after `append` returned false */
  begin(
    callId: string,
    endpoint: string,
    head: ResponseHead,
    ttlMs: number,
    onDrain: () => void,
  ): ResultSpool {
    return this.#results.begin({ callId, endpoint, head }, { ttlMs, onDrain });
  }

  /** The answer is whole and on the disk. */
  async complete(callId: string, ttlMs: number): Promise<void> {
    await this.#end(callId, { kind: "completed" }, ttlMs);
  }

  async fail(callId: string, { code, detail }: Failure, ttlMs: number): Promise<void> {
    await this.#end(callId, { kind: "failed", code, detail }, ttlMs);
  }

  async cancel(callId: string, ttlMs: number): Promise<void> {
    await this.#end(callId, { kind: "cancelled" }, ttlMs);
  }

  /** Forgets a call that never began: its key is free again. */
  async forget(callId: string): Promise<void> {
    await this.#journal.expire(callId);
  }

  /** What became of a call that this agent is not running. */
  lookup(callId: string): EndedCall {
    const result = this.#results.get(callId);
    if (result !== undefined) return { kind: "result", result };
    const outcome = this.#journal.entries.get(callId)?.outcome;
    if (outcome === undefined) return { kind: "unknown" };
    return { kind: "failed", failure: failureOf(outcome) };
  }

  /** Calls that have ended, newest first. @param before where an earlier page ended */
  listEnded(limit: number, before?: EndedCursor): { calls: CallDescription[]; next?: EndedCursor } {
    const found: EndedEntry[] = [];
    for (const entry of [...this.#journal.entries.values()].toReversed()) {
      if (!hasEnded(entry) || (before !== undefined && newestFirst(entry, before) <= 0)) continue;
      // Of the last millisecond all, since their order is not the journal's.
      if (found.length > limit && entry.acceptedAtMs !== found.at(-1)?.acceptedAtMs) break;
      found.push(entry);
    }
    const page = found.toSorted(newestFirst).slice(0, limit);
    const calls = page.map((entry) => describe(entry, entry.outcome));
    const last = page.at(-1);
    if (last === undefined || found.length === page.length) return { calls };
    return { calls, next: { kind: "ended", acceptedAtMs: last.acceptedAtMs, callId: last.callId } };
  }

  /** A call that has ended. */
  inspect(callId: string): CallDescription | undefined {
    const entry = this.#journal.entries.get(callId);
    return entry?.outcome === undefined ? undefined : describe(entry, entry.outcome);
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    await this.#results.close();
    await this.#journal.close();
  }

  async #end(
    callId: string,
    outcome: { kind: CallOutcome["kind"]; code?: ErrorCode; detail?: string },
    ttlMs: number,
  ): Promise<void> {
    const atMs = Date.now();
    await this.#journal.end(callId, { ...outcome, atMs, expiresAtMs: atMs + ttlMs });
  }

  async #sweep(): Promise<void> {
    await this.#results.sweep();
    await this.#journal.expireDue(Date.now());
  }
}

/** How long a call that was lost is remembered: as long as any answer could be. */
const LOST_TTL_MS = 7 * 24 * 3600 * 1000;

const STATE_OF_OUTCOME = {
  completed: "complete",
  failed: "failed",
  cancelled: "cancelled",
  lost: "lost",
} as const satisfies Record<CallOutcome["kind"], CallState>;

type EndedEntry = JournalEntry & { outcome: CallOutcome };

function hasEnded(entry: JournalEntry): entry is EndedEntry {
  return entry.outcome !== undefined;
}

type Placed = Pick<EndedCursor, "acceptedAtMs" | "callId">;

function newestFirst(a: Placed, b: Placed): number {
  if (a.acceptedAtMs !== b.acceptedAtMs) return b.acceptedAtMs - a.acceptedAtMs;
  if (a.callId === b.callId) return 0;
  return a.callId < b.callId ? 1 : -1;
}

function describe(
  { callId, endpoint, acceptedAtMs }: JournalEntry,
  outcome: CallOutcome,
): CallDescription {
  const state = STATE_OF_OUTCOME[outcome.kind];
  const atMs = outcome.atMs - acceptedAtMs;
  return {
    callId,
    endpoint,
    status: callStatus(state, outcome.code),
    durable: true,
    elapsedMs: atMs,
    timeline: [
      { state: "queued", atMs: 0 },
      { state, atMs },
    ],
  };
}

function failureOf({ kind, code, detail = "" }: CallOutcome): Failure {
  switch (kind) {
    case "failed":
      return { code: code ?? "origin_error", detail };
    case "cancelled":
      return { code: "call_lost", detail: "the call was cancelled" };
    case "lost":
      return { code: "call_lost", detail: "the agent that ran this call died" };
    case "completed":
      return { code: "result_expired", detail: "the answer is no longer kept" };
  }
}
