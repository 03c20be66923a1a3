/** The shapes that several of the API's operations share. */
import * as z from "zod";
import { isObjectName } from "../routing/names.ts";
import type { NamedSchema } from "./operation.ts";

const MAX_PAGE_ITEMS = 100;
const DEFAULT_PAGE_ITEMS = 50;
const MAX_EXPIRES_IN_S = 10 * 365 * 86_400;

const LIMIT_EXPECTED = `must be a whole number from 1 to ${MAX_PAGE_ITEMS}`;

/** A query's numbers are digits and nothing else: `1e1`, ` 5` and an empty value are none. */
export const digits = (value: unknown) =>
  typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value;

/** Which page of a list. */
export const PAGE_QUERY = z.strictObject({
  limit: z
    .preprocess(digits, z.int(LIMIT_EXPECTED).min(1).max(MAX_PAGE_ITEMS))
    .default(DEFAULT_PAGE_ITEMS)
    .meta({ description: "How many items a page has at most" }),
  cursor: z
    .string()
    .regex(/^\d{1,15}$/, "must be the next_cursor of an earlier page")
    .optional()
    .meta({ description: "`next_cursor` of the page before; the first page without it" }),
});

/** The schema of a page of such items. */
export function pageOf<Item extends z.ZodType>({ name, schema }: NamedSchema<Item>) {
  return {
    name: `${name}s`,
    schema: z.object({
      items: z.array(schema),
      next_cursor: z.string().nullable().meta({ description: "null on the last page" }),
    }),
  };
}

/** A token's name, on one line. The pattern is spelt for every dialect of regular expressions. */
export const TOKEN_NAME = z
  .string()
  .refine(
    (name) => /^[^\p{Cc}\p{Cs}]{0,64}$/u.test(name),
    "must be at most 64 characters on one line",
  )
  .meta({ pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", maxLength: 64 })
  .default("");

/** An app's, environment's or box's name. */
export const OBJECT_NAME = z
  .string()
  .refine(isObjectName, 'must be 1 to 64 ASCII letters, digits, "-", "." and "_"')
  .meta({ pattern: "^[A-Za-z0-9._-]{1,64}$" });

export const EXPIRES_IN = z
  .int()
  .min(1)
  .max(MAX_EXPIRES_IN_S)
  .optional()
  .meta({ description: "Seconds from now; it does not expire without" });

/** A moment, as RFC 3339 spells it. */
export const TIME = z.iso.datetime();

/** The fields of every token. */
export const TOKEN_FIELDS = {
  id: z.string(),
  name: z.string(),
  created_at: TIME,
  created_by: z.string().meta({ description: "The API token that made it" }),
  expires_at: TIME.nullable(),
  last_used_at: TIME.nullable().meta({ description: "To within ten minutes" }),
};

export const SECRET_FIELD = {
  secret: z.string().meta({ description: "Shown this once" }),
};
