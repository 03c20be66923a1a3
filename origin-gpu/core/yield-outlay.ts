/** The outlay of making holders yield: sums and an order. */

/** By how much it costs that a holder yields, in ascending order. */
export const COSTS = ["ends_soon", "own_idle", "idle", "ends_later", "own_busy", "busy"] as const;
export type Cost = (typeof COSTS)[number];

/** Of one holder, or of several together. */
export interface Outlay {
  readonly dueMs: number;
  readonly cost: number;
  /** How many have to be asked yet. */
  readonly asked: number;
  readonly usedAtMs: number;
}

export const NOTHING: Outlay = { dueMs: -Infinity, cost: -1, asked: 0, usedAtMs: -Infinity };

export function sumOf(one: Outlay, other: Outlay): Outlay {
  return {
    dueMs: Math.max(one.dueMs, other.dueMs),
    cost: Math.max(one.cost, other.cost),
    asked: one.asked + other.asked,
    usedAtMs: Math.max(one.usedAtMs, other.usedAtMs),
  };
}

export function compareOutlays(one: Outlay, other: Outlay): number {
  return (
    compare(one.dueMs, other.dueMs) ||
    one.cost - other.cost ||
    one.asked - other.asked ||
    compare(one.usedAtMs, other.usedAtMs)
  );
}

/** Infinities are equal to themselves. */
export function compare(one: number, other: number): number {
  return one === other ? 0 : one < other ? -1 : 1;
}
