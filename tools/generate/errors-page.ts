/** docs/errors.md: its list of codes, from the table of errors. */
import { ERRORS } from "../../routing/wire/errors.ts";
import { replacePart, table } from "./markdown.ts";

const HEAD = ["status", "code", "when", "may have run", "what helps"];

/** Renders the page anew. @param present its text, whose prose stays */
export function errorsPage(present: string): string {
  const rows = Object.entries(ERRORS).map(([code, { status, when, mayHaveRun, remedy }]) => [
    `${status}`,
    `\`${code}\``,
    when,
    mayHaveRun ? "yes" : "no",
    remedy,
  ]);
  return replacePart(present, "codes", table(HEAD, rows));
}
