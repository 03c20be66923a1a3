/**
 * What is complete in a directory of results, after whatever happened to the process that wrote it.
 * Torn files are removed, torn ends of packs torn off; files that are not ours are left alone.
 */
import { join } from "node:path";
import { type Files, readAll, removeFile } from "./files.ts";
import {
  decodeHeader,
  decodeMeta,
  readPack,
  RECORD_HEADER_BYTES,
  recordBytes,
} from "./result-record.ts";
import type { ResultFile, StoredResult } from "./stored-result.ts";

type Kind = "pack" | "partial" | "result";

/** Names are numbered in the order of their making. */
export function resultFileName(number: number, kind: Kind): string {
  return `${String(number).padStart(12, "0")}.${kind}`;
}

const FILE_NAME = /^(\d{12,15})\.(pack|partial|result)$/;

export interface RecoveredResult {
  callId: string;
  result: StoredResult;
}

export interface Recovery {
  /** Oldest first. A call may stand twice, when its result was being moved. */
  results: RecoveredResult[];
  usedBytes: number;
  /** The highest number of a file. */
  lastFile: number;
}

export async function recoverResults(files: Files, directory: string): Promise<Recovery> {
  const results: RecoveredResult[] = [];
  let usedBytes = 0;
  let lastFile = 0;
  for (const name of (await files.readdir(directory)).sort()) {
    const [, number, kind] = FILE_NAME.exec(name) ?? [];
    if (number === undefined) continue;
    lastFile = Math.max(lastFile, Number(number));
    const path = join(directory, name);
    const found =
      kind === "pack"
        ? await recoverPack(files, path)
        : kind === "result"
          ? await recoverLarge(files, path)
          : [];
    const [first] = found;
    if (first === undefined) await removeFile(files, path);
    else usedBytes += first.result.file.bytes;
    for (const each of found) results.push(each);
  }
  results.sort((one, other) => one.result.completedAtMs - other.result.completedAtMs);
  return { results, usedBytes, lastFile };
}

async function recoverPack(files: Files, path: string): Promise<RecoveredResult[]> {
  const bytes = await files.readFile(path);
  const { found, end } = readPack(bytes);
  if (found.length > 0 && end < bytes.length) await files.truncate(path, end);
  const file: ResultFile = { path, bytes: end, liveBytes: 0 };
  return found.map(({ offset, header, meta }) => {
    file.liveBytes += recordBytes(header);
    return { callId: meta.callId, result: { ...header, file, offset } };
  });
}

/** A large result's body is not read: it was synced before the file got its name. */
async function recoverLarge(files: Files, path: string): Promise<RecoveredResult[]> {
  const handle = await files.open(path, "r");
  try {
    const start = Buffer.alloc(RECORD_HEADER_BYTES);
    const header =
      (await readAll(handle, start, 0)) === start.length ? decodeHeader(start) : undefined;
    const { size } = await handle.stat();
    if (header === undefined || recordBytes(header) !== size) return [];
    const encoded = Buffer.alloc(header.metaBytes);
    await readAll(handle, encoded, RECORD_HEADER_BYTES);
    const meta = decodeMeta(encoded, header);
    if (meta === undefined) return [];
    const file: ResultFile = { path, bytes: size, liveBytes: size };
    return [{ callId: meta.callId, result: { ...header, file, offset: 0 } }];
  } finally {
    await handle.close();
  }
}
