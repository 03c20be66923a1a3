/**
 * The journal of kept calls: what was accepted, under which key, and how it ended. A call is written
 * here before its first byte reaches an app, so that after the agent's death nobody runs it again.
 * Answers are not its business (result-store.ts). Everything in it is also in memory, as `entries`.
 *
 * The file is text, one record a line: CRC-32 of the rest in 8 hex digits, a space, JSON. Replaying stops
 * at the first line that is torn: every prefix of the file is a state that the journal once was in.
 */
import { KIB, MIB } from "../../../routing/wire/limits.ts";
import { AppendLog } from "./append-log.ts";
import { type Files, isMissing, REAL_FILES } from "./files.ts";
import type { Fingerprint } from "../fingerprint.ts";
import {
  type AcceptedCall,
  type CallOutcome,
  decodeLine,
  encodeLine,
  type JournalEntry,
  type JournalRecord,
} from "./journal-record.ts";

/** Below this size the file is never rewritten. */
const MIN_REWRITE_BYTES = MIB;

/** The rewritten file is written in pieces of about this size. */
const PIECE_BYTES = 64 * KIB;

/** Failures' explanations are cut here. */
const MAX_DETAIL_CHARACTERS = 500;

export class Journal {
  readonly #entries = new Map<string, JournalEntry>();
  readonly #callIdsByKey = new Map<string, string>();
  readonly #log: AppendLog;
  readonly #minRewriteBytes: number;
  #rewriteAboveBytes: number;
  #rewriting = false;

  private constructor(log: AppendLog, minRewriteBytes: number) {
    this.#log = log;
    this.#minRewriteBytes = minRewriteBytes;
    this.#rewriteAboveBytes = Math.max(minRewriteBytes, 2 * log.size);
  }

  /** Reads the journal at `path`, or begins one. A torn end is torn off. */
  static async open(
    path: string,
    { files = REAL_FILES, minRewriteBytes = MIN_REWRITE_BYTES }: JournalOptions = {},
  ): Promise<Journal> {
    const bytes = await readIfThere(files, path);
    const { records, end } = readRecords(bytes);
    const journal = new Journal(await AppendLog.open(files, path, end), minRewriteBytes);
    for (const record of records) journal.#apply(record);
    return journal;
  }

  /** Every call that was accepted and has not expired, oldest first. */
  get entries(): ReadonlyMap<string, JournalEntry> {
    return this.#entries;
  }

  /** Bytes of the file. */
  get sizeBytes(): number {
    return this.#log.size;
  }

  /** The call under a key. */
  byKey(key: string): JournalEntry | undefined {
    const callId = this.#callIdsByKey.get(key);
    return callId === undefined ? undefined : this.#entries.get(callId);
  }

