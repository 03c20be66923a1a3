/** The table of docs/pools.md is the one that the command prints. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { autoscalerTable } from "./table.ts";

const PAGE = fileURLToPath(new URL("../../../docs/pools.md", import.meta.url));

/** The cells of a table, without the padding. */
function cellsOf(markdown: string): string[][] {
  return markdown
    .split("\n")
    .filter((line) => line.startsWith("|") && !line.includes("---"))
    .map((line) => line.split("|").map((cell) => cell.trim()));
}

test("docs/pools.md has the results of the autoscaler", () => {
  const [, shown = ""] = readFileSync(PAGE, "utf8").split(/<!-- \/?autoscaler -->/);
  expect(cellsOf(shown)).toEqual(cellsOf(autoscalerTable()));
}, 60_000);
