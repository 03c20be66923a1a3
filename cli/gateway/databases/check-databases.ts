/**
 * Looks for damage in the databases of the objects while no workerd has them open: before it starts, and by a record of
 * their pages' checksums when it has ended. It refuses a file that is damaged and can't be mended: a bit may have made
 * another token valid, or an old one valid again.
 */

import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { codeOf, CommandFailure, reasonOf } from "../../failure.ts";
import {
  checksumsOf,
  mendPages,
  modifiedAtNs,
  type PageChecksums,
  readChecksums,
  writeChecksums,
} from "./page-checksums.ts";
import { judgeWal } from "./wal.ts";

/** SQLite's result codes for content that it can't take for a database: SQLITE_CORRUPT and SQLITE_NOTADB. */
const DAMAGE_CODES: ReadonlySet<number> = new Set([11, 26]);

export interface CheckedPaths {
  /** The folder with the databases, in folders for each class. */
  readonly objectsPath: string;
  /** The record of their checksums. */
  readonly checksumsPath: string;
}

/**
 * Checks the databases, and mends what one flipped bit explains, with a notice for each file.
 * @throws {CommandFailure} with a line for each file that is damaged beyond that, which says what to do
 */
export function checkDatabases(paths: CheckedPaths, notice: (line: string) => void): void {
  const { checksums, damaged } = readChecksums(paths.checksumsPath);
  if (damaged > 0) notice(`${paths.checksumsPath} is damaged, and is written anew`);
  const problems: string[] = [];
  const now = new Map<string, PageChecksums>();
  for (const database of databasesIn(paths.objectsPath)) {
    const path = join(paths.objectsPath, database);
    const record = checksums.get(database);
    const isRecorded = record?.modifiedAtNs === modifiedAtNs(path);
    const pages = isRecorded ? checkPages(path, record, notice) : undefined;
    const found = [pages, checkLog(`${path}-wal`, notice)].filter(
      (problem) => problem !== undefined,
    );
    const isSettled = isRecorded && !hasLog(path);
    if (found.length === 0 && !isSettled) found.push(...checkStructure(path, notice));
    problems.push(...found);
    if (found.length === 0) now.set(database, recordOf(path, record));
  }
  if (problems.length > 0) throw new CommandFailure(problems.join("\n"));
  keepRecord(paths, now, notice);
}

/** Records the checksums of databases that no process has open any more. Never throws. */
export function recordDatabases(paths: CheckedPaths, notice: (line: string) => void): void {
  try {
    const { checksums } = readChecksums(paths.checksumsPath);
    const now = databasesIn(paths.objectsPath).map((database) => {
      const path = join(paths.objectsPath, database);
      return [database, recordOf(path, checksums.get(database))] as const;
    });
    keepRecord(paths, new Map(now), notice);
  } catch (error) {
    notice(`can't read ${paths.objectsPath}: ${reasonOf(error)}`);
  }
}

/** The record of a file: the one before where it was not written since, so that a bit that flipped meanwhile shows. */
function recordOf(path: string, before: PageChecksums | undefined): PageChecksums {
  return before?.modifiedAtNs === modifiedAtNs(path) ? before : checksumsOf(path);
}

function keepRecord(
  { checksumsPath }: CheckedPaths,
  checksums: ReadonlyMap<string, PageChecksums>,
  notice: (line: string) => void,
): void {
  try {
    writeChecksums(checksumsPath, checksums);
  } catch (error) {
    // A full disk must not keep a gateway from starting or ending.
    notice(`can't write ${checksumsPath}: ${reasonOf(error)}`);
  }
}

function databasesIn(objectsPath: string): string[] {
  return (readdirSync(objectsPath, { recursive: true }) as string[])
    .filter((name) => name.endsWith(".sqlite"))
    .toSorted();
}

function checkPages(
  path: string,
  record: PageChecksums,
  notice: (line: string) => void,
): string | undefined {
  const { mended, damaged } = mendPages(path, record);
  if (mended.length > 0) notice(`${path}: mended a flipped bit in page ${mended.join(", ")}`);
  if (damaged.length === 0) return undefined;
  return (
    `${path} is damaged: page ${damaged.join(", ")} is not as it was written; ` +
    "put the file back from a backup, or `touch` it to go on with it as it is"
  );
}

function checkLog(path: string, notice: (line: string) => void): string | undefined {
  const content = readIfThere(path);
  if (content === undefined) return undefined;
  const verdict = judgeWal(content);
  if (verdict.kind === "mended") {
    writeFileSync(path, content, { flush: true });
    notice(
      `${path}: mended ${verdict.bits === 1 ? "a flipped bit" : `${verdict.bits} flipped bits`}`,
    );
  }
  if (verdict.kind !== "damaged") return undefined;
  return (
    `${path} is damaged: changes can't be read behind byte ${verdict.keepBytes} of ${content.length}; put the state ` +
    `directory back from a backup, or go on without them: truncate -s ${verdict.keepBytes} ${path}`
  );
}

function hasLog(path: string): boolean {
  return (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

/** Lets SQLite read all of a database. It takes in the log, as a process does that has it open last. */
function checkStructure(path: string, notice: (line: string) => void): string[] {
  try {
    const database = new DatabaseSync(path);
    try {
      const row = database.prepare("PRAGMA integrity_check(1)").get();
      const found = String(row?.["integrity_check"]);
      return found === "ok" ? [] : [brokenDatabase(path, found)];
    } finally {
      database.close();
    }
  } catch (error) {
    if (isDamage(error)) return [brokenDatabase(path, reasonOf(error))];
    // Such as a full disk. workerd says what it can't open.
    notice(`can't check ${path}: ${reasonOf(error)}`);
    return [];
  }
}

function brokenDatabase(path: string, found: string): string {
  const [reason] = found.split("\n").slice(-1);
  return `${path} is damaged (${reason}); put the file back from a backup, or move it away to go on without what it holds`;
}

function isDamage(error: unknown): boolean {
  if (!(error instanceof Error) || !("errcode" in error)) return false;
  // The low byte of an extended code is the code.
  return typeof error.errcode === "number" && DAMAGE_CODES.has(error.errcode & 0xff);
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw new CommandFailure(`can't read ${path}: ${reasonOf(error)}`);
  }
}
