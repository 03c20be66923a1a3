/**
 * The format of a stored response in a file (docs/storage.md): a header of fixed size with lengths and checksums,
 * metadata as JSON, the body. A large response has a file of its own, with checksums of the body's blocks behind it.
 * Small ones stand one behind the other in a pack.
 */
import { crc32 } from "node:zlib";
import { KIB } from "../../../base/units.ts";
import { parseResponseHead, type ResponseHead } from "../../../routing/wire/heads.ts";
import { checksumsBytes } from "./body-blocks.ts";

/** `PSTR`, and the version of the format: in the second one the checksums of the blocks follow the body. */
const MAGIC = 0x50535452;
const VERSION = 1;
const VERSION_WITH_BLOCKS = 2;

export const RECORD_HEADER_BYTES = 48;

/** The header's own checksum covers these first bytes and follows them. */
export const CHECKED_HEADER_BYTES = 44;

/** 64 KiB of header lines as JSON, escaped at the worst, with room to spare. */
const MAX_META_BYTES = 512 * KIB;

export interface RecordHeader {
  /** Milliseconds since 1970. */
  completedAtMs: number;
  expiresAtMs: number;
  metaBytes: number;
  metaCrc: number;
  bodyBytes: number;
  /** Of a small body; 0 where its blocks have checksums. */
  bodyCrc: number;
  /** The checksums of the body's blocks stand behind it. */
  hasBlocks: boolean;
}

/** Whose response it is, and its head. */
export interface ResultMeta {
  callId: string;
  endpoint: string;
  head: ResponseHead;
}

/** The metadata as JSON: in a file a callId is the member `call`, as it was first published. */
interface MetaInFile {
  readonly call: string;
  readonly endpoint: string;
  readonly head: ResponseHead;
}

export function encodeHeader(header: RecordHeader): Buffer {
  const bytes = Buffer.alloc(RECORD_HEADER_BYTES);
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt32BE(header.hasBlocks ? VERSION_WITH_BLOCKS : VERSION, 4);
  bytes.writeDoubleBE(header.completedAtMs, 8);
  bytes.writeDoubleBE(header.expiresAtMs, 16);
  bytes.writeUInt32BE(header.metaBytes, 24);
  bytes.writeUInt32BE(header.metaCrc, 28);
  bytes.writeBigUInt64BE(BigInt(header.bodyBytes), 32);
  bytes.writeUInt32BE(header.bodyCrc, 40);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, CHECKED_HEADER_BYTES)), 44);
  return bytes;
}

/** The header at the beginning of `bytes`; undefined when none stands there whole. */
export function decodeHeader(bytes: Buffer): RecordHeader | undefined {
  if (bytes.length < RECORD_HEADER_BYTES) return undefined;
  const version = bytes.readUInt32BE(4);
  if (bytes.readUInt32BE(0) !== MAGIC) return undefined;
  if (version !== VERSION && version !== VERSION_WITH_BLOCKS) return undefined;
  if (bytes.readUInt32BE(CHECKED_HEADER_BYTES) !== crc32(bytes.subarray(0, CHECKED_HEADER_BYTES)))
    return undefined;
  const metaBytes = bytes.readUInt32BE(24);
  if (metaBytes > MAX_META_BYTES) return undefined;
  return {
    completedAtMs: bytes.readDoubleBE(8),
    expiresAtMs: bytes.readDoubleBE(16),
    metaBytes,
    metaCrc: bytes.readUInt32BE(28),
    bodyBytes: Number(bytes.readBigUInt64BE(32)),
    bodyCrc: bytes.readUInt32BE(40),
    hasBlocks: version === VERSION_WITH_BLOCKS,
  };
}

/** @throws RangeError when the response's headers are larger than any that pass */
export function encodeMeta({ callId, endpoint, head }: ResultMeta): Buffer {
  const inFile: MetaInFile = { call: callId, endpoint, head };
  const bytes = Buffer.from(JSON.stringify(inFile));
  if (bytes.length > MAX_META_BYTES) throw new RangeError("the response headers are too large");
  return bytes;
}

/** A record's metadata; undefined when it is damaged. */
export function decodeMeta(bytes: Buffer, header: RecordHeader): ResultMeta | undefined {
  if (bytes.length !== header.metaBytes || crc32(bytes) !== header.metaCrc) return undefined;
  const { call, endpoint, head } = JSON.parse(bytes.toString()) as MetaInFile;
  return { callId: call, endpoint, head: parseResponseHead(JSON.stringify(head)) };
}

/** Encodes a whole record, of a small response. */
export function encodeRecord(
  times: Pick<RecordHeader, "completedAtMs" | "expiresAtMs">,
  meta: Buffer,
  body: Uint8Array,
): { record: Buffer; header: RecordHeader } {
  const header: RecordHeader = {
    ...times,
    metaBytes: meta.length,
    metaCrc: crc32(meta),
    bodyBytes: body.length,
    bodyCrc: crc32(body),
    hasBlocks: false,
  };
  return { record: Buffer.concat([encodeHeader(header), meta, body]), header };
}

export function recordBytes({ metaBytes, bodyBytes, hasBlocks }: RecordHeader): number {
  const behindBody = hasBlocks ? checksumsBytes(bodyBytes) : 0;
  return RECORD_HEADER_BYTES + metaBytes + bodyBytes + behindBody;
}
