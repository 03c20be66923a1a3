import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  LastLines,
  LineSplitter,
  MAX_LINE_CHARACTERS,
} from "../../../origin-gpu/containers/output-lines.ts";

function split(...chunks: (string | Buffer)[]): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  for (const chunk of chunks) splitter.write(Buffer.from(chunk));
  splitter.end();
  return lines;
}

describe("an output's lines", () => {
  test("are the same however the bytes arrive", () => {
    const text = fc.array(fc.constantFrom("a", "é", "€", "😀", "\n", "\r", " ", "\u001b[31m"));
    fc.assert(
      fc.property(text, fc.array(fc.nat(40)), (parts, cuts) => {
        const bytes = Buffer.from(parts.join(""));
        const places = cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b);
        const chunks = [0, ...places].map((start, index) =>
          bytes.subarray(start, places[index] ?? bytes.length),
        );
        expect(split(...chunks)).toEqual(split(bytes));
      }),
    );
  });

  test.each([
    ["one\ntwo\n", ["one", "two"]],
    ["no end", ["no end"]],
    ["a\n\nb\n", ["a", "", "b"]],
    ["windows\r\nlines\r\n", ["windows", "lines"]],
    ["\u001b[31mred\u001b[0m\n", ["\u001b[31mred\u001b[0m"]],
    ["", []],
  ])("of %j", (text, lines) => {
    expect(split(text)).toEqual(lines);
  });

  test("of a progress bar are its last state", () => {
    expect(split("loading\n", "\r10%", "\r20%", "\r100%", "\ndone\n")).toEqual([
      "loading",
      "100%",
      "done",
    ]);
  });

  test("a progress bar that never ends holds no more than its last state", () => {
    const lines: string[] = [];
    const splitter = new LineSplitter((line) => lines.push(line));
    for (let percent = 0; percent < 10_000; percent++)
      splitter.write(Buffer.from(`\r${percent} of it`));
    expect(lines).toEqual([]);
    splitter.end();
    expect(lines).toEqual(["9999 of it"]);
  });

  test("a line without an end goes out in pieces of bounded length", () => {
    const chunks = Array.from({ length: 100 }, () => "x".repeat(1000));
    const whole = split("x".repeat(100_000));
    expect(split(...chunks)).toEqual(whole);
    expect(whole.join("")).toBe("x".repeat(100_000));
    expect(Math.max(...whole.map((line) => line.length))).toBe(MAX_LINE_CHARACTERS);
  });
});

test("of many lines, the last 50 are kept", () => {
  const last = new LastLines();
  for (let number = 1; number <= 120; number++) last.push(String(number));
  expect(last.lines).toHaveLength(50);
  expect(last.lines.at(0)).toBe("71");
  expect(last.lines.at(-1)).toBe("120");
});
