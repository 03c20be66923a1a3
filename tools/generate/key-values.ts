/** The words for a key's value, with its unit and range: those that a mistake is told in. */
import type { Key } from "../../origin-gpu/config/keys/key.ts";

const MUST_BE = "must be ";

/** No value of TOML, so that each schema refuses it with its own sentence. */
const NO_VALUE = Symbol("no value");

/**
 * The value of a key in Markdown: "a number of seconds from 1 to 86400".
 * @throws Error for a schema whose sentence does not say what the value must be
 */
export function valueWords({ schema }: Key): string {
  const message = schema.safeParse(NO_VALUE).error?.issues[0]?.message ?? "";
  if (!message.startsWith(MUST_BE)) throw new Error(`"${message}" does not begin with "must be"`);
  return message.slice(MUST_BE.length).replaceAll(/\{.*\}|\[.*\]|"[^"]*"/g, "`$&`");
}
