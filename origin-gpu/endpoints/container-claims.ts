/**
 * Tells the box what a pool's containers claim of it, and how they use that. A container claims what others may
 * wait for when it needs nothing else first: while its Python environment is made, which may take an hour, others have
 * the GPUs.
 */
import type { Pool } from "../core/pool.ts";
import type { PoolClaims } from "./box-claims.ts";
import type { QueuedCall } from "./queued-call.ts";

export interface ContainerClaimsOptions {
  readonly claims: PoolClaims;
  readonly pool: Pool<QueuedCall>;
  /** Makes the container's environment; undefined where it has none to make. */
  readonly prepare: (container: number) => Promise<void> | undefined;
  /** The environment can't be made. */
  readonly onFailed: (container: number, error: unknown) => void;
}

export class ContainerClaims {
  readonly #options: ContainerClaimsOptions;
  /** Containers whose environment is being made. */
  readonly #preparing = new Set<number>();

  constructor(options: ContainerClaimsOptions) {
    this.#options = options;
  }

  /** The container is to claim what it needs, as soon as it is prepared. */
  claim(container: number): void {
    const { claims, prepare } = this.#options;
    const prepared = claims.isOfNothing ? undefined : prepare(container);
    if (prepared === undefined) this.#want(container);
    else void this.#claimAfter(prepared, container);
  }

  /** The box arbitrates by who works and who waits. */
  tellUse(): void {
    const { claims, pool } = this.#options;
    if (claims.isOfNothing) return;
    // A call that has its place is told of each container for which it waited.
    claims.together(() => {
      for (const { number, state, activeCalls, isClaiming } of pool.containers) {
        if (state === "ready") claims.used(number, activeCalls, pool.oldestCallFor(number));
        else if (state === "draining") claims.used(number, activeCalls, undefined);
        else if (isClaiming && !this.#preparing.has(number)) this.#want(number);
      }
    });
  }

  /** A claim may be granted in the moment in which its pool gives it up. */
  giveBackUnwanted(container: number): void {
    const { claims, pool } = this.#options;
    const state = pool.container(container)?.state;
    if (state === undefined) claims.free(container);
    else if (state === "asleep") claims.slept(container);
  }

  async #claimAfter(prepared: Promise<void>, container: number): Promise<void> {
    this.#preparing.add(container);
    try {
      await prepared;
    } catch (error) {
      if (this.#isClaiming(container)) this.#options.onFailed(container, error);
      return;
    } finally {
      this.#preparing.delete(container);
    }
    if (this.#isClaiming(container)) this.#want(container);
  }

  #isClaiming(container: number): boolean {
    return this.#options.pool.container(container)?.isClaiming === true;
  }

  #want(container: number): void {
    const { claims, pool } = this.#options;
    claims.want(container, pool.claimSinceMs(container), pool.isAwaited(container));
  }
}
