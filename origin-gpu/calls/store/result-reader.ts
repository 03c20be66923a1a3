/**
 * Reads results that are complete and on the disk. A body that is read whole is checked against its checksum
 * before its last part is returned: damaged bytes never come to a clean end. Of a body that an earlier process
 * wrote, the store reads no part before it was checked (body-checks.ts).
 */
import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { KIB } from "../../../base/units.ts";
import type { ResponseHead } from "../../../routing/wire/heads.ts";
import { type Files, isMissing, readAll } from "./files.ts";
import type { RecordFile } from "./record-packs.ts";
import { asReadError, ResultError } from "./result-error.ts";
import {
  decodeMeta,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  recordBytes,
} from "./result-record.ts";

/** Bytes of one read: as many as a frame carries. */
export const READ_BYTES = 64 * KIB;

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

export async function readHead(files: Files, result: ResultLocation): Promise<ResponseHead> {
  const handle = await openResult(files, result);
  try {
    const bytes = Buffer.allocUnsafe(result.metaBytes);
    const read = await readAll(handle.file, bytes, handle.offset + RECORD_HEADER_BYTES);
    const meta = decodeMeta(bytes.subarray(0, read), result);
    if (meta === undefined) throw damaged();
    return meta.head;
  } finally {
    await handle.file.close();
  }
}

/** Reads the body, part by part. @throws ResultError */
export async function* readBody(
  files: Files,
  result: ResultLocation,
  { from = 0, to = Number.POSITIVE_INFINITY, signal }: ReadOptions,
): AsyncGenerator<Uint8Array> {
  const end = Math.min(to, result.bodyBytes);
  if (from >= end) return;
  const whole = from === 0 && end === result.bodyBytes;
  const { file, offset } = await openResult(files, result);
  try {
    const body = offset + RECORD_HEADER_BYTES + result.metaBytes;
    let checksum = 0;
    for (let at = from; at < end;) {
      if (signal?.aborted === true) return;
      const part = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, end - at));
      if ((await readAll(file, part, body + at)) < part.length) throw damaged();
      at += part.length;
      if (whole) checksum = crc32(part, checksum);
      if (whole && at === end && checksum !== result.bodyCrc) throw damaged();
      yield part;
    }
  } finally {
    await file.close();
  }
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
): Promise<{ file: FileHandle; offset: number }> {
  for (;;) {
    const { file, offset } = result;
    try {
      return { file: await files.open(file.path, "r"), offset };
    } catch (error) {
      // The result moved to another file while this one was being opened.
      if (isMissing(error) && result.file !== file) continue;
      if (isMissing(error)) throw new ResultError("expired", "the result has expired");
      throw asReadError(error);
    }
  }
}

function damaged(): ResultError {
  return new ResultError("damaged", "the result is damaged");
}
