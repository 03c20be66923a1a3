/**
 * The journal of durable calls: which were accepted, under which key, which have started, and how they
 * ended. A call stands here before its first byte reaches an app, so that after the agent's death no agent
 * runs it again. Responses are in the result store. Every entry is also in memory.
 *
 * The format is journal-record.ts's. Every prefix of the file is a state that the journal once was in.
 */
import { KIB, MIB } from "../../../base/units.ts";
import type { Fingerprint } from "../fingerprint.ts";
import { AppendLog } from "./append-log.ts";
import { type Files, linkAside, REAL_FILES } from "./files.ts";
import { type JournalReading, readJournal } from "./journal-reader.ts";
import {
  type AcceptedCall,
  type CallOutcome,
  encodeLine,
  type JournalEntry,
  type JournalRecord,
} from "./journal-record.ts";
import { JournalState } from "./journal-state.ts";

/** Below this size the file is never rewritten. */
const MIN_REWRITE_BYTES = MIB;

/** The rewritten file is written in pieces of about this size. */
const PIECE_BYTES = 64 * KIB;

/** Details of failures are cut here. */
const MAX_DETAIL_CHARACTERS = 200;

/**
 * Ended calls that are remembered: some 250 MB. Beyond that number calls without a key are forgotten first,
 * and new keys are refused: a key that is forgotten early would run again.
 */
const MAX_ENDED = 500_000;

/** The journal remembers as many ended calls as it may: it accepts no further key. */
export class JournalFullError extends Error {}

export interface JournalOptions {
  files?: Files;
  minRewriteBytes?: number;
  maxEnded?: number;
  /** Called when the file was damaged. */
  onDamaged?: (damage: JournalDamage) => void;
}

/** The damage that opening a journal found. */
export interface JournalDamage extends Pick<JournalReading, "mended" | "lost"> {
  /** The file as it was found; undefined where it could not be put aside. */
  readonly asidePath: string | undefined;
}

export class Journal {
  readonly #state: JournalState;
  readonly #log: AppendLog;
  readonly #minRewriteBytes: number;
  #rewriteAboveBytes = 0;
  #rewriting = false;

  private constructor(state: JournalState, log: AppendLog, minRewriteBytes: number) {
    this.#state = state;
    this.#log = log;
    this.#minRewriteBytes = minRewriteBytes;
    this.#planRewrite(log.size);
  }

  /**
   * Reads the journal at `path`, or begins one. A torn end is cut off. A file that is damaged before its end
   * is put aside as `<path>.damaged`, and the journal is written anew.
   */
  static async open(path: string, options: JournalOptions = {}): Promise<Journal> {
    const { files = REAL_FILES, minRewriteBytes = MIN_REWRITE_BYTES, onDamaged } = options;
    const state = new JournalState(options.maxEnded ?? MAX_ENDED);
    let records = 0;
    const { size, end, mended, lost } = await readJournal(files, path, (record) => {
      records += 1;
      state.apply(record);
      // Here, so that a file with millions of ended calls takes the memory of those that are remembered.
      const { surplus } = state;
      if (surplus !== undefined) state.apply({ kind: "expired", callId: surplus });
    });
    const damaged = mended + lost > 0;
    const asidePath = damaged ? await linkAside(files, path, `${path}.damaged`) : undefined;
    // The file that was put aside is this file until it is rewritten: then nothing of it is cut off.
    const log = await AppendLog.open(files, path, damaged ? size : end);
    const journal = new Journal(state, log, minRewriteBytes);
    if (damaged) {
      await journal.#rewrite();
      onDamaged?.({ mended, lost, asidePath });
    } else if (records > 2 * state.entries.size) journal.#rewriteAboveBytes = minRewriteBytes;
    return journal;
  }

  /** Every call that was accepted and has not expired, oldest first. */
  get entries(): ReadonlyMap<string, JournalEntry> {
    return this.#state.entries;
  }

  /** Bytes of the file. */
  get sizeBytes(): number {
    return this.#log.size;
  }

  /** The call under a key. */
  byKey(key: string): JournalEntry | undefined {
    return this.#state.byKey(key);
  }

