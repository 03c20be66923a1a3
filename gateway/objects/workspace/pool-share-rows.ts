/** The rows of `pool_shares`, which say of a box what routing/pool-shares.ts goes by. */
import { type BoxUse, NO_SHARE } from "../../../routing/pool-shares.ts";
import type { PoolKey, PoolUse } from "../../../routing/wire/pool-leases.ts";

/** A box's share of a pool, as `pool_shares` has it. */
export type PoolShareRow = {
  app: string;
  version: number;
  pool: string;
  box: string;
  min: number;
  max: number;
  buffer: number;
  needs: number;
  has: number;
  least: number;
  spare: number;
  most: number;
  proved: number;
  since: number;
};

/** A box as it says itself now, with the share that it has had. */
export function currentUse(
  box: string,
  { needs, has }: PoolUse,
  before: PoolShareRow | undefined,
  now: number,
): BoxUse {
  const granted = before === undefined ? NO_SHARE : useOf(before).granted;
  const use = { box, needs, has, granted, sinceMs: before?.since ?? now };
  const isSame = before !== undefined && stateOf(useOf(before)) === stateOf(use);
  return isSame ? use : { ...use, sinceMs: now };
}

export function useOf({ box, needs, has, least, spare, most, since }: PoolShareRow): BoxUse {
  return { box, needs, has, granted: { least, buffer: spare, most }, sinceMs: since };
}

/** A box's turn begins when it gets a share, its wait when it needs one. */
export function stateOf({ needs, granted }: BoxUse): "has" | "waits" | "idle" {
  if (granted.most > 0) return "has";
  return needs > 0 ? "waits" : "idle";
}

export function keyOf({ app, version, pool }: PoolKey): string {
  return `${app}/${version}/${pool}`;
}

export function isEqual(one: PoolShareRow, other: PoolShareRow): boolean {
  return (Object.keys(other) as (keyof PoolShareRow)[]).every(
    (column) => one[column] === other[column],
  );
}
