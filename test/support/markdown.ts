/** The fenced blocks of a Markdown document, for tests that hold documents against what they describe. */

export interface FencedBlock {
  /** The first word after the fence: `sh`, `toml`, `text`, … */
  readonly language: string;
  /** What follows it, e.g. a file's name; empty where nothing does. */
  readonly argument: string;
  /** Without the line break at its end. */
  readonly content: string;
  /** The heading of the second level that it stands under; empty before the first. */
  readonly section: string;
  /** Of the opening fence, from 1. */
  readonly line: number;
}

const FENCE = /^```(\S*) ?(.*)$/;

/** Returns them in their order; throws where one is not closed. */
export function fencedBlocks(markdown: string): FencedBlock[] {
  const blocks: FencedBlock[] = [];
  let section = "";
  let open: { language: string; argument: string; line: number; lines: string[] } | undefined;
  for (const [index, text] of markdown.split("\n").entries()) {
    const [, language = "", argument = ""] = FENCE.exec(text) ?? [];
    if (open !== undefined && text === "```") {
      const { lines, ...head } = open;
      blocks.push({ ...head, content: lines.join("\n"), section });
      open = undefined;
    } else if (open !== undefined) open.lines.push(text);
    else if (text.startsWith("```"))
      open = { language, argument: argument.trim(), line: index + 1, lines: [] };
    else if (text.startsWith("## ")) section = text.slice(3);
  }
  if (open !== undefined) throw new Error(`the block in line ${open.line} is not closed`);
  return blocks;
}

/** The body rows of every table: their cells, trimmed. */
export function tableRows(markdown: string): string[][] {
  const lines = markdown.split("\n");
  return lines.flatMap((line, index) => {
    const isRow = line.startsWith("|") && !isRule(line) && !isRule(lines[index + 1] ?? "");
    return isRow ? [cellsOf(line)] : [];
  });
}

function isRule(line: string): boolean {
  return /^\|[ :|-]+\|$/.test(line);
}

/** A `\|` is a bar inside a cell. */
function cellsOf(line: string): string[] {
  return line
    .slice(1, -1)
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll("\\|", "|"));
}