  /**
   * Accepts a call: it has an entry at once, and may be given to an app when this resolves.
   * @throws when it could not be written (`isNoSpace` tells a full disk): then it has no entry
   */
  async accept(call: AcceptedCall): Promise<void> {
    if (this.#entries.has(call.callId))
      throw new Error(`call ${call.callId} is in the journal already`);
    try {
      await this.#append({ kind: "accepted", ...call });
    } catch (error) {
      this.#apply({ kind: "expired", callId: call.callId });
      throw error;
    }
  }

  /** The body of a call under a key is whole now. */
  async addFingerprint(callId: string, fingerprint: Fingerprint): Promise<void> {
    if (!this.#entries.has(callId)) return;
    await this.#append({ kind: "fingerprinted", callId, fingerprint });
  }

  /** A call ended. The first outcome stays: one that comes later is ignored. */
  async end(callId: string, outcome: CallOutcome): Promise<void> {
    const entry = this.#entries.get(callId);
    if (entry === undefined || entry.outcome !== undefined) return;
    const detail = outcome.detail?.slice(0, MAX_DETAIL_CHARACTERS);
    const bounded = detail === undefined ? outcome : { ...outcome, detail };
    await this.#append({ kind: "ended", callId, outcome: bounded });
  }

  /** Forgets a call and frees its key: its answer expired, or its body never arrived. */
  async expire(callId: string): Promise<void> {
    if (!this.#entries.has(callId)) return;
    await this.#append({ kind: "expired", callId });
  }

  /** Forgets every call whose time is over. @returns them */
  async expireDue(nowMs: number): Promise<string[]> {
    const due: string[] = [];
    for (const { callId, outcome } of this.#entries.values()) {
      if (outcome !== undefined && outcome.expiresAtMs <= nowMs) due.push(callId);
    }
    await Promise.all(due.map((callId) => this.expire(callId)));
    return due;
  }

  /** Waits for what is under way, and closes the file. */
  async close(): Promise<void> {
    await this.#log.close();
  }

  async #append(record: JournalRecord): Promise<void> {
    this.#apply(record);
    // Before the record, so that a broken file is whole again when its turn comes.
    this.#rewriteIfDue();
    await this.#log.append(Buffer.from(encodeLine(record)));
  }

  /** Applying a record twice, or one of a call that is gone, changes nothing: see `AppendLog.rewrite`. */
  #apply(record: JournalRecord): void {
    const { callId } = record;
    const before = this.#entries.get(callId);
    switch (record.kind) {
      case "accepted": {
        if (before !== undefined) return;
        const { kind: _kind, ...entry } = record;
        this.#entries.set(callId, entry);
        if (entry.key !== undefined) this.#callIdsByKey.set(entry.key, callId);
        return;
      }
      case "fingerprinted":
        if (before === undefined) return;
        this.#entries.set(callId, { ...before, fingerprint: record.fingerprint });
        return;
      case "ended":
        if (before === undefined) return;
        this.#entries.set(callId, { ...before, outcome: record.outcome });
        return;
      case "expired": {
        this.#entries.delete(callId);
        const key = before?.key;
        if (key !== undefined && this.#callIdsByKey.get(key) === callId)
          this.#callIdsByKey.delete(key);
      }
    }
  }

  /** Half of the file may be history: beyond that it is written anew, as the present alone. */
  #rewriteIfDue(): void {
    const due = this.#log.broken || this.#log.size > this.#rewriteAboveBytes;
    if (this.#rewriting || !due) return;
    this.#rewriting = true;
    void this.#log
      .rewrite(() => pieces(this.#entries.values()))
      // A full disk: the old file goes on, and the next attempt comes when it has grown as much again.
      .catch(() => undefined)
      .then(() => {
        this.#rewriteAboveBytes = Math.max(this.#minRewriteBytes, 2 * this.#log.size);
        this.#rewriting = false;
      });
  }
}

export interface JournalOptions {
  files?: Files;
  minRewriteBytes?: number;
}

function* pieces(entries: Iterable<JournalEntry>): Generator<Uint8Array> {
  let piece = "";
  for (const entry of entries) {
    piece += encodeLine({ kind: "accepted", ...entry });
    if (piece.length < PIECE_BYTES) continue;
    yield Buffer.from(piece);
    piece = "";
  }
  yield Buffer.from(piece);
}

/** The records up to the first line that is torn, and where that line begins. */
function readRecords(bytes: Buffer): { records: JournalRecord[]; end: number } {
  const records: JournalRecord[] = [];
  let end = 0;
  for (;;) {
    const newline = bytes.indexOf("\n", end);
    if (newline === -1) break;
    const record = decodeLine(bytes.subarray(end, newline));
    if (record === "damaged") break;
    if (record !== "unknown") records.push(record);
    end = newline + 1;
  }
  return { records, end };
}

async function readIfThere(files: Files, path: string): Promise<Buffer> {
  try {
    return await files.readFile(path);
  } catch (error) {
    if (isMissing(error)) return Buffer.alloc(0);
    throw error;
  }
}
