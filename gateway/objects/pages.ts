/** Makes a page of rows that were asked for with one row more than fits. */
import type { Page } from "../contracts/workspace/pages.ts";
export function pageOf<Row extends { number: number }, Item>(
  rows: readonly Row[],
  limit: number,
  itemOf: (row: Row) => Item,
): Page<Item> {
  const shown = rows.slice(0, limit);
  const nextCursor = rows.length > limit ? shown.at(-1)?.number : undefined;
  return { items: shown.map(itemOf), nextCursor };
}
