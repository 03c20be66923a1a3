/** The shapes that several of the API's operations share. */
import { z } from "@hono/zod-openapi";
import { isObjectName } from "../../routing/names.ts";

const MAX_PAGE_ITEMS = 100;
const DEFAULT_PAGE_ITEMS = 50;
const MAX_EXPIRES_IN_S = 10 * 365 * 86_400;

/** One page of a list. Numbers in a query are digits and nothing else. */
export const PAGE_QUERY = z.object({
  limit: z
    .string()
    .regex(/^\d{1,3}$/, `must be a number from 1 to ${MAX_PAGE_ITEMS}`)
    .transform(Number)
    .pipe(z.number().min(1).max(MAX_PAGE_ITEMS))
    .default(DEFAULT_PAGE_ITEMS)
    .openapi({
      type: "integer",
      minimum: 1,
      maximum: MAX_PAGE_ITEMS,
      default: DEFAULT_PAGE_ITEMS,
      description: "How many items a page has at most",
    }),
  cursor: z
    .string()
    .regex(/^\d{1,15}$/, "must be the next_cursor of an earlier page")
    .transform(Number)
    .optional()
    .openapi({
      type: "string",
      description: "`next_cursor` of the page before; the first without",
    }),
});

/** @param name of the list's component in the OpenAPI document */
export function pageSchema<Item extends z.ZodType>(name: string, item: Item) {
  return z
    .object({
      items: z.array(item),
      next_cursor: z.string().nullable().openapi({ description: "null on the last page" }),
    })
    .openapi(name);
}

/** A page as the API shows it. */
export function shownPage<Item, Shown>(
  { items, nextCursor }: { readonly items: Item[]; readonly nextCursor?: number | undefined },
  show: (item: Item) => Shown,
): { items: Shown[]; next_cursor: string | null } {
  return {
    items: items.map(show),
    next_cursor: nextCursor === undefined ? null : String(nextCursor),
  };
}

export const ID_PARAMS = z.object({
  id: z.string().min(1).max(128).openapi({ description: "The token's id" }),
});

/** Said by people for people, on one line. */
export const TOKEN_NAME = z
  .string()
  .regex(/^[^\p{Cc}\p{Cs}]{0,64}$/u, "must be at most 64 characters on one line")
  .default("");

/** An app's or environment's name. */
export const OBJECT_NAME = z
  .string()
  .refine(isObjectName, 'must be 1 to 64 ASCII letters, digits, "-", "." and "_"')
  .openapi({ pattern: "^[A-Za-z0-9._-]{1,64}$" });

export const EXPIRES_IN = z
  .int()
  .min(1)
  .max(MAX_EXPIRES_IN_S)
  .optional()
  .openapi({ description: "Seconds from now; it does not expire without" });

const TIME = z.iso.datetime();

/** What every token shows. */
export const TOKEN_FIELDS = {
  id: z.string(),
  name: z.string(),
  created_at: TIME,
  created_by: z.string().openapi({ description: "The API token that made it" }),
  expires_at: TIME.nullable(),
  last_used_at: TIME.nullable().openapi({ description: "To within ten minutes" }),
};

export function shownToken(token: {
  readonly id: string;
  readonly name: string;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly expiresAt: number | null;
  readonly lastUsedAt: number | null;
}) {
  return {
    id: token.id,
    name: token.name,
    created_at: shownTime(token.createdAt),
    created_by: token.createdBy,
    expires_at: token.expiresAt === null ? null : shownTime(token.expiresAt),
    last_used_at: token.lastUsedAt === null ? null : shownTime(token.lastUsedAt),
  };
}

/** The moment that many seconds from now, in milliseconds of the epoch. */
export function expiry(seconds: number | undefined): number | null {
  return seconds === undefined ? null : Date.now() + seconds * 1_000;
}

function shownTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** JSON under a schema, as an OpenAPI response or request body has it. */
export function json<Schema extends z.ZodType>(schema: Schema) {
  return { "application/json": { schema } };
}
