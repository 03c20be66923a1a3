/** Markdown as `npm run format` leaves it, so that a generated page needs no other pass. */

/** A table with a head; cells are Markdown, columns are padded to equal width. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", String.raw`\|`)));
  const widths = head.map((_, column) =>
    Math.max(3, ...all.map((row) => (row[column] ?? "").length)),
  );
  const lineOf = (row: readonly string[]) =>
    `| ${widths.map((width, column) => (row[column] ?? "").padEnd(width)).join(" | ")} |`;
  const [first = [], ...body] = all;
  const rule = widths.map((width) => "-".repeat(width));
  return [first, rule, ...body].map(lineOf).join("\n");
}

/**
 * Replaces what stands between `<!-- generated: NAME -->` and `<!-- end -->`.
 * @throws Error where the page has no such part
 */
export function replacePart(page: string, name: string, content: string): string {
  const opening = `<!-- generated: ${name} -->\n`;
  const start = page.indexOf(opening);
  const end = page.indexOf("<!-- end -->", start);
  if (start === -1 || end === -1) throw new Error(`the page has no part "${name}" to generate`);
  return `${page.slice(0, start)}${opening}\n${content}\n\n${page.slice(end)}`;
}
