/**
 * Finds the complete responses in a directory of results, however the process that wrote it ended. Torn ends of
 * packs are cut off. A flipped bit is mended in the file; a file with more damage is put aside. Files with other
 * names stay as they are.
 */
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { DamagedFiles } from "./damaged-files.ts";
import { changeBytes, type Files, isUnreadable, readAll, removeFile } from "./files.ts";
import { RECORD_HEADER_BYTES, recordBytes } from "./result-record.ts";
import { ResultScan } from "./result-scan.ts";
import type { RecordFile } from "./record-packs.ts";
import type { ResultLocation } from "./result-reader.ts";

type Kind = "pack" | "partial" | "result";

/** Files are numbered in the order in which they were made. */
export function resultFileName(number: number, kind: Kind): string {
  return `${String(number).padStart(12, "0")}.${kind}`;
}

/** Files that were put aside keep their number, so that no other file gets it. */
const FILE_NAME = /^(\d{12,15})\.(pack|partial|result)(\.damaged)?$/;

export interface RecoveredResult {
  callId: string;
  result: ResultLocation;
}

export interface Recovery {
  /** Oldest first. A call can stand twice: its response was being moved. */
  results: RecoveredResult[];
  usedBytes: number;
  /** The highest number of a file. */
  lastFile: number;
}

/** Hears of files that are not as they were written. */
export interface RecoveryReport {
  readonly damaged: DamagedFiles;
  /** Called for a file in which so many flipped bits were mended. */
  readonly onMended: (path: string, bits: number) => void;
  /** Called for a file that the disk cannot read. It stays, and the next start tries it again. */
  readonly onUnreadable: (path: string, error: Error) => void;
}

export async function recoverResults(
  files: Files,
  directory: string,
  report: RecoveryReport,
): Promise<Recovery> {
  const results: RecoveredResult[] = [];
  let usedBytes = 0;
  let lastFile = 0;
  for (const name of (await files.readdir(directory)).sort()) {
    const [, number, kind, aside] = FILE_NAME.exec(name) ?? [];
    if (number === undefined) continue;
    lastFile = Math.max(lastFile, Number(number));
    if (aside !== undefined) continue;
    const path = join(directory, name);
    const found = await recoverFile(files, path, kind as Kind, report);
    if (found === undefined) continue;
    const [first] = found;
    // It has had its name since it was whole and on the disk: it is not torn.
    if (kind === "result" && first === undefined)
      await report.damaged.putAside(path, (await files.stat(path)).size, 1);
    if (first === undefined) await removeFile(files, path);
    else usedBytes += first.result.file.bytes;
    for (const each of found) results.push(each);
  }
  results.sort((one, other) => one.result.completedAtMs - other.result.completedAtMs);
  return { results, usedBytes, lastFile };
}

/** @returns undefined where the disk cannot read the file */
async function recoverFile(
  files: Files,
  path: string,
  kind: Kind,
  report: RecoveryReport,
): Promise<RecoveredResult[] | undefined> {
  try {
    switch (kind) {
      case "pack":
        return await recoverPack(files, path, report);
      case "result":
        return await recoverLarge(files, path, report);
      case "partial":
        return [];
    }
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    report.onUnreadable(path, error as Error);
    return undefined;
  }
}

async function recoverPack(
  files: Files,
  path: string,
  report: RecoveryReport,
): Promise<RecoveredResult[]> {
  const scan = new ResultScan(await files.readFile(path));
  const { found, end, lost } = scan.readPack();
  if (lost > 0) await report.damaged.putAside(path, scan.bytes.length, lost);
  await writeMended(files, path, scan, report);
  const isTorn = lost === 0 && end < scan.bytes.length;
  if (isTorn && found.length > 0) await files.truncate(path, end);
  const file: RecordFile = { path, bytes: isTorn ? end : scan.bytes.length, liveBytes: 0 };
  return found.map(({ offset, header, meta }) => {
    file.liveBytes += recordBytes(header);
    return { callId: meta.callId, result: { ...header, file, offset, isChecked: true } };
  });
}

/** Never rejects: a reader mends what the disk does not take. */
async function writeMended(
  files: Files,
  path: string,
  { bytes, mended }: ResultScan,
  { onMended }: RecoveryReport,
): Promise<void> {
  if (mended.length === 0) return;
  onMended(path, mended.length);
  try {
    await changeBytes(
      await files.open(path, "r+"),
      mended.map((offset) => [offset, bytes[offset] as number] as const),
    );
  } catch {
    // A full or failing disk: the next start mends it again.
  }
}

/** A large response's body is not read here: its first reader checks it (body-checks.ts). */
async function recoverLarge(
  files: Files,
  path: string,
  report: RecoveryReport,
): Promise<RecoveredResult[]> {
  const handle = await files.open(path, "r");
  try {
    const { size } = await handle.stat();
    const start = await readStart(handle, RECORD_HEADER_BYTES);
    const header = new ResultScan(start).headerAt(0);
    if (header === undefined || recordBytes(header) !== size) return [];
    const scan = new ResultScan(await readStart(handle, RECORD_HEADER_BYTES + header.metaBytes));
    scan.headerAt(0);
    const meta = scan.metaAt(0, header);
    if (meta === undefined) return [];
    await writeMended(files, path, scan, report);
    const file: RecordFile = { path, bytes: size, liveBytes: size };
    return [{ callId: meta.callId, result: { ...header, file, offset: 0, isChecked: false } }];
  } finally {
    await handle.close();
  }
}

async function readStart(handle: FileHandle, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, await readAll(handle, bytes, 0));
}
