/** What the fault matrix saw, as the table of docs/faults.md, and the comparison of the two. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

import type { Outcome } from "./call-client.ts";
import { tableRows } from "./markdown.ts";

const PAGE = fileURLToPath(new URL("../../docs/faults.md", import.meta.url));

/** The page's two tables, each under a heading of its own. */
const HEADINGS = {
  clients: "## What the waiting client gets",
  afterwards: "## What a client gets that asks again",
} as const;
type Part = keyof typeof HEADINGS;

const NOT_TRIED = "–";

export class FaultTable {
  /** The moments at which each fault is tried. */
  readonly #faults: Readonly<Record<string, readonly string[]>>;
  readonly #moments: readonly string[];
  readonly #cells = new Map<string, readonly Outcome[]>();

  constructor(faults: Readonly<Record<string, readonly string[]>>) {
    this.#faults = faults;
    this.#moments = [...new Set(Object.values(faults).flat())];
  }

  set(part: Part, fault: string, moment: string, outcomes: readonly Outcome[]): void {
    this.#cells.set(`${part}/${fault}/${moment}`, outcomes);
  }

  /** Fails when something happened that the page does not tell. */
  expectDocumented(fault: string, moment: string): void {
    if (this.#updates) return;
    const page = readFileSync(PAGE, "utf8");
    for (const part of Object.keys(HEADINGS) as Part[]) {
      const [, section = ""] = page.split(HEADINGS[part]);
      const row = tableRows(section.split("\n## ")[0] ?? "").find(([name]) => name === fault);
      const told = row?.[this.#moments.indexOf(moment) + 1] ?? "";
      const seen = new Set(this.#cells.get(`${part}/${fault}/${moment}`));
      for (const outcome of seen)
        expect(told, `docs/faults.md: ${part}, ${fault}`).toContain(outcome);
    }
  }

  /** Writes the page's tables anew, where `UPDATE_FAULTS=1` asks for it and every cell was filled. */
  keep(): void {
    const cells = Object.keys(HEADINGS).length * Object.values(this.#faults).flat().length;
    if (!this.#updates || this.#cells.size !== cells) return;
    let page = readFileSync(PAGE, "utf8");
    for (const part of Object.keys(HEADINGS) as Part[]) {
      const [before = "", after = ""] = page.split(HEADINGS[part]);
      const [intro = ""] = after.split("\n|", 1);
      const [, ...following] = after.split("\n## ");
      const rest = following.map((section) => `\n## ${section}`).join("");
      page = `${before}${HEADINGS[part]}${intro}\n${this.#lines(part).join("\n")}\n${rest}`;
    }
    writeFileSync(PAGE, page);
  }

  toString(): string {
    return (Object.keys(HEADINGS) as Part[])
      .map((part) => `${HEADINGS[part].slice(3)}\n${this.#lines(part).join("\n")}\n`)
      .join("\n");
  }

  get #updates(): boolean {
    return process.env["UPDATE_FAULTS"] === "1";
  }

  #row(part: Part, fault: string): string[] {
    const cells = this.#moments.map((moment) => this.#cells.get(`${part}/${fault}/${moment}`));
    return [fault, ...cells.map((outcomes) => counted(outcomes))];
  }

  /** The lines of one table, its columns as wide as the formatter makes them. */
  #lines(part: Part): string[] {
    const rows = [
      ["fault", ...this.#moments],
      ...Object.keys(this.#faults).map((fault) => this.#row(part, fault)),
    ];
    const widths = rows[0]?.map((_, column) =>
      Math.max(...rows.map((row) => row[column]?.length ?? 0)),
    );
    const line = (cells: readonly string[], fill: string): string =>
      `| ${cells.map((cell, column) => cell.padEnd(widths?.[column] ?? 0, fill)).join(" | ")} |`;
    const [head = [], ...body] = rows;
    const rule = line(
      head.map(() => ""),
      "-",
    );
    return [line(head, " "), rule, ...body.map((row) => line(row, " "))];
  }
}

/** `15 answer, 5 broken`, the most frequent first. */
function counted(outcomes: readonly Outcome[] | undefined): string {
  if (outcomes === undefined) return NOT_TRIED;
  const counts = new Map<Outcome, number>();
  for (const outcome of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return [...counts]
    .toSorted(([, a], [, b]) => b - a)
    .map(([outcome, count]) => `${count} ${outcome}`)
    .join(", ");
}
