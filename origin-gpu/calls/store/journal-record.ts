/**
 * How the journal's records stand in its file (docs/storage.md): text, one record a line: the CRC-32 of the
 * JSON in 8 hex digits, a space, JSON, a newline. In the file a callId is the member `call`, as it was first
 * published.
 */
import { crc32 } from "node:zlib";
import type { ErrorCode } from "../../../routing/wire/errors.ts";
import type { Fingerprint } from "../fingerprint.ts";

/** How a durable call ended. */
export interface CallOutcome {
  readonly kind: "completed" | "failed" | "cancelled" | "lost";
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** When its key is free and the call is forgotten; milliseconds since 1970. */
  readonly expiresAtMs: number;
  /** Where it failed. */
  readonly code?: ErrorCode;
  readonly detail?: string;
}

/** What is written of a call when it is accepted. */
export interface AcceptedCall {
  readonly callId: string;
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
  readonly outcome?: CallOutcome;
}

export type JournalRecord =
  | ({ readonly kind: "accepted" } & JournalEntry)
  | { readonly kind: "fingerprinted"; readonly callId: string; readonly fingerprint: Fingerprint }
  | { readonly kind: "ended"; readonly callId: string; readonly outcome: CallOutcome }
  | { readonly kind: "expired"; readonly callId: string };

const KINDS: ReadonlySet<string> = new Set<JournalRecord["kind"]>([
  "accepted",
  "fingerprinted",
  "ended",
  "expired",
]);

/** The record as a line, with its newline. */
export function encodeLine({ kind, callId, ...rest }: JournalRecord): string {
  const json = JSON.stringify({ kind, call: callId, ...rest });
  return `${checksum(json)} ${json}\n`;
}

/**
 * Reads a line without its newline.
 * @returns `unknown` for a record of a kind that a newer agent writes
 */
export function decodeLine(line: Buffer): JournalRecord | "damaged" | "unknown" {
  const json = line.subarray(CHECKSUM_CHARACTERS);
  if (line.toString("latin1", 0, CHECKSUM_CHARACTERS) !== `${checksum(json)} `) return "damaged";
  const { call: callId, ...record } = JSON.parse(json.toString()) as { kind: string; call: string };
  return KINDS.has(record.kind) ? ({ callId, ...record } as JournalRecord) : "unknown";
}

/** Eight digits and a space. */
const CHECKSUM_CHARACTERS = 9;

function checksum(data: string | Uint8Array): string {
  return crc32(data).toString(16).padStart(8, "0");
}
