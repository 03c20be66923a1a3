/** Turns the values that the workspace's object returns into documents of the API. */
import type * as z from "zod";
import type { PAGE_QUERY } from "../../../api/schemas.ts";

/** The page that a query asks a list of the workspace for. */
export function pageRequest({ limit, cursor }: z.output<typeof PAGE_QUERY>) {
  return { limit, cursor: cursor === undefined ? undefined : Number(cursor) };
}

/** A page of documents. */
export function toPage<Item, Document>(
  { items, nextCursor }: { readonly items: Item[]; readonly nextCursor?: number | undefined },
  toDocument: (item: Item) => Document,
): { items: Document[]; next_cursor: string | null } {
  return {
    items: items.map(toDocument),
    next_cursor: nextCursor === undefined ? null : String(nextCursor),
  };
}

/** The fields of every token. */
export function toTokenFields(token: {
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
    created_at: toTime(token.createdAt),
    created_by: token.createdBy,
    expires_at: token.expiresAt === null ? null : toTime(token.expiresAt),
    last_used_at: token.lastUsedAt === null ? null : toTime(token.lastUsedAt),
  };
}

/** The moment that many seconds from now, in milliseconds of the epoch. */
export function expiry(seconds: number | undefined): number | null {
  return seconds === undefined ? null : Date.now() + seconds * 1_000;
}

/** A moment as RFC 3339 spells it. @param ms of the epoch */
export function toTime(ms: number): string {
  return new Date(ms).toISOString();
}
