/** Lists in pages, newest first: the cursor is the number of the last row that was given. */

export interface Page<Item> {
  readonly items: Item[];
  /** Undefined on the last page. */
  readonly nextCursor?: number | undefined;
}

export interface PageRequest {
  readonly limit: number;
  /** From an earlier page; undefined: the first one. */
  readonly cursor?: number | undefined;
}

/** Makes a page of rows that were asked for with one row more than fits. */
export function pageOf<Row extends { number: number }, Item>(
  rows: readonly Row[],
  limit: number,
  itemOf: (row: Row) => Item,
): Page<Item> {
  const shown = rows.slice(0, limit);
  const nextCursor = rows.length > limit ? shown.at(-1)?.number : undefined;
  return { items: shown.map(itemOf), nextCursor };
}
