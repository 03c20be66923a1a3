import { mkdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";

import { checkDatabases, recordDatabases } from "../../../cli/gateway/databases/check-databases.ts";
import { keepingTimes, rot } from "../../support/rot.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

const NOTES = 400;

function state() {
  const directory = temporaryDirectory();
  const paths = {
    objectsPath: join(directory, "objects"),
    checksumsPath: join(directory, "checksums"),
  };
  mkdirSync(join(paths.objectsPath, "names"), { recursive: true });
  const path = join(paths.objectsPath, "names", "one.sqlite");
  const told: string[] = [];
  const notice = (line: string) => told.push(line);
  return {
    path,
    checksumsPath: paths.checksumsPath,
    told,
    check: () => checkDatabases(paths, notice),
    record: () => recordDatabases(paths, notice),
  };
}

/** Fills a database of a page for every few notes. */
function fill(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  database.exec(
    "PRAGMA journal_mode=WAL; CREATE TABLE notes (number INTEGER PRIMARY KEY, text TEXT)",
  );
  const insert = database.prepare("INSERT INTO notes VALUES (?, ?)");
  for (let number = 0; number < NOTES; number += 1) insert.run(number, `note ${number} `.repeat(9));
  return database;
}

/** Leaves database and log as a killed process does. */
function killed(path: string): { wal: Buffer } {
  const database = fill(path);
  const files = { main: readFileSync(path), wal: readFileSync(`${path}-wal`) };
  database.close();
  writeFileSync(path, files.main);
  writeFileSync(`${path}-wal`, files.wal);
  return files;
}

function notesIn(path: string): number {
  const database = new DatabaseSync(path);
  try {
    return Number(database.prepare("SELECT count(*) AS found FROM notes").get()?.["found"]);
  } finally {
    database.close();
  }
}

test("one flipped bit in each of some pages is mended, and said", () => {
  const { path, told, check, record } = state();
  fill(path).close();
  record();
  const before = readFileSync(path);
  expect(told).toEqual([]);
  rot(path, [77, 8 * 4096 + 5, 8 * (2 * 4096 + 4095)]);
  check();
  expect(readFileSync(path)).toEqual(before);
  expect(told).toEqual([`${path}: mended a flipped bit in page 1, 2, 3`]);
  check();
  expect(told).toHaveLength(1);
});

test("two in a page are refused, in a value that SQLite would not miss, until somebody touches the file", () => {
  const { path, check, record } = state();
  fill(path).close();
  record();
  const at = readFileSync(path).indexOf("note 100 ");
  rot(path, [8 * at, 8 * at + 9]);
  const page = 1 + Math.floor(at / 4096);
  const refusal =
    `${path} is damaged: page ${page} is not as it was written; ` +
    "put the file back from a backup, or `touch` it to go on with it as it is";
  expect(check).toThrow(refusal);
  expect(check).toThrow(refusal);
  utimesSync(path, new Date(), new Date());
  check();
  expect(notesIn(path)).toBe(NOTES);
});

test("a file that lost its end is refused", () => {
  const { path, check, record } = state();
  fill(path).close();
  record();
  keepingTimes(path, () => truncateSync(path, 2 * 4096));
  expect(check).toThrow(/is damaged: page 3, 4, .* is not as it was written/);
});

test("pages written since the record are judged by SQLite alone", () => {
  const { path, told, check, record } = state();
  fill(path).close();
  record();
  const database = new DatabaseSync(path);
  database.exec("INSERT INTO notes VALUES (1000, 'later')");
  database.close();
  check();
  expect(told).toEqual([]);
  expect(notesIn(path)).toBe(NOTES + 1);
  const content = readFileSync(path);
  // The type of a page that SQLite's tree leads to.
  content[2 * 4096] = 0xff;
  writeFileSync(path, content);
  expect(check).toThrow(
    /is damaged \(.+\); put the file back from a backup, or move it away to go on without what it holds$/,
  );
});

test("a flipped bit in the log of a killed gateway is mended before SQLite reads it", () => {
  const { path, told, check } = state();
  const files = killed(path);
  // A low bit of a page's content is located by the log's checksum.
  rot(`${path}-wal`, [8 * (files.wal.length - 2000)]);
  check();
  expect(told).toEqual([`${path}-wal: mended a flipped bit`]);
  expect(notesIn(path)).toBe(NOTES);
});

test("a log that can't be mended is refused, until it is cut where the message says", () => {
  const { path, check } = state();
  const { wal } = killed(path);
  const damaged = Buffer.from(wal);
  damaged.fill(0xa5, wal.length - 40_000, wal.length - 39_000);
  writeFileSync(`${path}-wal`, damaged);
  let refusal = "";
  try {
    check();
  } catch (error) {
    refusal = (error as Error).message;
  }
  expect(refusal).toMatch(/-wal is damaged: changes can't be read behind byte \d+ of \d+; put/);
  const [, bytes, file] = /truncate -s (\d+) (\S+)$/.exec(refusal) as unknown as string[];
  truncateSync(file as string, Number(bytes));
  check();
  const found = notesIn(path);
  expect(found).toBeGreaterThan(0);
  expect(found).toBeLessThan(NOTES);
});

test("all damaged files are named at once, and a damaged record is written anew", () => {
  const { path, checksumsPath, told, check, record } = state();
  const other = path.replace("one", "other");
  for (const each of [path, other]) fill(each).close();
  record();
  for (const each of [path, other]) rot(each, [1, 2]);
  expect(check).toThrow(new RegExp(`^${path} is damaged.*\n${other} is damaged`));
  rot(checksumsPath, [8 * 100]);
  for (const each of [path, other]) rot(each, [1, 2]);
  check();
  expect(told).toEqual([`${checksumsPath} is damaged, and is written anew`]);
  check();
  expect(told).toHaveLength(1);
});
