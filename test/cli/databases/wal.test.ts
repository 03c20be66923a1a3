/** Logs that SQLite itself wrote, read again by SQLite after each damage. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";

import { judgeWal } from "../../../cli/gateway/databases/wal.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

const PAGE_BYTES = 512;
const FRAME_BYTES = 24 + PAGE_BYTES;
const CHANGES = 6;

/** A database and its log with a frame or some for each of `CHANGES` changes, as a killed process leaves them. */
function killedDatabase(options: { afterCheckpoint?: boolean } = {}): {
  main: Buffer;
  wal: Buffer;
} {
  const path = join(temporaryDirectory(), "there.sqlite");
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA page_size=${PAGE_BYTES}; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL`);
  database.exec("CREATE TABLE notes (number INTEGER PRIMARY KEY, text TEXT)");
  const change = (number: number) =>
    database.prepare("INSERT INTO notes VALUES (?, ?)").run(number, "x".repeat(200));
  if (options.afterCheckpoint === true) {
    // Leaves a long log, from whose begin SQLite goes on: an earlier generation stands behind the end.
    for (let number = 100; number < 120; number += 1) change(number);
    database.exec("PRAGMA wal_checkpoint(RESTART); DELETE FROM notes");
  }
  for (let number = 0; number < CHANGES; number += 1) change(number);
  const files = { main: readFileSync(path), wal: readFileSync(`${path}-wal`) };
  database.close();
  return files;
}

/** How many of the changes SQLite finds. */
function changesIn({ main, wal }: { main: Buffer; wal: Buffer }): number {
  const path = join(temporaryDirectory(), "again.sqlite");
  writeFileSync(path, main);
  writeFileSync(`${path}-wal`, wal);
  const database = new DatabaseSync(path);
  try {
    const row = database.prepare("SELECT count(*) AS found FROM notes").get();
    return Number(row?.["found"]);
  } catch {
    // The table itself stands in the log.
    return 0;
  } finally {
    database.close();
  }
}

function flipped(content: Buffer, bit: number): Buffer {
  const copy = Buffer.from(content);
  copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
  return copy;
}

test("a log that is whole says so, also with frames of an earlier generation behind its end", () => {
  for (const files of [killedDatabase(), killedDatabase({ afterCheckpoint: true })]) {
    const before = Buffer.from(files.wal);
    expect(judgeWal(files.wal)).toEqual({ kind: "whole" });
    expect(files.wal).toEqual(before);
    expect(changesIn(files)).toBe(CHANGES);
  }
});

test.each([{ afterCheckpoint: false }, { afterCheckpoint: true }])(
  "any one flipped bit is mended or told: %o",
  (options) => {
    const { main, wal } = killedDatabase(options);
    const told = { mended: 0, damaged: 0, harmless: 0 };
    // Each of a byte's bits and of a word's bytes comes by: the step has no divisor in common with them.
    for (let bit = 0; bit < 8 * wal.length; bit += 19) {
      const damaged = flipped(wal, bit);
      const verdict = judgeWal(damaged);
      if (verdict.kind === "mended") {
        told.mended += 1;
        if (!damaged.equals(wal)) throw new Error(`bit ${bit} was mended wrongly`);
      } else if (verdict.kind === "damaged") {
        told.damaged += 1;
      } else {
        // Frames of an earlier generation are no part of the log.
        told.harmless += 1;
        if (bit % 101 === 0) expect(changesIn({ main, wal: damaged }), `${bit}`).toBe(CHANGES);
      }
    }
    expect(told.mended).toBeGreaterThan(2 * told.damaged);
    expect(told.harmless > 0).toBe(options.afterCheckpoint);
  },
);

test("the part to keep of a damaged log is what SQLite reads of it", () => {
  const { main, wal } = killedDatabase();
  let told = 0;
  for (let at = 32; at + 3 * FRAME_BYTES <= wal.length; at += FRAME_BYTES) {
    const damaged = Buffer.from(wal);
    damaged.fill(0xa5, at + 100, at + 300);
    const verdict = judgeWal(damaged);
    if (verdict.kind !== "damaged") continue;
    told += 1;
    const kept = damaged.subarray(0, verdict.keepBytes);
    expect(changesIn({ main, wal: kept })).toBe(changesIn({ main, wal: damaged }));
    expect(changesIn({ main, wal: damaged })).toBeLessThan(CHANGES);
  }
  expect(told).toBeGreaterThan(2);
});

test("a torn end is no damage: the last change was never acknowledged", () => {
  const { main, wal } = killedDatabase();
  for (let length = 0; length < wal.length; length += 97) {
    expect(judgeWal(Buffer.from(wal.subarray(0, length))), `${length} bytes`).toEqual({
      kind: "whole",
    });
  }
  // A last frame of which the disk has one half.
  const torn = Buffer.from(wal);
  torn.fill(0, wal.length - PAGE_BYTES / 2);
  expect(judgeWal(torn)).toEqual({ kind: "whole" });
  expect(changesIn({ main, wal: torn })).toBeLessThan(CHANGES);
});
