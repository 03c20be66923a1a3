/** The tables of docs/balancing.md are those that the command prints. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { balancingTables } from "./tables.ts";

const PAGE = fileURLToPath(new URL("../../../docs/balancing.md", import.meta.url));

/** The cells of a table, without the padding. */
function cellsOf(markdown: string): string[][] {
  return markdown
    .split("\n")
    .filter((line) => line.startsWith("|") && !line.includes("---"))
    .map((line) => line.split("|").map((cell) => cell.trim()));
}

test("docs/balancing.md has the results of the simulation", () => {
  const page = readFileSync(PAGE, "utf8");
  for (const [name, table] of Object.entries(balancingTables(1))) {
    const [, shown = ""] = page.split(new RegExp(`<!-- /?${name} -->`));
    expect(cellsOf(shown)).toEqual(cellsOf(table));
  }
}, 120_000);
