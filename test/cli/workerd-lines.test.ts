import { expect, test } from "vitest";
import { WorkerdLines } from "../../cli/gateway/workerd-lines.ts";

function printed(lines: readonly string[], atMs = (index: number): number => index): string[] {
  const log: string[] = [];
  const workerd = new WorkerdLines(
    (line) => log.push(line),
    [],
    () => log.push("FULL"),
  );
  for (const [index, line] of lines.entries()) workerd.add(line, atMs(index));
  return log;
}

test("a line says who says it", () => {
  expect(printed(["something is wrong", ""])).toEqual(["workerd: something is wrong"]);
});

test("an answer for a client that has left is no fault, and neither is the stack of it", () => {
  const late =
    "Warning: A promise was resolved or rejected from a different request context than the one it was created in.";
  const lines = [
    late,
    "    at Handover.settle (worker.js:1:2)",
    late,
    "    at <anonymous>",
    "next",
  ];
  expect(printed(lines)).toEqual(["workerd: next"]);
  expect(printed(["Error: another", "    at there (worker.js:1:2)"])).toHaveLength(2);
});

test("a response that broke off is told in our own words", () => {
  const line =
    "workerd/server/server/listen/mod.rs:373: error: Uncaught exception: workerd/jsg/value.h:1535: failed: " +
    "remote.jsg.Error: the response of call 1-2 broke off: the app closed the connection";
  expect(printed([line])).toEqual([
    "the response of call 1-2 broke off: the app closed the connection",
  ]);
});

test("a response whose client has left is no fault", () => {
  const line =
    "uncaught exception; exception = workerd/jsg/value.h:1535: failed: jsg.Error: the client has left";
  expect(printed([line])).toEqual([]);
});

test("more than twenty lines in ten seconds are counted instead", () => {
  const many = Array.from({ length: 50 }, (_, index) => `line ${index}`);
  expect(printed(many)).toHaveLength(20);
  const later = printed([...many, "later"], (index) => (index === 50 ? 20_000 : index));
  expect(later.slice(20)).toEqual(["workerd: 30 more lines were left out", "workerd: later"]);
});

test("the last lines are kept: they say why it died", () => {
  const kept: string[] = [];
  const workerd = new WorkerdLines(
    () => undefined,
    kept,
    () => undefined,
  );
  for (let index = 0; index < 9; index += 1) workerd.add(`line ${index}`, index);
  expect(kept).toEqual(["line 4", "line 5", "line 6", "line 7", "line 8"]);
});

test("lines about a full disk, and the addresses behind them, are an event instead", () => {
  const full =
    "workerd/io/io-context.c++:632: error: e = workerd/util/sqlite.c++:1827: failed: SQLite failed; " +
    "dbErrorMessage(err, db) = database or disk is full: SQLITE_FULL";
  const unreadable =
    "workerd/jsg/util.c++:415: error: e = workerd/util/sqlite.c++:914: failed: SQLite failed; " +
    "dbErrorMessage(prepareResult, db) = disk I/O error: SQLITE_IOERR (extended: SQLITE_IOERR_SHMSIZE)";
  const stack = "stack: /bin/workerd@3fdbce7 /bin/workerd@3fedb55";
  expect(printed([full, stack, unreadable, stack, "another"])).toEqual([
    "FULL",
    "FULL",
    "workerd: another",
  ]);
  expect(printed([stack])).toEqual([`workerd: ${stack}`]);
});
