/** The state that the journal's records make: entries by callId and by key, and how many have ended. Pure. */
import { OldestKey } from "../../../base/oldest-key.ts";
import type { CallOutcome, JournalEntry, JournalRecord } from "./journal-record.ts";

/** Different texts that are held once, however many entries have them. */
const MAX_SHARED_TEXTS = 10_000;

/** Of the room for ended calls with keys. */
const MAX_ENDPOINT_SHARE = 0.9;

export class JournalState {
  /** By callId, in the order of acceptance. */
  readonly #entries = new Map<string, JournalEntry>();
  readonly #callIdsByKey = new Map<string, string>();
  /** Names of endpoints, and details of failures. */
  readonly #sharedTexts = new Map<string, string>();
  readonly #maxEnded: number;
  #ended = 0;
  /** Ended calls without a key, by callId, in the order of their ends. */
  readonly #endedWithoutKey = new Set<string>();
  readonly #oldestWithoutKey = new OldestKey(this.#endedWithoutKey);
  /** By endpoint, how many ended calls with keys it has. */
  readonly #endedWithKey = new Map<string, number>();

  /** @param maxEnded ended calls that are remembered */
  constructor(maxEnded: number) {
    this.#maxEnded = maxEnded;
  }

  /** Every call that was accepted and has not expired, oldest first. */
  get entries(): ReadonlyMap<string, JournalEntry> {
    return this.#entries;
  }

  /** The call under a key. */
  byKey(key: string): JournalEntry | undefined {
    const callId = this.#callIdsByKey.get(key);
    return callId === undefined ? undefined : this.#entries.get(callId);
  }

  /** Whether another key may be remembered: calls without one make room. No endpoint can take all of the room. */
  hasRoomForKey(endpoint: string): boolean {
    const ofEndpoint = this.#endedWithKey.get(endpoint) ?? 0;
    const share = this.#maxEnded * MAX_ENDPOINT_SHARE;
    return this.#ended - this.#endedWithoutKey.size < this.#maxEnded && ofEndpoint < share;
  }

  /** The call to forget first, where more have ended than are remembered: the oldest one without a key. */
  get surplus(): string | undefined {
    if (this.#ended <= this.#maxEnded) return undefined;
    return this.#oldestWithoutKey.find();
  }

  /** Applying a record twice, or one of a call that is gone, has no effect: see `AppendLog.rewrite`. */
  apply(record: JournalRecord): void {
    const { callId } = record;
    const before = this.#entries.get(callId);
    if (record.kind === "accepted") {
      if (before !== undefined) return;
      const entry = { ...record.entry, endpoint: this.#shared(record.entry.endpoint) };
      if (entry.key !== undefined) this.#callIdsByKey.set(entry.key, callId);
      if (entry.outcome === undefined) this.#entries.set(callId, entry);
      else this.#end(entry, entry.outcome);
      return;
    }
    if (before === undefined) return;
    switch (record.kind) {
      case "fingerprinted":
        // A failure is told to every request under the key: its fingerprint is of no use, and is not kept.
        if (before.outcome !== undefined && before.outcome.kind !== "completed") return;
        this.#entries.set(callId, { ...before, fingerprint: record.fingerprint });
        return;
      case "started":
        this.#entries.set(callId, { ...before, startedAtMs: record.atMs });
        return;
      case "requeued":
        this.#entries.set(callId, { ...before, startedAtMs: undefined });
        return;
      case "ended":
        if (before.outcome === undefined) this.#end(before, record.outcome);
        return;
      case "expired":
        this.#entries.delete(callId);
        this.#freeKey(before);
        if (before.outcome !== undefined) this.#count(before, -1);
    }
  }

  /** Small: this is what is remembered of a call until it expires. */
  #end(entry: JournalEntry, { kind, atMs, expiresAtMs, code, detail }: CallOutcome): void {
    const keepsKey = kind !== "not_started";
    if (!keepsKey) this.#freeKey(entry);
    const ended = {
      ...entry,
      key: keepsKey ? entry.key : undefined,
      // A failure is told to every request under the key.
      fingerprint: kind === "completed" ? entry.fingerprint : undefined,
      outcome: {
        kind,
        atMs,
        expiresAtMs,
        code,
        detail: detail === undefined ? undefined : this.#shared(detail),
      },
    };
    this.#entries.set(entry.callId, ended);
    this.#count(ended, 1);
  }

  #freeKey({ callId, key }: JournalEntry): void {
    if (key !== undefined && this.#callIdsByKey.get(key) === callId) this.#callIdsByKey.delete(key);
  }

  #count({ callId, endpoint, key }: JournalEntry, by: 1 | -1): void {
    this.#ended += by;
    if (key !== undefined) {
      const count = (this.#endedWithKey.get(endpoint) ?? 0) + by;
      if (count === 0) this.#endedWithKey.delete(endpoint);
      else this.#endedWithKey.set(endpoint, count);
    } else if (by === 1) this.#endedWithoutKey.add(callId);
    else this.#endedWithoutKey.delete(callId);
  }

  #shared(text: string): string {
    const shared = this.#sharedTexts.get(text);
    if (shared !== undefined) return shared;
    if (this.#sharedTexts.size < MAX_SHARED_TEXTS) this.#sharedTexts.set(text, text);
    return text;
  }
}
