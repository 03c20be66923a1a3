/**
 * Reads a journal's file, piece by piece: it may be larger than memory. A file that was being written when
 * the machine died is torn at its end, and only there. A damaged line before a whole one is damage of the
 * disk: the reader mends one flipped bit, and else goes on with the next record.
 */
import type { FileHandle } from "node:fs/promises";
import { KIB, MIB } from "../../../base/units.ts";
import { type Files, isMissing, readAll } from "./files.ts";
import { decodeFlippedLine, decodeLine, type JournalRecord } from "./journal-record.ts";

const READ_BYTES = MIB;

/** No record is longer: what is longer is damage. */
const MAX_LINE_BYTES = 64 * KIB;

const NEWLINE = 0x0a;

/** The beginning of a record within a line: the newline before it was damaged. */
const RECORD_START = /[0-9a-f]{8} \{"kind":/g;

export interface JournalReading {
  /** Bytes of the file. */
  readonly size: number;
  /** Bytes up to the end of the last whole record. */
  readonly end: number;
  /** Damaged records that were mended, and places where records are lost. */
  readonly mended: number;
  readonly lost: number;
}

/** Reads the records of a file, which may be missing, in their order. */
export async function readJournal(
  files: Files,
  path: string,
  onRecord: (record: JournalRecord) => void,
): Promise<JournalReading> {
  let handle: FileHandle;
  try {
    handle = await files.open(path, "r");
  } catch (error) {
    if (isMissing(error)) return { size: 0, end: 0, mended: 0, lost: 0 };
    throw error;
  }
  const reader = new JournalReader(onRecord);
  try {
    for (;;) {
      const piece = Buffer.allocUnsafe(READ_BYTES);
      const read = await readAll(handle, piece, reader.size);
      reader.push(piece.subarray(0, read));
      if (read < READ_BYTES) return reader.finish();
    }
  } finally {
    await handle.close();
  }
}

class JournalReader {
  readonly #onRecord: (record: JournalRecord) => void;
  /** Bytes behind the last newline. */
  #rest: Buffer = Buffer.alloc(0);
  #size = 0;
  #end = 0;
  #mended = 0;
  #lost = 0;
  /** Damaged lines since the last whole record: a torn end, unless a whole one follows. */
  #damagedLines = 0;
  /** The line before, if it is damaged. */
  #damagedLine: Buffer | undefined;

  constructor(onRecord: (record: JournalRecord) => void) {
    this.#onRecord = onRecord;
  }

  get size(): number {
    return this.#size;
  }

  push(piece: Buffer): void {
    const bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    let lineOffset = this.#size - this.#rest.length;
    this.#size += piece.length;
    let start = 0;
    for (;;) {
      const newline = bytes.indexOf(NEWLINE, start);
      if (newline === -1) break;
      lineOffset += newline + 1 - start;
      this.#read(bytes.subarray(start, newline), lineOffset);
      start = newline + 1;
    }
    this.#rest = bytes.subarray(start);
    if (this.#rest.length <= MAX_LINE_BYTES) return;
    this.#damagedLines += 1;
    this.#damagedLine = undefined;
    this.#rest = Buffer.alloc(0);
  }

  finish(): JournalReading {
    // Whole but for its last byte, which was the newline.
    const last = this.#rest.at(-1) ?? 0;
    if (isFlippedNewline(last)) this.#mend([this.#rest.subarray(0, -1)], this.#size);
    return { size: this.#size, end: this.#end, mended: this.#mended, lost: this.#lost };
  }

  /** @param end the offset behind the line's newline */
  #read(line: Buffer, end: number): void {
    const record = decodeLine(line);
    if (record !== "damaged") {
      this.#take([record], end);
      return;
    }
    if (line.length > MAX_LINE_BYTES || !this.#mendLine(line, end)) {
      this.#damagedLines += 1;
      this.#damagedLine = line;
    }
  }

  #mendLine(line: Buffer, end: number): boolean {
    const record = decodeFlippedLine(line);
    if (record !== "damaged") {
      this.#mended += 1;
      this.#take([record], end);
      return true;
    }
    return this.#mend(splitAtFlippedNewlines(line), end) || this.#mendWithLineBefore(line, end);
  }

  /** One flipped bit can also have made a newline in the middle of a record. */
  #mendWithLineBefore(line: Buffer, end: number): boolean {
    const before = this.#damagedLine;
    if (before === undefined) return false;
    for (let bit = 0; bit < 8; bit += 1) {
      const joined = Buffer.concat([before, Buffer.from([NEWLINE ^ (1 << bit)]), line]);
      if (decodeLine(joined) === "damaged") continue;
      this.#damagedLines -= 1;
      return this.#mend([joined], end);
    }
    return false;
  }

  /** Takes the lines, if all of them are whole. */
  #mend(lines: readonly Buffer[], end: number): boolean {
    const records = lines.map((line) => decodeLine(line));
    if (records.includes("damaged")) return false;
    this.#mended += 1;
    this.#take(records, end);
    return true;
  }

  #take(records: readonly ReturnType<typeof decodeLine>[], end: number): void {
    this.#lost += this.#damagedLines;
    this.#damagedLines = 0;
    this.#damagedLine = undefined;
    this.#end = end;
    for (const record of records) if (typeof record !== "string") this.#onRecord(record);
  }
}

function splitAtFlippedNewlines(line: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let start = 0;
  for (const { index } of line.toString("latin1").matchAll(RECORD_START)) {
    if (index === 0 || !isFlippedNewline(line[index - 1] as number)) continue;
    lines.push(line.subarray(start, index - 1));
    start = index;
  }
  return [...lines, line.subarray(start)];
}

/** Whether one flipped bit makes a newline of this byte. */
function isFlippedNewline(byte: number): boolean {
  const difference = byte ^ NEWLINE;
  return difference !== 0 && (difference & (difference - 1)) === 0;
}
