import { describe, expect, test } from "vitest";
import { replacePart, table } from "../../tools/generate/markdown.ts";

describe("a generated table", () => {
  test("has columns of one width, and no bar inside a cell that would end it", () => {
    const rows = [
      ["`a|b`", "1"],
      ["c", "a longer one"],
    ];
    expect(table(["name", "n"], rows).split("\n")).toEqual([
      "| name   | n            |",
      "| ------ | ------------ |",
      String.raw`| ${"`a\\|b`"} | 1            |`,
      "| c      | a longer one |",
    ]);
  });
});

describe("a generated part", () => {
  const page = "before\n<!-- generated: list -->\nold\n<!-- end -->\nafter\n";

  test("replaces what stands between its marks, and nothing else", () => {
    const replaced = replacePart(page, "list", "new");
    expect(replaced).toBe("before\n<!-- generated: list -->\n\nnew\n\n<!-- end -->\nafter\n");
    expect(replacePart(replaced, "list", "new")).toBe(replaced);
  });

  test("is refused where the page has no such marks", () => {
    expect(() => replacePart(page, "other", "new")).toThrow(/no part "other"/);
  });
});
