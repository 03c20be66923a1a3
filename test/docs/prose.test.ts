/**
 * CONTRIBUTING.md's rules for prose that a program can check, in comments and pages. `WRITTEN` lists the parts
 * of the repository that keep them.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Files, or folders with all that is below them. */
const WRITTEN = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "CHANGELOG.md",
  "api",
  "auth",
  "base",
  "cli",
  "docs",
  "gateway",
  "origin-gpu",
  "routing",
  "tools",
];

const MOST_WORDS = 30;

/** A list of codes is as long as what it lists. */
const LISTED_CODE = /`[^`]+`, /g;

function filesOf(part: string): string[] {
  if (/\.\w+$/.test(part)) return [part];
  return readdirSync(join(ROOT, part), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(?:ts|md)$/.test(name))
    .map((name) => `${part}/${name}`);
}

/** The sentences of a page or of a file's comments; table cells and list items are sentences of their own. */
function sentencesOf(path: string): string[] {
  const text = readFileSync(join(ROOT, path), "utf8");
  const prose = path.endsWith(".md") ? pageProse(text) : commentProse(text);
  return prose
    .flatMap((part) => part.replaceAll(/\s+/g, " ").split(/(?<=[.;:!?]\**) /))
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== "");
}

function pageProse(text: string): string[] {
  const prose = text.replaceAll(/^ *```[^]*?^ *```$/gm, "\n\n").replaceAll(/^ {4}.*$/gm, "");
  return prose.split(/\n\n|^\s*(?:[-*]|\d+\.) |\|/m);
}

function commentProse(text: string): string[] {
  const comments = [...text.matchAll(/^\s*(\/\*\*[^]*?\*\/|(?:\/\/ .*\n\s*)+)/gm)];
  return comments.flatMap(([, comment = ""]) =>
    comment.replaceAll(/^\s*(?:\/\*\*|\*\/|\*|\/\/)|\*\//gm, "").split(/@\w+/),
  );
}

describe.each(WRITTEN.flatMap(filesOf))("%s", (path) => {
  const sentences = sentencesOf(path);

  test("names its actors: no sentence begins with whoever, whatever, what or nobody", () => {
    const wrong = /^[("*]*(?:Whoever|Whatever|What|Nobody) (?!works today)/;
    expect(sentences.filter((sentence) => wrong.test(sentence))).toEqual([]);
  });

  test(`has no sentence of more than ${MOST_WORDS} words`, () => {
    const wordsOf = (sentence: string) => sentence.replaceAll(LISTED_CODE, "").split(" ");
    const long = sentences.filter((sentence) => wordsOf(sentence).length > MOST_WORDS);
    expect(long).toEqual([]);
  });
});
