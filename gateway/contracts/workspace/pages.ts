/** Lists in pages, newest first. */

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
