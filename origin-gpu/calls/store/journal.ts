/**
 * The journal of kept calls: what was accepted, under which key, and how it ended. A call is written
 * here before its first byte reaches an app, so that after the agent's death nobody runs it again.
 * Answers are not its business (result-store.ts). Everything in it is also in memory, as `entries`.
 *
 * The file is text, one record a line: CRC-32 of the rest in 8 hex digits, a space, JSON. Replaying stops
 * at the first line that is torn: every prefix of the file is a state that the journal once was in.
 */
import { crc32 } from "node:zlib";
import type { ErrorCode } from "../../../routing/wire/errors.ts";
import { KIB, MIB } from "../../../routing/wire/limits.ts";
import { AppendLog } from "./append-log.ts";
import { type Files, isMissing, REAL_FILES } from "./files.ts";
import type { Fingerprint } from "../fingerprint.ts";

/** Below this size the file is never rewritten. */
const MIN_REWRITE_BYTES = MIB;

/** The rewritten file is written in pieces of about this size. */
const PIECE_BYTES = 64 * KIB;

/** Failures' explanations are cut here. */
const MAX_DETAIL_CHARACTERS = 500;

/** How a call ended. */
export interface Outcome {
  readonly kind: "completed" | "failed" | "cancelled" | "lost";
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** When nobody may ask for it any more; milliseconds since 1970. */
  readonly expiresAtMs: number;
  /** Where it failed. */
  readonly code?: ErrorCode;
  readonly detail?: string;
}

/** What is written of a call when it is accepted. */
export interface AcceptedCall {
  readonly call: string;
  readonly endpoint: string;
  /** Milliseconds since 1970. */
  readonly acceptedAtMs: number;
  /** SHA-256 of the key's scope, where the call has a key. */
  readonly key?: string;
  /** Where the body was whole by then. */
  readonly fingerprint?: Fingerprint;
}

/** A call, from its acceptance until it expires. */
export interface JournalEntry extends AcceptedCall {
  readonly outcome?: Outcome;
}

type JournalRecord =
  | ({ readonly kind: "accepted" } & JournalEntry)
  | { readonly kind: "fingerprinted"; readonly call: string; readonly fingerprint: Fingerprint }
  | { readonly kind: "ended"; readonly call: string; readonly outcome: Outcome }
  | { readonly kind: "expired"; readonly call: string };

export class Journal {
  readonly #entries = new Map<string, JournalEntry>();
  readonly #callsByKey = new Map<string, string>();
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
    const call = this.#callsByKey.get(key);
    return call === undefined ? undefined : this.#entries.get(call);
  }

  /**
   * Accepts a call: it has an entry at once, and may be given to an app when this resolves.
   * @throws when it could not be written (`isNoSpace` tells a full disk): then it has no entry
   */
  async accept(call: AcceptedCall): Promise<void> {
    if (this.#entries.has(call.call))
      throw new Error(`call ${call.call} is in the journal already`);
    try {
      await this.#append({ kind: "accepted", ...call });
    } catch (error) {
      this.#apply({ kind: "expired", call: call.call });
      throw error;
    }
  }

  /** The body of a call under a key is whole now. */
  async fingerprinted(call: string, fingerprint: Fingerprint): Promise<void> {
    if (!this.#entries.has(call)) return;
    await this.#append({ kind: "fingerprinted", call, fingerprint });
  }

  /** A call ended. The first outcome stays: one that comes later is ignored. */
  async end(call: string, outcome: Outcome): Promise<void> {
    const entry = this.#entries.get(call);
    if (entry === undefined || entry.outcome !== undefined) return;
    const detail = outcome.detail?.slice(0, MAX_DETAIL_CHARACTERS);
    const bounded = detail === undefined ? outcome : { ...outcome, detail };
    await this.#append({ kind: "ended", call, outcome: bounded });
  }

  /** Forgets a call and frees its key: its answer expired, or its body never arrived. */
  async expire(call: string): Promise<void> {
    if (!this.#entries.has(call)) return;
    await this.#append({ kind: "expired", call });
  }

  /** Forgets every call whose time is over. @returns them */
  async expireDue(nowMs: number): Promise<string[]> {
    const due: string[] = [];
    for (const { call, outcome } of this.#entries.values()) {
      if (outcome !== undefined && outcome.expiresAtMs <= nowMs) due.push(call);
    }
    await Promise.all(due.map((call) => this.expire(call)));
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
    await this.#log.append(encode(record));
  }

  /** Applying a record twice, or one of a call that is gone, changes nothing: see `AppendLog.rewrite`. */
  #apply(record: JournalRecord): void {
    const { call } = record;
    const before = this.#entries.get(call);
    switch (record.kind) {
      case "accepted": {
        if (before !== undefined) return;
        const { kind: _kind, ...entry } = record;
        this.#entries.set(call, entry);
        if (entry.key !== undefined) this.#callsByKey.set(entry.key, call);
        return;
      }
      case "fingerprinted":
        if (before === undefined) return;
        this.#entries.set(call, { ...before, fingerprint: record.fingerprint });
        return;
      case "ended":
        if (before === undefined) return;
        this.#entries.set(call, { ...before, outcome: record.outcome });
        return;
      case "expired": {
        this.#entries.delete(call);
        const key = before?.key;
        if (key !== undefined && this.#callsByKey.get(key) === call) this.#callsByKey.delete(key);
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
    piece += encodeText({ kind: "accepted", ...entry });
    if (piece.length < PIECE_BYTES) continue;
    yield Buffer.from(piece);
    piece = "";
  }
  yield Buffer.from(piece);
}

function encode(record: JournalRecord): Uint8Array {
  return Buffer.from(encodeText(record));
}

function encodeText(record: JournalRecord): string {
  const json = JSON.stringify(record);
  return `${checksum(json)} ${json}\n`;
}

function checksum(data: string | Uint8Array): string {
  return crc32(data).toString(16).padStart(8, "0");
}

/** The records up to the first line that is torn, and where that line begins. */
function readRecords(bytes: Buffer): { records: JournalRecord[]; end: number } {
  const records: JournalRecord[] = [];
  let end = 0;
  for (;;) {
    const newline = bytes.indexOf("\n", end);
    if (newline === -1) break;
    const record = decode(bytes.subarray(end, newline));
    if (record === "torn") break;
    if (record !== "unknown") records.push(record);
    end = newline + 1;
  }
  return { records, end };
}

/** A line whose checksum is right was written by a journal; a newer one may know more kinds of records. */
function decode(line: Buffer): JournalRecord | "torn" | "unknown" {
  const json = line.subarray(9);
  if (line.toString("latin1", 0, 9) !== `${checksum(json)} `) return "torn";
  const record = JSON.parse(json.toString()) as JournalRecord;
  return KINDS.has(record.kind) ? record : "unknown";
}

const KINDS: ReadonlySet<string> = new Set<JournalRecord["kind"]>([
  "accepted",
  "fingerprinted",
  "ended",
  "expired",
]);

async function readIfThere(files: Files, path: string): Promise<Buffer> {
  try {
    return await files.readFile(path);
  } catch (error) {
    if (isMissing(error)) return Buffer.alloc(0);
    throw error;
  }
}
