/** The rows of `pool_shares`, which say of a box what routing/pool-grants.ts goes by. */
import type { GrantedUse } from "../../../routing/pool-grants.ts";
import type { PoolKey } from "../../../routing/wire/pool-leases.ts";

/** A box's share of a pool, as `pool_shares` has it. */
export type PoolShareRow = {
  app: string;
  version: number;
  pool: string;
  /** The set of parameters; empty for a pool without. */
  parameters: string;
  box: string;
  min: number;
  max: number;
  buffer: number;
  needs: number;
  has: number;
  starting: number;
  least: number;
  spare: number;
  most: number;
  proved: number;
  since: number;
  grant_number: number;
  unconfirmed: number;
};

export function useOf(row: PoolShareRow): GrantedUse {
  const { box, needs, has, least, spare, most, unconfirmed } = row;
  const isStarting = row.starting === 1;
  const granted = { least, buffer: spare, most };
  const { since: sinceMs, grant_number: grant } = row;
  return { box, needs, has, isStarting, granted, unconfirmed, sinceMs, grant };
}

export function keyOf({ app, version, pool, parameters = "" }: PoolKey): string {
  return `${app}/${version}/${pool}/${parameters}`;
}

export function isEqual(one: PoolShareRow, other: PoolShareRow): boolean {
  return (Object.keys(other) as (keyof PoolShareRow)[]).every(
    (column) => one[column] === other[column],
  );
}
