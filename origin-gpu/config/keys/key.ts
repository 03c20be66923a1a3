/**
 * One key of postern.toml: its type with unit and range, and its text for readers.
 * docs/configuration.md and docs/postern.schema.json are made from these rows. The words for a value, its unit and
 * its range are the schema's own sentence, "must be …"; the text does not repeat them.
 */
import type * as z from "zod";
import { text } from "../values.ts";

/** The documentation of a key, in Markdown. Each member is one line. */
export interface KeyText {
  /** A cell of the page: the default in backticks, or words for it. Absent where a key has none. */
  readonly default?: string;
  /** The effect of the key, in sentences that need no other row: an editor shows them alone. */
  readonly meaning: string;
  /** A value as the file spells it. */
  readonly example: string;
}

export interface Key<Schema extends z.ZodType = z.ZodType> {
  readonly schema: Schema;
  readonly text: KeyText;
}

/** For the type of a row: that of its schema, not of any. */
export function key<Schema extends z.ZodType>(schema: Schema, text: KeyText): Key<Schema> {
  return { schema, text };
}

export const DAY_S = 86_400;

export const MOST_CONCURRENT_INPUTS = 100_000;

export const target = () =>
  text(
    /^(?!.*\.py:)[^\s:/]+:[^\s:/]+$/,
    'must be a module and an attribute of it, such as "server:app"; a file is named without ".py"',
  );

export const nonEmptyText = (error: string) => text(/^[^\0]*[^\s\0][^\0]*$/, error);

export const headerName = () =>
  text(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "must be an HTTP header name");
