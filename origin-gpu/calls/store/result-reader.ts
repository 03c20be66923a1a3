/**
 * Reads results that are complete and on the disk. Each part of a body is checked before it is returned, and mended where
 * one flipped bit of a block explains it. Of a body that an earlier process wrote, the store reads no part before all
 * of it was checked (body-checks.ts).
 */
import type { FileHandle } from "node:fs/promises";
import { mendFlippedBit } from "../../../base/node/bit-repair.ts";
import type { ResponseHead } from "../../../routing/wire/heads.ts";
import type { MendedByte } from "./body-blocks.ts";
import { changeBytes, type Files, isMissing, readAll } from "./files.ts";
import { BlockCheck, EndCheck, type PartCheck, READ_BYTES, WholeCheck } from "./part-checks.ts";
import type { RecordFile } from "./record-packs.ts";
import { asReadError, ResultError } from "./result-error.ts";
import {
  decodeMeta,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  recordBytes,
} from "./result-record.ts";

/** Where a result is: all that is in memory of it. */
export interface ResultLocation extends Readonly<RecordHeader> {
  /** Changes when the result moves to another pack. */
  file: RecordFile;
  offset: number;
  /** The body is known to be what was written: this process wrote it, or has read it whole. */
  isChecked: boolean;
}

/** Which part of a body to read, and until when. */
export interface ReadOptions {
  /** The first byte; 0 when absent. */
  from?: number;
  /** Behind the last byte; the body's end when absent. */
  to?: number;
  /** The reader left: reading ends without an error. */
  signal?: AbortSignal;
}

/** Reads the head. One flipped bit is mended in what is returned. @throws ResultError */
export async function readHead(files: Files, result: ResultLocation): Promise<ResponseHead> {
  const handle = await openResult(files, result);
  try {
    const bytes = Buffer.allocUnsafe(result.metaBytes);
    const read = await readAll(handle.file, bytes, handle.offset + RECORD_HEADER_BYTES);
    const there = bytes.subarray(0, read);
    let meta = decodeMeta(there, result);
    if (meta === undefined && mendFlippedBit(there, result.metaCrc) !== undefined) {
      meta = decodeMeta(there, result);
    }
    if (meta === undefined) throw damaged();
    return meta.head;
  } finally {
    await handle.file.close();
  }
}

/**
 * Reads the body, part by part.
 * @param onMended called for each byte that was mended in what is returned, and not in the file
 * @throws ResultError
 */
export async function* readBody(
  files: Files,
  result: ResultLocation,
  { from = 0, to = Number.POSITIVE_INFINITY, signal }: ReadOptions,
  onMended: (byte: MendedByte) => void,
): AsyncGenerator<Uint8Array> {
  const { bodyBytes } = result;
  const end = Math.min(to, bodyBytes);
  if (from >= end) return;
  const { file, offset } = await openResult(files, result);
  try {
    const body = bodyOffset(result, offset);
    const check = checkOf(result, file, body);
    for (let at = from; at < end;) {
      if (signal?.aborted === true) return;
      const start = at - (at % check.stepBytes);
      const part = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, bodyBytes - start));
      if ((await readAll(file, part, body + start)) < part.length) throw damaged();
      const mended = await check.mend(part, start);
      if (mended === undefined) throw damaged();
      for (const byte of mended) onMended(byte);
      const stop = Math.min(end, start + part.length);
      yield part.subarray(at - start, stop - start);
      at = stop;
    }
  } finally {
    await file.close();
  }
}

/** Writes what a reader mended to the file. */
export async function writeMended(
  files: Files,
  result: ResultLocation,
  mended: readonly MendedByte[],
): Promise<void> {
  const { file, offset } = await openResult(files, result, "r+");
  const body = bodyOffset(result, offset);
  await changeBytes(
    file,
    mended.map(({ at, value }) => [body + at, value] as const),
  );
}

/** Reads a whole record as it stands in the file. */
export async function readRecord(files: Files, result: ResultLocation): Promise<Buffer> {
  const { file, offset } = await openResult(files, result);
  try {
    const record = Buffer.allocUnsafe(recordBytes(result));
    if ((await readAll(file, record, offset)) < record.length) throw damaged();
    return record;
  } finally {
    await file.close();
  }
}

/** Opens the file: from here on the result can be read even if the file is removed. */
async function openResult(
  files: Files,
  result: ResultLocation,
  flags: "r" | "r+" = "r",
): Promise<{ file: FileHandle; offset: number }> {
  for (;;) {
    const { file, offset } = result;
    try {
      return { file: await files.open(file.path, flags), offset };
    } catch (error) {
      // The result moved to another file while this one was being opened.
      if (isMissing(error) && result.file !== file) continue;
      if (isMissing(error)) throw new ResultError("expired", "the result has expired");
      throw asReadError(error);
    }
  }
}

function bodyOffset({ metaBytes }: ResultLocation, recordOffset: number): number {
  return recordOffset + RECORD_HEADER_BYTES + metaBytes;
}

function checkOf(result: ResultLocation, file: FileHandle, bodyAt: number): PartCheck {
  const { bodyBytes, bodyCrc } = result;
  if (result.hasBlocks) return new BlockCheck(file, bodyAt, bodyBytes);
  const isOnePart = bodyBytes <= READ_BYTES;
  return isOnePart ? new WholeCheck(bodyBytes, bodyCrc) : new EndCheck(bodyBytes, bodyCrc);
}

function damaged(): ResultError {
  return new ResultError("damaged", "the result is damaged");
}
