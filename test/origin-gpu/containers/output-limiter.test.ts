import { expect, test } from "vitest";
import { MIB } from "../../../base/units.ts";
import { LineSplitter } from "../../../origin-gpu/containers/output-lines.ts";
import { OutputBudget, OutputLimiter } from "../../../origin-gpu/containers/output-limiter.ts";
import { ManualTimers } from "../apps/manual-timers.ts";

/** A container's two streams, and what comes out of them. */
function limited() {
  const timers = new ManualTimers();
  let nowMs = 0;
  const budget = new OutputBudget({ now: () => nowMs, timer: timers.later });
  const lines: string[] = [];
  const stream = () =>
    new OutputLimiter(new LineSplitter((line) => lines.push(line)), budget, (leftOut) =>
      lines.push(`(${leftOut} left out)`),
    );
  const secondPasses = (): void => {
    nowMs += 1_000;
    timers.fire();
  };
  return { lines, timers, stdout: stream(), stderr: stream(), secondPasses };
}

/** So large that the burst is over after a few. */
const MANY_LINES = Buffer.from(`${"x".repeat(99)}\n`.repeat(10_000));

test("an output within its rate passes at once and whole", () => {
  const { lines, timers, stdout } = limited();
  stdout.write(Buffer.from("a\nb"));
  stdout.write(Buffer.from("c\n"));
  expect(lines).toEqual(["a", "bc"]);
  expect(timers.delays).toEqual([]);
});

test("a container prints 8 MiB at once and then 1 MiB a second, to the byte; a line costs 64 more", () => {
  let nowMs = 0;
  const budget = new OutputBudget({ now: () => nowMs, timer: new ManualTimers().later });
  const takes = (bytes: number, lines = 0) => budget.take(bytes, lines);
  expect([takes(8 * MIB - 1), takes(1), takes(1)]).toEqual([true, true, false]);
  nowMs += 1_000;
  expect([takes(MIB - 1), takes(1), takes(1)]).toEqual([true, true, false]);
  nowMs += 60_000;
  expect([takes(8 * MIB - 65, 1), takes(1), takes(1)]).toEqual([true, true, false]);
});

test("an output that comes too fast loses lines, which are counted, and never its newest", () => {
  const { lines, stdout, secondPasses } = limited();
  let written = 0;
  for (; written < 40 * 10_000; written += 10_000) stdout.write(MANY_LINES);
  stdout.write(Buffer.from("half a line"));
  stdout.write(Buffer.from(" and its rest\nthe newest\n"));
  written += 2;
  expect(lines.length).toBeLessThan(100_000);
  secondPasses();
  const passed = lines.filter((line) => !line.startsWith("(")).length;
  const leftOut = Number(/\d+/.exec(lines.at(-2) ?? "")?.[0]);
  expect(lines.at(-1)).toBe("the newest");
  expect(passed + leftOut).toBe(written);
});

test("an output without a line's end is cut where a piece is lost", () => {
  const { lines, stdout, secondPasses } = limited();
  for (let count = 0; count < 20; count += 1) stdout.write(Buffer.alloc(1024 * 1024, "x"));
  stdout.write(Buffer.from("y\n"));
  expect(lines.join("").length).toBe(8 * 1024 * 1024);
  secondPasses();
  expect(lines.slice(-1)).toEqual(["(12 left out)"]);
  stdout.end();
});

test("the last words of a container that printed too fast are passed on at its end", () => {
  const { lines, stdout, timers } = limited();
  for (let count = 0; count < 20; count += 1) stdout.write(MANY_LINES);
  stdout.write(Buffer.from("Traceback\n"));
  stdout.write(Buffer.from("out of memory"));
  stdout.end();
  expect(lines.at(-1)).toBe("out of memory");
  expect(lines.at(-2)).toMatch(/^\(\d+ left out\)$/);
  expect(timers.delays).toEqual([]);
});

test("a newest piece that begins with a line is passed on from there", () => {
  const { lines, stdout } = limited();
  for (let count = 0; count < 20; count += 1) stdout.write(MANY_LINES);
  stdout.write(Buffer.from("the end\n"));
  stdout.end();
  expect(lines.at(-1)).toBe("the end");
});

test("a piece that only came late is passed on whole, and nothing is said", () => {
  const { lines, stdout, secondPasses } = limited();
  for (let count = 0; count < 6; count += 1) stdout.write(MANY_LINES);
  const before = lines.length;
  stdout.write(Buffer.from("late\n"));
  expect(lines.length).toBe(before);
  secondPasses();
  expect(lines.slice(before)).toEqual(["late"]);
});

test("both streams of a container share its rate, and earn it back", () => {
  const { lines, stdout, stderr, secondPasses } = limited();
  for (let count = 0; count < 20; count += 1) stdout.write(MANY_LINES);
  const before = lines.length;
  stderr.write(Buffer.from("an error\n"));
  expect(lines.length).toBe(before);
  secondPasses();
  expect(lines.at(-1)).toBe("an error");
  for (let count = 0; count < 10; count += 1) secondPasses();
  stderr.write(Buffer.from("at once\n"));
  expect(lines.at(-1)).toBe("at once");
});
