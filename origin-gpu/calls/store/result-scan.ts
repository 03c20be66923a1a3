/** Finds whole records in the bytes of a result file, and mends single flipped bits on the way. */
import { crc32 } from "node:zlib";
import { mendFlippedBit } from "../../../base/node/bit-repair.ts";
import {
  CHECKED_HEADER_BYTES,
  decodeHeader,
  decodeMeta,
  RECORD_HEADER_BYTES,
  recordBytes,
  type RecordHeader,
  type ResultMeta,
} from "./result-record.ts";

/** A record that was found whole. */
export interface FoundRecord {
  readonly offset: number;
  readonly header: RecordHeader;
  readonly meta: ResultMeta;
}

export interface PackReading {
  readonly found: FoundRecord[];
  /** Behind the last record whose header is whole. */
  readonly end: number;
  /** Places where records are lost. */
  readonly lost: number;
}

/**
 * The bytes of a result file, from its first one on. Mending changes `bytes` in place; `mended` has the
 * offsets, for the file.
 */
export class ResultScan {
  readonly bytes: Buffer;
  readonly mended: number[] = [];

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** The header at this offset; undefined when none stands there whole. */
  headerAt(offset: number): RecordHeader | undefined {
    const bytes = this.bytes.subarray(offset, offset + RECORD_HEADER_BYTES);
    if (bytes.length < RECORD_HEADER_BYTES) return undefined;
    return decodeHeader(bytes) ?? this.#mendedHeader(bytes, offset);
  }

  /** The metadata behind the header at this offset; undefined when it is damaged. */
  metaAt(offset: number, header: RecordHeader): ResultMeta | undefined {
    const start = offset + RECORD_HEADER_BYTES;
    const end = start + header.metaBytes;
    if (!this.#isWhole(start, end, header.metaCrc)) return undefined;
    return decodeMeta(this.bytes.subarray(start, end), header);
  }

  /**
   * Reads the bytes as a pack. A record whose content is damaged is skipped. Behind a damaged header no
   * record can be trusted: what looks like one may be bytes of a response's body.
   */
  readPack(): PackReading {
    const found: FoundRecord[] = [];
    let lost = 0;
    let offset = 0;
    while (offset < this.bytes.length) {
      const header = this.headerAt(offset);
      const end = header === undefined ? Infinity : offset + recordBytes(header);
      if (header === undefined || end > this.bytes.length) {
        if (!this.#isTornAt(offset, header)) lost += 1;
        break;
      }
      const meta = this.metaAt(offset, header);
      const bodyStart = offset + RECORD_HEADER_BYTES + header.metaBytes;
      if (meta !== undefined && this.#isWhole(bodyStart, end, header.bodyCrc)) {
        found.push({ offset, header, meta });
      } else lost += 1;
      offset = end;
    }
    return { found, end: offset, lost };
  }

  #mendedHeader(bytes: Buffer, offset: number): RecordHeader | undefined {
    const content = bytes.subarray(0, CHECKED_HEADER_BYTES);
    const checksum = bytes.readUInt32BE(CHECKED_HEADER_BYTES);
    const difference = (crc32(content) ^ checksum) >>> 0;
    // One bit of the checksum itself.
    if (difference !== 0 && (difference & (difference - 1)) === 0) {
      bytes.writeUInt32BE(crc32(content), CHECKED_HEADER_BYTES);
      this.mended.push(offset + CHECKED_HEADER_BYTES + (Math.clz32(difference) >> 3));
      return decodeHeader(bytes);
    }
    const byte = mendFlippedBit(content, checksum);
    if (byte === undefined) return undefined;
    this.mended.push(offset + byte);
    return decodeHeader(bytes);
  }

  #isWhole(start: number, end: number, checksum: number): boolean {
    const content = this.bytes.subarray(start, end);
    if (crc32(content) === checksum) return true;
    const byte = mendFlippedBit(content, checksum);
    if (byte !== undefined) this.mended.push(start + byte);
    return byte !== undefined;
  }

  /**
   * Whether what stands here, where no record is whole, is the beginning of one that was never written to its
   * end: nothing else is behind it, or zeros that the file system made.
   */
  #isTornAt(offset: number, header: RecordHeader | undefined): boolean {
    if (this.#hasHeaderBehind(offset)) return false;
    if (header !== undefined) return true;
    let end = this.bytes.length;
    while (end > offset && this.bytes[end - 1] === 0) end -= 1;
    return end - offset < RECORD_HEADER_BYTES;
  }

  #hasHeaderBehind(offset: number): boolean {
    for (let at = this.bytes.indexOf(MAGIC, offset + 1); at !== -1;) {
      if (decodeHeader(this.bytes.subarray(at, at + RECORD_HEADER_BYTES)) !== undefined)
        return true;
      at = this.bytes.indexOf(MAGIC, at + 1);
    }
    return false;
  }
}

/** The first bytes of a header. */
const MAGIC = "PSTR";
