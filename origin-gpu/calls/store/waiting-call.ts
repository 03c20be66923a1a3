/**
 * How the request of a durable call that waits stands in a file (docs/storage.md): records, one behind the
 * other. A record is four big-endian numbers of 32 bits (bytes and CRC-32 of the JSON, bytes and CRC-32 of the
 * body), the JSON, the body.
 */
import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import type { RequestHead } from "../../../routing/wire/heads.ts";
import { mendFlippedBit } from "../../../base/node/bit-repair.ts";
import { type Files, readAll } from "./files.ts";
import type { JournalEntry } from "./journal-record.ts";

const HEADER_BYTES = 16;

/** A durable call that waits, with everything that is needed to run it. */
export interface WaitingCall {
  readonly head: RequestHead;
  readonly body: Uint8Array;
  /** Milliseconds that its stored response can be read. */
  readonly ttlMs: number;
}

/** Sorts calls by when their clients began them, as the journal has it. */
export function inOrderOfArrival(
  calls: readonly WaitingCall[],
  entries: ReadonlyMap<string, JournalEntry>,
): WaitingCall[] {
  const arrivedAtMs = ({ head }: WaitingCall): number => {
    const entry = entries.get(head.callId);
    return entry?.openedAtMs ?? entry?.acceptedAtMs ?? Infinity;
  };
  // Two that are unknown would have no difference.
  return calls.toSorted((one, other) => arrivedAtMs(one) - arrivedAtMs(other) || 0);
}

/** A call as it was found in a file. */
export interface FoundCall {
  readonly call: WaitingCall;
  /** Of its record. */
  readonly bytes: number;
}

export interface WaitingCallsReading {
  readonly found: readonly FoundCall[];
  /** A record that stands whole in the file is not what was written: it and those behind it are lost. */
  readonly isDamaged: boolean;
}

/** Reads the calls of a file, up to the first record that is torn or damaged. One flipped bit is mended. */
export async function readWaitingCalls(files: Files, path: string): Promise<WaitingCallsReading> {
  const handle = await files.open(path, "r");
  try {
    const { size } = await handle.stat();
    const found: FoundCall[] = [];
    for (let offset = 0; offset + HEADER_BYTES <= size;) {
      const header = await readBytes(handle, offset, HEADER_BYTES);
      const jsonBytes = header.readUInt32BE(0);
      const bodyBytes = header.readUInt32BE(8);
      const bytes = HEADER_BYTES + jsonBytes + bodyBytes;
      if (offset + bytes > size) break;
      const json = await readBytes(handle, offset + HEADER_BYTES, jsonBytes);
      const body = await readBytes(handle, offset + HEADER_BYTES + jsonBytes, bodyBytes);
      if (!isWhole(json, header.readUInt32BE(4)) || !isWhole(body, header.readUInt32BE(12))) {
        return { found, isDamaged: true };
      }
      const call = { ...(JSON.parse(json.toString()) as Omit<WaitingCall, "body">), body };
      found.push({ call, bytes });
      offset += bytes;
    }
    return { found, isDamaged: false };
  } finally {
    await handle.close();
  }
}

export function encodeWaitingCall({ body, ...call }: WaitingCall): Buffer {
  const json = Buffer.from(JSON.stringify(call));
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(json.length, 0);
  header.writeUInt32BE(crc32(json), 4);
  header.writeUInt32BE(body.length, 8);
  header.writeUInt32BE(crc32(body), 12);
  return Buffer.concat([header, json, body]);
}

/** Whether these are the bytes of the checksum; mends one flipped bit of either. */
function isWhole(bytes: Buffer, checksum: number): boolean {
  const difference = (crc32(bytes) ^ checksum) >>> 0;
  const isOneBitOfChecksum = (difference & (difference - 1)) === 0;
  return isOneBitOfChecksum || mendFlippedBit(bytes, checksum) !== undefined;
}

async function readBytes(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  // A buffer of its own: it outlives this read.
  const bytes = Buffer.allocUnsafeSlow(length);
  await readAll(handle, bytes, offset);
  return bytes;
}
