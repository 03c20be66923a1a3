/**
 * Reads a write-ahead log of SQLite as SQLite does after a crash, to tell damage from a torn end: SQLite ends a log
 * silently at the first frame whose checksum fails. Mends one flipped bit in place where the checksum locates it.
 *
 * The format: https://www.sqlite.org/fileformat2.html#walformat
 */

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** The checksum of a header covers what stands before it. */
const HEADER_CHECKED_BYTES = 24;
/** Of a frame's header the checksum covers the page's number and the size after a commit. */
const FRAME_CHECKED_BYTES = 8;
/** The magic number of a log whose checksums read words of the machine's order; one more: the other order. */
const LITTLE_ENDIAN_MAGIC = 0x377f0682;
const BIG_ENDIAN_MAGIC = 0x377f0683;
const MIN_PAGE_BYTES = 512;
const MAX_PAGE_BYTES = 65_536;

export type WalVerdict =
  /** Everything that was committed can be read; after a crash a torn end is left, which was never acknowledged. */
  | { readonly kind: "whole" }
  /** The same, after `content` was mended in place. */
  | { readonly kind: "mended"; readonly bits: number }
  /** Changes are lost. The first `keepBytes` end with a commit, and are whole. */
  | { readonly kind: "damaged"; readonly keepBytes: number };

type Sums = readonly [first: number, second: number];

interface Layout {
  readonly pageBytes: number;
  readonly isLittleEndian: boolean;
  /** The two salts of this generation of the log. Frames of an earlier one stand behind its end. */
  readonly salts: Sums;
  readonly sums: Sums;
}

/** Judges a log, and mends `content` in place where that is possible. */
export function judgeWal(content: Buffer): WalVerdict {
  if (content.length < HEADER_BYTES + FRAME_HEADER_BYTES) return { kind: "whole" };
  let bits = 0;
  let layout = readHeader(content);
  if (layout === undefined) {
    layout = mendHeader(content);
    if (layout === undefined) return { kind: "damaged", keepBytes: 0 };
    bits += 1;
  }
  let seed = layout.sums;
  let keepBytes = 0;
  for (let at = HEADER_BYTES; at < content.length; at += FRAME_HEADER_BYTES + layout.pageBytes) {
    let sums = checkedFrame(content, at, layout, seed);
    if (sums === undefined) {
      const found = damageOf(content, at, layout, seed);
      if (found === "none") break;
      if (found === "unlocated") return { kind: "damaged", keepBytes };
      found.mend();
      bits += 1;
      sums = checkedFrame(content, at, layout, seed) as Sums;
    }
    seed = sums;
    if (isCommit(content, at)) keepBytes = at + FRAME_HEADER_BYTES + layout.pageBytes;
  }
  return bits === 0 ? { kind: "whole" } : { kind: "mended", bits };
}

function readHeader(content: Buffer): Layout | undefined {
  const magic = content.readUInt32BE(0);
  const pageBytes = content.readUInt32BE(8);
  if (magic !== LITTLE_ENDIAN_MAGIC && magic !== BIG_ENDIAN_MAGIC) return undefined;
  if (pageBytes < MIN_PAGE_BYTES || pageBytes > MAX_PAGE_BYTES) return undefined;
  if ((pageBytes & (pageBytes - 1)) !== 0) return undefined;
  const isLittleEndian = magic === LITTLE_ENDIAN_MAGIC;
  const sums = sumOf(content, 0, HEADER_CHECKED_BYTES, isLittleEndian, [0, 0]);
  if (!isSame(sums, sumsAt(content, HEADER_CHECKED_BYTES))) return undefined;
  return { pageBytes, isLittleEndian, salts: sumsAt(content, 16), sums };
}

/** The header with the one bit flipped back with which it agrees with itself and with the first frame. */
function mendHeader(content: Buffer): Layout | undefined {
  for (let bit = 0; bit < 8 * HEADER_BYTES; bit += 1) {
    flip(content, bit);
    const layout = readHeader(content);
    if (layout !== undefined) {
      if (checkedFrame(content, HEADER_BYTES, layout, layout.sums) !== undefined) return layout;
    }
    flip(content, bit);
  }
  return undefined;
}

/** The checksum behind a frame of this generation; undefined where the frame is not whole or not of it. */
function checkedFrame(content: Buffer, at: number, layout: Layout, seed: Sums): Sums | undefined {
  if (at + FRAME_HEADER_BYTES + layout.pageBytes > content.length) return undefined;
  if (!isSame(sumsAt(content, at + 8), layout.salts)) return undefined;
  const sums = frameSums(content, at, layout, seed);
  return isSame(sums, sumsAt(content, at + 16)) ? sums : undefined;
}

/**
 * Why the frame at `at` does not follow: one flipped bit that can be mended, damage that no checksum locates, or none:
 * a torn end, or the frame of an earlier generation.
 */
function damageOf(
  content: Buffer,
  at: number,
  layout: Layout,
  seed: Sums,
): { mend(): void } | "unlocated" | "none" {
  if (at + FRAME_HEADER_BYTES + layout.pageBytes > content.length) return "none";
  const candidates = flipsOf(content, at, layout, seed);
  const [first] = candidates;
  if (candidates.length === 1) return { mend: () => flip(content, first as number) };
  return candidates.length > 1 || isFollowedByCommit(content, at, layout) ? "unlocated" : "none";
}

