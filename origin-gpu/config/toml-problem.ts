/** The message for a file that is no TOML: the reason, the line's text, and what a word without quotes lacks. */
import type { TomlError } from "smol-toml";

const MAX_LINE_CHARACTERS = 80;
const MAX_WORD_CHARACTERS = 40;

/** @param text the file's */
export function tomlProblem(error: TomlError, text: string): string {
  const [reason = ""] = error.message.replace("Invalid TOML document: ", "").split("\n");
  const line = text.split(/\r?\n/)[error.line - 1] ?? "";
  const shown = cut(line.trim(), MAX_LINE_CHARACTERS);
  const place = shown === "" ? "" : `: ${shown}`;
  // Columns count from 1.
  const remedy = reason === "invalid value" ? remedyOf(line.slice(error.column - 1)) : "";
  return `not valid TOML: ${reason}${place}${remedy}`;
}

/** @param value what stands in a value's place, and the rest of the line */
function remedyOf(value: string): string {
  const [word] = /^[\p{L}_./][^\s,\]}#"']*/u.exec(value) ?? [];
  if (word === undefined) return "";
  if (/^(?:true|false)$/i.test(word)) return "; true and false are written in small letters";
  return `; text needs quotes: "${cut(word, MAX_WORD_CHARACTERS)}"`;
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
