/** How the parts of a stored body are checked as they are read, and single flipped bits of them mended. */
import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { mendFlippedBit } from "../../../base/node/bit-repair.ts";
import { KIB } from "../../../base/units.ts";
import {
  BLOCK_BYTES,
  checksumAt,
  checksumsBytes,
  type MendedByte,
  mendBlocks,
} from "./body-blocks.ts";
import { readAll } from "./files.ts";

/** Bytes of one read: as many as a frame carries. */
export const READ_BYTES = 64 * KIB;

/** So much of a body needs one read of its checksums. */
const CHECKED_AT_ONCE_BYTES = 512 * READ_BYTES;

export interface PartCheck {
  /** A part begins at a multiple of it. */
  readonly stepBytes: number;
  /** @returns what was mended in the part; undefined where it is damaged in another way */
  mend(part: Buffer, start: number): Promise<readonly MendedByte[] | undefined>;
}

/** For a body with checksums of its blocks. */
export class BlockCheck implements PartCheck {
  readonly stepBytes = BLOCK_BYTES;
  readonly #file: FileHandle;
  readonly #bodyOffset: number;
  readonly #bodyBytes: number;
  /** The checksums of the blocks from `#start` to `#end`. */
  #checksums = Buffer.alloc(0);
  #start = 0;
  #end = 0;

  constructor(file: FileHandle, bodyOffset: number, bodyBytes: number) {
    this.#file = file;
    this.#bodyOffset = bodyOffset;
    this.#bodyBytes = bodyBytes;
  }

  async mend(part: Buffer, start: number): Promise<readonly MendedByte[] | undefined> {
    if (start + part.length > this.#end && !(await this.#read(start))) return undefined;
    const checksums = this.#checksums.subarray(checksumsBytes(start - this.#start));
    return mendBlocks(part, start, checksums, this.#bodyBytes);
  }

  /** @returns false where the file is shorter */
  async #read(start: number): Promise<boolean> {
    this.#start = start;
    this.#end = Math.min(start + CHECKED_AT_ONCE_BYTES, this.#bodyBytes);
    this.#checksums = Buffer.allocUnsafeSlow(checksumsBytes(this.#end - start));
    const at = this.#bodyOffset + checksumAt(start, this.#bodyBytes);
    return (await readAll(this.#file, this.#checksums, at)) === this.#checksums.length;
  }
}

/** For a small body, which is one part. */
export class WholeCheck implements PartCheck {
  readonly stepBytes: number;
  readonly #checksum: number;

  constructor(bodyBytes: number, checksum: number) {
    this.stepBytes = bodyBytes;
    this.#checksum = checksum;
  }

  mend(part: Buffer): Promise<readonly MendedByte[] | undefined> {
    return Promise.resolve(this.#mend(part));
  }

  #mend(part: Buffer): readonly MendedByte[] | undefined {
    if (crc32(part) === this.#checksum) return [];
    const at = mendFlippedBit(part, this.#checksum);
    return at === undefined ? undefined : [{ at, value: part[at] as number }];
  }
}

/**
 * For a large body with one checksum, as earlier agents wrote them: a reader of all of it gets no clean end where it is
 * damaged. Nothing is mended.
 */
export class EndCheck implements PartCheck {
  readonly stepBytes = 1;
  readonly #bodyBytes: number;
  readonly #wanted: number;
  #checksum = 0;
  /** Bytes that were read. Where it is not all of them, nothing is known. */
  #bytes = 0;

  constructor(bodyBytes: number, checksum: number) {
    this.#bodyBytes = bodyBytes;
    this.#wanted = checksum;
  }

  mend(part: Buffer): Promise<readonly MendedByte[] | undefined> {
    this.#checksum = crc32(part, this.#checksum);
    this.#bytes += part.length;
    const isWrong = this.#bytes === this.#bodyBytes && this.#checksum !== this.#wanted;
    return Promise.resolve(isWrong ? undefined : []);
  }
}