/** Each bit of the frame, counted from the file's begin, that makes the frame right when it is flipped. */
function flipsOf(content: Buffer, at: number, layout: Layout, seed: Sums): number[] {
  const sums = frameSums(content, at, layout, seed);
  const stored = sumsAt(content, at + 16);
  const salts = sumsAt(content, at + 8);
  if (!isSame(salts, layout.salts)) {
    const bits = differingBits(at + 8, salts, layout.salts);
    return bits.length === 1 && isSame(sums, stored) ? bits : [];
  }
  const inChecksum = differingBits(at + 16, sums, stored);
  return [
    ...(inChecksum.length === 1 ? inChecksum : []),
    ...flipsOfChecked(content, at, layout, [
      (stored[0] - sums[0]) >>> 0,
      (stored[1] - sums[1]) >>> 0,
    ]),
  ];
}

/** The bits of what the checksum covers that change it by `wanted`. */
function flipsOfChecked(content: Buffer, at: number, layout: Layout, wanted: Sums): number[] {
  const found: number[] = [];
  const { isLittleEndian, pageBytes } = layout;
  const end = at + FRAME_HEADER_BYTES + pageBytes;
  // A word's weights in both sums grow from the end of the page to the frame's begin, as Fibonacci's numbers do.
  let weights: Sums = [0, 1];
  const search = (from: number, to: number): void => {
    for (let word = to - 4; word >= from; word -= 4) {
      const value = wordAt(content, word, isLittleEndian);
      for (let bit = 0; bit < 32; bit += 1) {
        const change = (value >>> bit) & 1 ? -(2 ** bit) : 2 ** bit;
        if (Math.imul(weights[0], change) >>> 0 !== wanted[0]) continue;
        if (Math.imul(weights[1], change) >>> 0 !== wanted[1]) continue;
        const byte = isLittleEndian ? bit >> 3 : 3 - (bit >> 3);
        found.push(8 * (word + byte) + (bit & 7));
      }
      weights = [weights[1], (weights[0] + weights[1]) >>> 0];
    }
  };
  search(at + FRAME_HEADER_BYTES, end);
  search(at, at + FRAME_CHECKED_BYTES);
  return found;
}

/**
 * Whether a commit stands behind the frame, and a frame behind that: SQLite began that one when the disk had everything
 * before it (`synchronous=FULL`, as workerd has it), so that no crash explains the damage.
 */
function isFollowedByCommit(content: Buffer, from: number, layout: Layout): boolean {
  const frameBytes = FRAME_HEADER_BYTES + layout.pageBytes;
  let isCommitted = false;
  for (let at = from + frameBytes; at + frameBytes <= content.length; at += frameBytes) {
    const before = sumsAt(content, at - frameBytes + 16);
    if (checkedFrame(content, at, layout, before) === undefined) continue;
    if (isCommitted) return true;
    isCommitted = isCommit(content, at);
  }
  return false;
}

/** Whether the frame ends a transaction: it has the database's size then. */
function isCommit(content: Buffer, at: number): boolean {
  return content.readUInt32BE(at + 4) !== 0;
}

function frameSums(content: Buffer, at: number, layout: Layout, seed: Sums): Sums {
  const { isLittleEndian, pageBytes } = layout;
  const head = sumOf(content, at, at + FRAME_CHECKED_BYTES, isLittleEndian, seed);
  const page = at + FRAME_HEADER_BYTES;
  return sumOf(content, page, page + pageBytes, isLittleEndian, head);
}

function sumOf(
  content: Buffer,
  from: number,
  to: number,
  isLittleEndian: boolean,
  seed: Sums,
): Sums {
  let [first, second] = seed;
  for (let at = from; at < to; at += 8) {
    first = (first + wordAt(content, at, isLittleEndian) + second) >>> 0;
    second = (second + wordAt(content, at + 4, isLittleEndian) + first) >>> 0;
  }
  return [first, second];
}

function wordAt(content: Buffer, at: number, isLittleEndian: boolean): number {
  return isLittleEndian ? content.readUInt32LE(at) : content.readUInt32BE(at);
}

/** Two numbers of a header, which are big-endian in each log. */
function sumsAt(content: Buffer, at: number): Sums {
  return [content.readUInt32BE(at), content.readUInt32BE(at + 4)];
}

function isSame(one: Sums, other: Sums): boolean {
  return one[0] === other[0] && one[1] === other[1];
}

/** The bits, counted from the file's begin, in which the two big-endian numbers at `at` differ from `wanted`. */
function differingBits(at: number, found: Sums, wanted: Sums): number[] {
  return [0, 1].flatMap((index) => {
    const difference = ((found[index] as number) ^ (wanted[index] as number)) >>> 0;
    return Array.from({ length: 32 }, (_, bit) => bit)
      .filter((bit) => ((difference >>> bit) & 1) === 1)
      .map((bit) => 8 * (at + 4 * index + 3 - (bit >> 3)) + (bit & 7));
  });
}

function flip(content: Buffer, bit: number): void {
  content[bit >> 3] = (content[bit >> 3] as number) ^ (1 << (bit & 7));
}
