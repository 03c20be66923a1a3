/**
 * How the request of a durable call that waits stands in a file (docs/storage.md): records, one behind the
 * other. A record is four big-endian numbers of 32 bits (bytes and CRC-32 of the JSON, bytes and CRC-32 of the
 * body), the JSON, the body. The JSON has checksums of the blocks of a body that has more than one.
 */
import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import type { RequestHead } from "../../../routing/wire/heads.ts";
import { mendFlippedBit } from "../../../base/node/bit-repair.ts";
import { BLOCK_BYTES, BlockChecksums, mendBlocks } from "./body-blocks.ts";
import { type Files, isUnreadable, readAll } from "./files.ts";

const HEADER_BYTES = 16;

/** Where the lengths of JSON and body stand in the header. */
const LENGTHS_AT: readonly number[] = [0, 8];

/** A durable call that waits, with everything that is needed to run it. */
export interface WaitingCall {
  readonly head: RequestHead;
  readonly body: Uint8Array;
  /** Milliseconds that its stored response can be read. */
  readonly ttlMs: number;
  /** Its client waits for the response itself, and attaches at the next agent: without it the call ends. */
  readonly attached?: {
    /** As in `CallTerms`; null for no end, which JSON has no number for. */
    readonly graceMs: number | null;
  };
}

/** A call as it was found in a file. */
export interface FoundCall {
  readonly call: WaitingCall;
  /** Of its record. */
  readonly bytes: number;
}

export interface WaitingCallsReading {
  readonly found: readonly FoundCall[];
  /**
   * A record that stands whole in the file is not what was written, or the disk cannot read it: it and those behind it
   * are lost.
   */
  readonly isDamaged: boolean;
}

/** The JSON of a record. */
interface CallInFile extends Omit<WaitingCall, "body"> {
  /** Of the blocks of a body that has more than one, as base64. */
  readonly checksums?: string;
}

/**
 * Reads the calls of a file, up to the first record that is torn or damaged. One flipped bit of a record, or of each block
 * of a large body, is mended.
 */
export async function readWaitingCalls(files: Files, path: string): Promise<WaitingCallsReading> {
  const handle = await files.open(path, "r");
  const found: FoundCall[] = [];
  try {
    const { size } = await handle.stat();
    for (let offset = 0; offset + HEADER_BYTES <= size;) {
      const header = await readBytes(handle, offset, HEADER_BYTES);
      const call =
        (await readCall(handle, offset, header, size, mendWhole)) ??
        (await readByMendedLength(handle, offset, header, size));
      if (call === undefined) return { found, isDamaged: offset + recordBytes(header) <= size };
      found.push(call);
      offset += call.bytes;
    }
    return { found, isDamaged: false };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return { found, isDamaged: true };
  } finally {
    await handle.close();
  }
}

/** Whether these are the bytes of the checksum. @param checksums of the blocks of a large body, as base64 */
type ChecksumTest = (bytes: Buffer, checksum: number, checksums?: string) => boolean;

/** @returns undefined where the record does not end within the file, or is damaged */
async function readCall(
  handle: FileHandle,
  offset: number,
  header: Buffer,
  size: number,
  isWhole: ChecksumTest,
): Promise<FoundCall | undefined> {
  const bytes = recordBytes(header);
  if (offset + bytes > size) return undefined;
  const jsonBytes = header.readUInt32BE(0);
  const json = await readBytes(handle, offset + HEADER_BYTES, jsonBytes);
  const inFile = isWhole(json, header.readUInt32BE(4)) ? parsed(json) : undefined;
  if (inFile === undefined) return undefined;
  const { checksums, ...call } = inFile;
  const bodyAt = HEADER_BYTES + jsonBytes;
  const body = await readBytes(handle, offset + bodyAt, bytes - bodyAt);
  if (!isWhole(body, header.readUInt32BE(12), checksums)) return undefined;
  return { call: { ...call, body }, bytes };
}

/**
 * Reads a record of which one bit of a length is flipped. Where several would do, none is believed: a client that wrote
 * the body may have made it so, and the bytes behind it look like a record.
 */
async function readByMendedLength(
  handle: FileHandle,
  offset: number,
  header: Buffer,
  size: number,
): Promise<FoundCall | undefined> {
  const found: FoundCall[] = [];
  for (const at of LENGTHS_AT) {
    for (let bit = 0; bit < 32; bit += 1) {
      const mended = Buffer.from(header);
      mended.writeUInt32BE((header.readUInt32BE(at) ^ (1 << bit)) >>> 0, at);
      const call = await readCall(handle, offset, mended, size, isWhole);
      if (call !== undefined) found.push(call);
    }
  }
  return found.length === 1 ? found[0] : undefined;
}

function recordBytes(header: Buffer): number {
  return HEADER_BYTES + header.readUInt32BE(0) + header.readUInt32BE(8);
}

export function encodeWaitingCall({ body, ...call }: WaitingCall): Buffer {
  const inFile: CallInFile =
    body.length > BLOCK_BYTES ? { ...call, checksums: checksumsOf(body) } : call;
  const json = Buffer.from(JSON.stringify(inFile));
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(json.length, 0);
  header.writeUInt32BE(crc32(json), 4);
  header.writeUInt32BE(body.length, 8);
  header.writeUInt32BE(crc32(body), 12);
  return Buffer.concat([header, json, body]);
}

const isWhole: ChecksumTest = (bytes, checksum) => crc32(bytes) === checksum;

/** Mends one flipped bit of the bytes, of each of their blocks, or of the checksum. */
const mendWhole: ChecksumTest = (bytes, checksum, checksums) => {
  const difference = (crc32(bytes) ^ checksum) >>> 0;
  const isOneBitOfChecksum = (difference & (difference - 1)) === 0;
  if (isOneBitOfChecksum) return true;
  if (checksums === undefined) return mendFlippedBit(bytes, checksum) !== undefined;
  const blocks = mendBlocks(bytes, 0, Buffer.from(checksums, "base64"), bytes.length);
  return blocks !== undefined && crc32(bytes) === checksum;
};

function checksumsOf(body: Uint8Array): string {
  const checksums = new BlockChecksums();
  checksums.add(body);
  return checksums.encode().toString("base64");
}

function parsed(json: Buffer): CallInFile | undefined {
  try {
    return JSON.parse(json.toString()) as CallInFile;
  } catch {
    return undefined;
  }
}

async function readBytes(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  // A buffer of its own: it outlives this read.
  const bytes = Buffer.allocUnsafeSlow(length);
  await readAll(handle, bytes, offset);
  return bytes;
}
