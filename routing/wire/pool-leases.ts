/**
 * The shapes in which a box asks for its shares of the pools that several boxes run (docs/protocol.md, "Pools of several
 * boxes"). An agent says all of its pools each time; the gateway answers with a share of each, and with one lease.
 */
import * as z from "zod";

/** Of one box. */
const MAX_LEASED_POOLS = 10_000;

const COUNT = z.int().min(0).max(1_000_000);

/** Tells a box's shares of a pool from each other. */
const GRANT = z.int().min(0);

/** A pool of a version, by the function that has the containers. */
const POOL_KEY = {
  /** The app's id. */
  app: z.string().max(64),
  version: z.int().min(1),
  pool: z.string().max(128),
  /** A digest of the set of parameters that the pool is for; absent for a pool that is for all requests. */
  parameters: z.string().max(64).exactOptional(),
};

const POOL_USE = z.object({
  ...POOL_KEY,
  /** `min_containers`, `max_containers` and `buffer_containers` as they are now, over all boxes. */
  min: COUNT,
  max: COUNT.min(1),
  buffer: COUNT,
  /** Containers that the box's calls need, or that it needs to prove that the version starts. */
  needs: COUNT,
  /** Containers that it has, those that end included. */
  has: COUNT,
  /** Its first container starts, with all that it claims of the box. An older agent does not say it. */
  starting: z.boolean().exactOptional(),
  /** A container of the version has been ready on this box. */
  proved: z.boolean(),
  /** The number of the share that it goes by, 0 for none. An older agent does not say it. */
  grant: GRANT.exactOptional(),
});

export const POOL_USES = z.object({ pools: z.array(POOL_USE).max(MAX_LEASED_POOLS) });

const LEASED_SHARE = z.object({
  ...POOL_KEY,
  /** The box has so many containers even when there are no calls. */
  least: COUNT,
  /** It has so many besides those that its calls need, while there are calls. */
  buffer: COUNT,
  /** It has so many at most. */
  most: COUNT,
  /** A container of the version has been ready on some box. */
  proved: z.boolean(),
  /** This box has no share, because others have all of it. */
  elsewhere: z.boolean(),
  /** The number of this share. An older gateway does not say it. */
  grant: GRANT.exactOptional(),
  /** The box is to ask again at once, by which it says that it goes by this share: others may have more then. */
  confirm: z.boolean().exactOptional(),
});

export const POOL_LEASE = z.object({
  /** Without the pools that the box is not to run any more. */
  pools: z.array(LEASED_SHARE),
  /** From the request on. Afterwards the gateway may give the shares to others. */
  leaseMs: z.int().min(1),
  /** The agent asks again after so long at the latest. */
  askAgainMs: z.int().min(1),
});

export type PoolUses = z.output<typeof POOL_USES>;
/** Names a pool over all boxes. */
export type PoolKey = Pick<PoolUse, "app" | "version" | "pool" | "parameters">;
export type PoolUse = z.output<typeof POOL_USE>;
export type PoolLease = z.output<typeof POOL_LEASE>;
export type LeasedShare = z.output<typeof LEASED_SHARE>;
