/** A file that is no TOML: the message has the line, and says what a word without quotes lacks. */
import { expect, test } from "vitest";
import { parseConfig } from "../../../origin-gpu/config/parse.ts";
import { formatProblems } from "../../../origin-gpu/config/problems.ts";

function problemOf(text: string): string {
  const result = parseConfig(text, "postern.toml");
  return result.ok ? "" : formatProblems(result.problems);
}

test.each([
  ["app = hello", '1: not valid TOML: invalid value: app = hello; text needs quotes: "hello"'],
  ['\nx = ["b", main:app] # c', 'x = ["b", main:app] # c; text needs quotes: "main:app"'],
  ["x = True", "x = True; true and false are written in small letters"],
  ["x = FALSE", "x = FALSE; true and false are written in small letters"],
  ["[[endpoint]\n", "1: not valid TOML: expected end of table array declaration: [[endpoint]"],
  [
    "x = 1\n  timeout = 10s",
    "2: not valid TOML: illegal character in numeric literal: timeout = 10s",
  ],
  ["x = ", "1: not valid TOML: invalid value: x ="],
])("%j", (text, message) => {
  const problem = problemOf(text);
  expect(problem).toContain(message);
  expect(problem.endsWith(message)).toBe(true);
});

test("a long line is cut, and one without text is not shown", () => {
  expect(problemOf(`x = ${"y".repeat(500)}`).length).toBeLessThan(220);
  expect(problemOf("x = [1\n")).toMatch(/^postern\.toml:\d: not valid TOML: [a-z -]+$/);
});