  /**
   * Accepts a call. It has an entry at once, and may be given to an app when this resolves.
   * @throws JournalFullError for a key; another error when the record could not be written (`isNoSpace`
   * tells a full disk). Then the call has no entry.
   */
  async accept(call: AcceptedCall): Promise<void> {
    const { callId, endpoint, key } = call;
    if (this.entries.has(callId)) throw new Error(`call ${callId} is in the journal already`);
    if (key !== undefined && !this.#state.hasRoomForKey(endpoint)) {
      throw new JournalFullError("as many calls with keys have ended as are remembered");
    }
    try {
      await this.#append({ kind: "accepted", callId, entry: call });
    } catch (error) {
      this.#state.apply({ kind: "expired", callId });
      throw error;
    }
  }

  /** The body of a call under a key is whole: records what it was. */
  async addFingerprint(callId: string, fingerprint: Fingerprint): Promise<void> {
    if (!this.entries.has(callId)) return;
    await this.#append({ kind: "fingerprinted", callId, fingerprint });
  }

  /**
   * Records that an app may have the call's first byte from here on.
   * @throws when it could not be written: then the call must not be given to an app
   */
  async start(callId: string, atMs: number): Promise<void> {
    if (!this.entries.has(callId)) return;
    try {
      await this.#append({ kind: "started", callId, atMs });
    } catch (error) {
      this.#state.apply({ kind: "requeued", callId });
      throw error;
    }
  }

  /** Withdraws `start`: no byte of the call reached an app. */
  async requeue(callId: string): Promise<void> {
    if (this.entries.get(callId)?.startedAtMs === undefined) return;
    await this.#append({ kind: "requeued", callId });
  }

  /** Records how a call ended. The first outcome stays: a later one has no effect. */
  async end(callId: string, outcome: CallOutcome): Promise<void> {
    const entry = this.entries.get(callId);
    if (entry === undefined || entry.outcome !== undefined) return;
    const detail = outcome.detail?.slice(0, MAX_DETAIL_CHARACTERS);
    const bounded = detail === undefined ? outcome : { ...outcome, detail };
    const writes = [this.#append({ kind: "ended", callId, outcome: bounded })];
    for (let surplus = this.#state.surplus; surplus !== undefined; surplus = this.#state.surplus) {
      writes.push(this.#append({ kind: "expired", callId: surplus }));
    }
    await Promise.all(writes);
  }

  /** Forgets a call and frees its key: its time is over, or it certainly never ran. */
  async expire(callId: string): Promise<void> {
    if (!this.entries.has(callId)) return;
    await this.#append({ kind: "expired", callId });
  }

  /** Forgets every call whose time is over. @returns their callIds */
  async expireDue(nowMs: number): Promise<string[]> {
    const due: string[] = [];
    for (const { callId, outcome } of this.entries.values()) {
      if (outcome !== undefined && outcome.expiresAtMs <= nowMs) due.push(callId);
    }
    await Promise.all(due.map((callId) => this.expire(callId)));
    return due;
  }

  /** Waits for writes that are under way, and closes the file. */
  async close(): Promise<void> {
    await this.#log.close();
  }

  async #append(record: JournalRecord): Promise<void> {
    this.#state.apply(record);
    // Before the record, so that a broken file is whole again when the record's turn comes.
    const due = this.#log.broken || this.#log.size > this.#rewriteAboveBytes;
    if (due && !this.#rewriting) void this.#rewrite();
    await this.#log.append(Buffer.from(encodeLine(record)));
  }

  /** Writes the file anew, as the present alone. Never rejects. */
  async #rewrite(): Promise<void> {
    this.#rewriting = true;
    try {
      await this.#log.rewrite(() => pieces(this.entries.values()));
    } catch {
      // A full disk: the old file goes on, and the next attempt comes when it has grown as much again.
    }
    this.#planRewrite(this.#log.size);
    this.#rewriting = false;
  }

  /** Half of the file may be history. */
  #planRewrite(presentBytes: number): void {
    this.#rewriteAboveBytes = Math.max(this.#minRewriteBytes, 2 * presentBytes);
  }
}

function* pieces(entries: Iterable<JournalEntry>): Generator<Uint8Array> {
  let piece = "";
  for (const entry of entries) {
    piece += encodeLine({ kind: "accepted", callId: entry.callId, entry });
    if (piece.length < PIECE_BYTES) continue;
    yield Buffer.from(piece);
    piece = "";
  }
  yield Buffer.from(piece);
}

/** One line for the operator. */
export function describeDamage({ mended, lost, asidePath }: JournalDamage): string {
  const aside = asidePath === undefined ? "" : `; the file as it was found is ${asidePath}`;
  return `postern: the journal was damaged: ${mended} records mended, ${lost} places lost${aside}`;
}
