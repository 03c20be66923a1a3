/** How a pool that other boxes run too stands to those who ask for its share (apps/pool-leases.ts). */
import type { PoolKey, PoolUse } from "../../routing/wire/pool-leases.ts";
import type { PoolSettings } from "../core/pool-effects.ts";

/** A pool by its own account. */
export type PoolNeeds = Omit<PoolUse, keyof PoolKey | "grant">;

/** The bounds of a pool on this box, for now. */
export interface PoolTerms {
  /** In the place of `min_containers`, `buffer_containers` and `max_containers`. */
  readonly least: number;
  readonly buffer: number;
  readonly most: number;
  /** False while there is no lease. */
  readonly mayStart: boolean;
  /** The version is known to start on another box. */
  readonly proved: boolean;
  /** Other boxes have all the containers that there may be. */
  readonly elsewhere: boolean;
}

/** Before the gateway has answered. */
export const NO_TERMS: PoolTerms = {
  least: 0,
  buffer: 0,
  most: 0,
  mayStart: false,
  proved: false,
  elsewhere: false,
};

export interface LeasedPool {
  needs(): PoolNeeds;
  onTerms(terms: PoolTerms): void;
}

/** A pool's place among those that are asked for. */
export interface PoolMembership {
  /** `needs` of the pool may be something else now. */
  changed(): void;
  /** The pool has no containers any more. */
  leave(): void;
}

export type JoinLeases = (pool: LeasedPool) => PoolMembership;

/**
 * The settings by which the pool goes under these terms. Without a share the calls that a first container would take wait
 * for one: a container is on its way for them as soon as the gateway allows it.
 */
export function settingsUnder(terms: PoolTerms, settings: PoolSettings): PoolSettings {
  const { least, buffer, most, mayStart } = terms;
  return {
    ...settings,
    minContainers: least,
    bufferContainers: buffer,
    maxContainers: most,
    mayStart,
    maxPending: most > 0 ? settings.maxPending : Math.max(settings.maxPending, settings.maxInputs),
  };
}
