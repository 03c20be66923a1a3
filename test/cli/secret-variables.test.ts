import { describe, expect, test } from "vitest";

import { dotenvVariables, pairsOf } from "../../cli/secret-variables.ts";
import { CommandFailure, UsageError } from "../../cli/failure.ts";

describe("KEY=VALUE", () => {
  test("ends its key at the first equals sign, and may have an empty value", () => {
    expect([...pairsOf(["A=b=c", "_x1=", "B= d "])]).toEqual([
      ["A", "b=c"],
      ["_x1", ""],
      ["B", " d "],
    ]);
  });

  test.each(["hf_token", "=hunter2", "A-B=hunter2", "1A=hunter2", "", "A B=hunter2"])(
    "%j is refused without being repeated",
    (word) => {
      const refused = thrownBy(() => pairsOf(["GOOD=x", word]));
      expect(refused).toBeInstanceOf(UsageError);
      expect(refused.message).toMatch(/^argument 2 after the secret's name is not KEY=VALUE/);
      expect(refused.message).not.toMatch(/hunter2|hf_token/);
    },
  );

  test("is refused twice for one key", () => {
    expect(() => pairsOf(["A=1", "A=2"])).toThrow("A is given twice");
  });
});

describe("a dotenv file", () => {
  test.each([
    ["A=1\nB=2\n", { A: "1", B: "2" }],
    ["\uFEFFA=1\r\nB=2\r\n", { A: "1", B: "2" }],
    ["# no\n\n  export A = 1 # no\nB=x#y\n", { A: "1", B: "x" }],
    [`A="a # b"\nB='it "is"'\nC=\`x'y"z\``, { A: "a # b", B: 'it "is"', C: "x'y\"z" }],
    ['A="l1\\nl2"\nB=\'l1\\nl2\'\nC="l1\nl2"', { A: "l1\nl2", B: "l1\\nl2", C: "l1\nl2" }],
    ["A=$HOME ${B}\nB=", { A: "$HOME ${B}", B: "" }],
    ["A=1\nA=2", { A: "2" }],
    ["A=b=c==\nnothing\n", { A: "b=c==" }],
  ])("%j", (text, expected) => {
    expect(Object.fromEntries(dotenvVariables(text, ".env"))).toEqual(expected);
  });

  test("without a variable is refused", () => {
    expect(() => dotenvVariables("# nothing\n", ".env")).toThrow(".env: has no line NAME=value");
  });

  test("with a key that is no name is refused without its text", () => {
    const refused = thrownBy(() => dotenvVariables("A=1\nMIIEvQ/IBADAN=\n", "key.env"));
    expect(refused).toBeInstanceOf(CommandFailure);
    expect(refused.message).toBe("key.env: variable 2 has no right name; is a value to be quoted?");
  });
});

function thrownBy(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}
