/**
 * Reads the variables of a secret: `KEY=VALUE` words and dotenv files. An error never quotes a variable, since that may
 * be part of a secret.
 */

import { parseEnv } from "node:util";
import { VARIABLE_NAME } from "../routing/wire/variables.ts";
import { CommandFailure, UsageError } from "./failure.ts";

/** The variables of the command line, in order. @throws UsageError for what is no KEY=VALUE */
export function pairsOf(words: readonly string[]): Map<string, string> {
  const variables = new Map<string, string>();
  for (const [index, word] of words.entries()) {
    const at = word.indexOf("=");
    const name = word.slice(0, Math.max(at, 0));
    if (!VARIABLE_NAME.test(name)) {
      throw new UsageError(
        `argument ${index + 1} after the secret's name is not KEY=VALUE; a KEY is ASCII letters, digits and underscores`,
      );
    }
    if (variables.has(name)) throw new UsageError(`${name} is given twice`);
    variables.set(name, word.slice(at + 1));
  }
  return variables;
}

/** The variables of a dotenv file by the rules that Node reads them by. @param path for messages */
export function dotenvVariables(text: string, path: string): [name: string, value: string][] {
  // Editors of Windows begin files with a byte order mark.
  const parsed = Object.entries(parseEnv(text.replace(/^\uFEFF/, "")));
  if (parsed.length === 0) throw new CommandFailure(`${path}: has no line NAME=value`);
  return parsed.map(([name, value = ""], index) => {
    if (VARIABLE_NAME.test(name)) return [name, value];
    // A value of several lines without quotes looks like this, too.
    throw new CommandFailure(
      `${path}: variable ${index + 1} has no right name; is a value to be quoted?`,
    );
  });
}
