/** What the journal's records add up to: the entries by callId and by key, and how many have ended. Pure. */
import type { JournalEntry, JournalRecord } from "./journal-record.ts";

export class JournalState {
  /** By callId, in the order of acceptance. */
  readonly #entries = new Map<string, JournalEntry>();
  readonly #callIdsByKey = new Map<string, string>();
  /** One string for each endpoint's name, however many entries have it. */
  readonly #endpointNames = new Map<string, string>();
  readonly #maxEnded: number;
  #ended = 0;
  /** Ended calls without a key, by callId, in the order of their ends. */
  readonly #endedWithoutKey = new Set<string>();
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

  /** Whether another key may be remembered. One endpoint may take half of the room. */
  hasRoomForKey(endpoint: string): boolean {
    const ofEndpoint = this.#endedWithKey.get(endpoint) ?? 0;
    return this.#ended < this.#maxEnded && ofEndpoint * 2 < this.#maxEnded;
  }

  /** The call to forget first, where more have ended than are remembered: the oldest one without a key. */
  get surplus(): string | undefined {
    if (this.#ended <= this.#maxEnded) return undefined;
    const [oldest] = this.#endedWithoutKey;
    return oldest;
  }

  /** Applying a record twice, or one of a call that is gone, has no effect: see `AppendLog.rewrite`. */
  apply(record: JournalRecord): void {
    const { callId } = record;
    const before = this.#entries.get(callId);
    if (record.kind === "accepted") {
      if (before !== undefined) return;
      const { kind: _kind, ...accepted } = record;
      const entry = { ...accepted, endpoint: this.#endpointName(record.endpoint) };
      this.#entries.set(callId, entry);
      if (entry.key !== undefined) this.#callIdsByKey.set(entry.key, callId);
      if (entry.outcome !== undefined) this.#count(entry, 1);
      return;
    }
    if (before === undefined) return;
    switch (record.kind) {
      case "fingerprinted":
        this.#entries.set(callId, { ...before, fingerprint: record.fingerprint });
        return;
      case "started":
        this.#entries.set(callId, { ...before, startedAtMs: record.atMs });
        return;
      case "requeued": {
        const { startedAtMs: _startedAtMs, ...entry } = before;
        this.#entries.set(callId, entry);
        return;
      }
      case "ended": {
        if (before.outcome !== undefined) return;
        const { key, ...others } = before;
        const keepsKey = key !== undefined && record.outcome.kind !== "not_started";
        if (!keepsKey) this.#freeKey(before);
        const entry = { ...others, ...(keepsKey ? { key } : {}), outcome: record.outcome };
        this.#entries.set(callId, entry);
        this.#count(entry, 1);
        return;
      }
      case "expired":
        this.#entries.delete(callId);
        this.#freeKey(before);
        if (before.outcome !== undefined) this.#count(before, -1);
    }
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

  #endpointName(name: string): string {
    const known = this.#endpointNames.get(name);
    if (known === undefined) this.#endpointNames.set(name, name);
    return known ?? name;
  }
}
