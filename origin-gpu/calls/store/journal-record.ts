/**
 * The format of the journal's file (docs/storage.md): text, one record a line. A line is the CRC-32 of the JSON in 8
 * hex digits, a space, the JSON and a newline. In the file a callId is the member `call`, as it was first published.
 */
import type { ErrorCode } from "../../../routing/wire/errors.ts";
import type { Fingerprint } from "../fingerprint.ts";
import { checkedLine, mendCheckedLine, readCheckedLine } from "./checked-line.ts";

/** How a durable call ended. */
export interface CallOutcome {
  readonly kind:
    | "completed"
    | "failed"
    | "cancelled"
    /** The agent that ran it ended; the app may have begun. */
    | "lost"
    /** The agent ended before the call began. Its key is free. */
    | "not_started";
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** When its key is free and the call is forgotten; milliseconds since 1970. */
  readonly expiresAtMs: number;
  /** Where it failed. */
  readonly code?: ErrorCode | undefined;
  readonly detail?: string | undefined;
}

/** The record of a call that is written when the call is accepted. */
export interface AcceptedCall {
  readonly callId: string;
  readonly endpoint: string;
  /** Milliseconds since 1970. */
  readonly acceptedAtMs: number;
  /** When the client began the call, where that was earlier: it became durable on its way. */
  readonly openedAtMs?: number | undefined;
  /** Of its request; an older agent did not write them. */
  readonly method?: string | undefined;
  /** Without the query, cut to a length for lists. */
  readonly path?: string | undefined;
  /** SHA-256 of the key's scope, where the call has a key. */
  readonly key?: string | undefined;
  /** Where the body was whole by then. */
  readonly fingerprint?: Fingerprint | undefined;
  /** Where an app may have a byte of its request; milliseconds since 1970. */
  readonly startedAtMs?: number | undefined;
}

/** A call, from its acceptance until it expires. */
export interface JournalEntry extends AcceptedCall {
  readonly outcome?: CallOutcome | undefined;
}

/** The call is accepted, and has not ended. */
export function isOpen(entry: JournalEntry | undefined): entry is JournalEntry {
  return entry !== undefined && entry.outcome === undefined;
}

/** The call is accepted, and has neither started nor ended. */
export function isWaiting(entry: JournalEntry | undefined): entry is JournalEntry {
  return isOpen(entry) && entry.startedAtMs === undefined;
}

export type JournalRecord =
  | { readonly kind: "accepted"; readonly callId: string; readonly entry: JournalEntry }
  | { readonly kind: "fingerprinted"; readonly callId: string; readonly fingerprint: Fingerprint }
  /** An app may have a byte of its request from here on. */
  | { readonly kind: "started"; readonly callId: string; readonly atMs: number }
  /** Its start is withdrawn: no byte of its request reached an app. */
  | { readonly kind: "requeued"; readonly callId: string }
  | { readonly kind: "ended"; readonly callId: string; readonly outcome: CallOutcome }
  | { readonly kind: "expired"; readonly callId: string };

const KINDS: ReadonlySet<string> = new Set<JournalRecord["kind"]>([
  "accepted",
  "fingerprinted",
  "started",
  "requeued",
  "ended",
  "expired",
]);

/** The record as a line, with its newline. */
export function encodeLine(record: JournalRecord): string {
  const { callId: call, ...rest } = record.kind === "accepted" ? record.entry : record;
  const json = JSON.stringify({ kind: record.kind, call, ...rest });
  return checkedLine(json);
}

/** A line's record. `damaged`: the checksum does not match. `unknown`: a kind of record that a newer agent writes. */
export type DecodedLine = JournalRecord | "damaged" | "unknown";

/** Reads a line without its newline. */
export function decodeLine(line: Buffer): DecodedLine {
  const json = readCheckedLine(line);
  return json === undefined ? "damaged" : parse(json);
}

/** Reads a damaged line, where one flipped bit is what damaged it. */
export function decodeFlippedLine(line: Buffer): DecodedLine {
  const json = mendCheckedLine(line);
  return json === undefined ? "damaged" : parse(json);
}

function parse(json: Buffer): DecodedLine {
  const inFile = JSON.parse(json.toString()) as RecordInFile;
  if (inFile.kind === "accepted") {
    return { kind: "accepted", callId: inFile.call, entry: entryOf(inFile) };
  }
  const { call: callId, ...record } = inFile;
  return KINDS.has(record.kind) ? ({ callId, ...record } as JournalRecord) : "unknown";
}

type RecordInFile = { kind: string; call: string } & Omit<JournalEntry, "callId">;

/** One literal, so that all entries have one hidden class: half a million of them may be in memory. */
function entryOf(record: RecordInFile): JournalEntry {
  const { call: callId, endpoint, acceptedAtMs, openedAtMs, method, path, key } = record;
  const { fingerprint, startedAtMs, outcome } = record;
  return {
    callId,
    endpoint,
    acceptedAtMs,
    openedAtMs,
    method,
    path,
    key,
    fingerprint,
    startedAtMs,
    outcome,
  };
}
