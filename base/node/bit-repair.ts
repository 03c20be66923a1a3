/**
 * Mends one flipped bit by a CRC-32. A disk or a memory that fails mostly flips single bits, and a CRC-32
 * locates one: no two positions within 512 MiB have the same syndrome. Damage of another shape looks like
 * one flipped bit by chance only, in one of 2^32 cases for each bit of the content. Two flipped bits never do within
 * 11 KB. So a longer content should be mended block by block.
 */
import { crc32 } from "node:zlib";

/** The reflected polynomial of CRC-32 (ISO 3309, zlib). */
const POLYNOMIAL = 0xedb88320;

/** The register after each byte, from zero. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let register = byte;
  for (let bit = 0; bit < 8; bit += 1) {
    register = (register & 1) === 0 ? register >>> 1 : (register >>> 1) ^ POLYNOMIAL;
  }
  return register;
});

/**
 * Mends `bytes` in place, where one flipped bit explains the checksum.
 * @param checksum what the CRC-32 of the content was; taken to be undamaged
 * @returns the offset of the mended byte; undefined when `bytes` is unchanged
 */
export function mendFlippedBit(bytes: Uint8Array, checksum: number): number | undefined {
  const syndrome = (crc32(bytes) ^ checksum) >>> 0;
  // The syndromes of the byte's eight bits: at the last byte, then shifted by one byte in each step.
  const candidates = Array.from({ length: 8 }, (_, bit) => TABLE[1 << bit] as number);
  for (let offset = bytes.length - 1; offset >= 0; offset -= 1) {
    const bit = candidates.indexOf(syndrome);
    if (bit !== -1) {
      bytes[offset] = (bytes[offset] as number) ^ (1 << bit);
      return offset;
    }
    for (let index = 0; index < 8; index += 1) {
      const register = candidates[index] as number;
      candidates[index] = ((register >>> 8) ^ (TABLE[register & 0xff] as number)) >>> 0;
    }
  }
  return undefined;
}

/** Whether two texts of one length differ in exactly one bit. */
export function differInOneBit(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  let bits = 0;
  for (const [index, byte] of one.entries()) {
    for (let rest = byte ^ (other[index] as number); rest !== 0; rest &= rest - 1) bits += 1;
  }
  return bits === 1;
}
