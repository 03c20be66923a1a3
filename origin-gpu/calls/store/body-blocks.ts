/**
 * The blocks of a body that has a file of its own. Each has a CRC-32, which stand behind the body. By it one flipped bit
 * of the block, or of the checksum itself, is found and mended. A block is so short that two flipped bits are never
 * taken for one: the CRC-32 tells up to three wrong bits in 91,607 from none. Damage of another shape looks like one
 * flipped bit in one of 65,536 cases. One checksum for a large body would take nearly any damage for that.
 */
import { crc32 } from "node:zlib";
import { mendFlippedBit } from "../../../base/node/bit-repair.ts";
import { KIB } from "../../../base/units.ts";

/** Part of the format. */
export const BLOCK_BYTES = 8 * KIB;

const CHECKSUM_BYTES = 4;

/** A byte that is to be another one. */
export interface MendedByte {
  /** Counted from the body's first byte on. The checksums stand behind its last one. */
  readonly at: number;
  readonly value: number;
}

/** Bytes of the checksums of a body. */
export function checksumsBytes(bodyBytes: number): number {
  return CHECKSUM_BYTES * Math.ceil(bodyBytes / BLOCK_BYTES);
}

/** Where the checksum of the block that begins here stands, counted from the body's first byte on. */
export function checksumAt(blockStart: number, bodyBytes: number): number {
  return bodyBytes + checksumsBytes(blockStart);
}

/** Computes the checksums of a body that comes in pieces. */
export class BlockChecksums {
  readonly #complete: number[] = [];
  #checksum = 0;
  /** Bytes of the block that is not complete. */
  #bytes = 0;

  add(piece: Uint8Array): void {
    for (let at = 0; at < piece.length;) {
      const bytes = piece.subarray(at, at + BLOCK_BYTES - this.#bytes);
      this.#checksum = crc32(bytes, this.#checksum);
      this.#bytes += bytes.length;
      at += bytes.length;
      if (this.#bytes === BLOCK_BYTES) this.#endBlock();
    }
  }

  /** The checksums as they stand in the file, once the body is whole. */
  encode(): Buffer {
    if (this.#bytes > 0) this.#endBlock();
    const bytes = Buffer.alloc(CHECKSUM_BYTES * this.#complete.length);
    for (const [index, checksum] of this.#complete.entries()) {
      bytes.writeUInt32BE(checksum, CHECKSUM_BYTES * index);
    }
    return bytes;
  }

  #endBlock(): void {
    this.#complete.push(this.#checksum);
    this.#checksum = 0;
    this.#bytes = 0;
  }
}

/**
 * Mends one flipped bit in each block of a part, in place.
 * @param start where the part, and a block, begins in the body
 * @param checksums of the part's blocks
 * @returns what is to be mended in the file; undefined where a block is damaged in another way
 */
export function mendBlocks(
  part: Buffer,
  start: number,
  checksums: Buffer,
  bodyBytes: number,
): MendedByte[] | undefined {
  const mended: MendedByte[] = [];
  for (let at = 0; at < part.length; at += BLOCK_BYTES) {
    const block = part.subarray(at, at + BLOCK_BYTES);
    const checksum = checksums.readUInt32BE(checksumsBytes(at));
    const actual = crc32(block);
    const difference = (actual ^ checksum) >>> 0;
    if (difference === 0) continue;
    const byte = mendFlippedBit(block, checksum);
    if (byte !== undefined) mended.push({ at: start + at + byte, value: block[byte] as number });
    else if ((difference & (difference - 1)) === 0) {
      const wrong = Math.clz32(difference) >> 3;
      const value = (actual >>> (8 * (CHECKSUM_BYTES - 1 - wrong))) & 0xff;
      mended.push({ at: checksumAt(start + at, bodyBytes) + wrong, value });
    } else return undefined;
  }
  return mended;
}
