/** The default of a key as a value: its documentation is where it stands. */
import type { Key } from "./key.ts";

/** The default as the file spells it; undefined where it is words or another key's value. */
export function defaultValueOf({ text, schema }: Key): unknown {
  const [, code] = /^`(.*)`$/.exec(text.default ?? "") ?? [];
  if (code === undefined) return undefined;
  const value = jsonOr(code);
  return schema.safeParse(value).success ? value : undefined;
}

/** A value that TOML and JSON spell alike; else the text itself. */
export function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
