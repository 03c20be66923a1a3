/** The share that an endpoint's pool has on this box, where other boxes run the pool too. */
import type { PoolSettings } from "../core/pool-effects.ts";
import {
  type JoinLeases,
  type LeasedPool,
  NO_TERMS,
  type PoolMembership,
  type PoolTerms,
  settingsUnder,
} from "./pool-terms.ts";

export class EndpointLease {
  readonly #join: JoinLeases | undefined;
  #terms: PoolTerms | undefined;
  /** Until the gateway has said what this box may have. */
  #undecided: PromiseWithResolvers<void> | undefined;
  #membership: PoolMembership | undefined;

  /**
   * @param join absent where no other box runs the pool
   * @param has containers that an earlier agent left
   */
  constructor(join: JoinLeases | undefined, has: number) {
    this.#join = join;
    if (join === undefined) return;
    this.#terms = { ...NO_TERMS, most: has };
    this.#undecided = Promise.withResolvers();
  }

  begin(pool: LeasedPool): void {
    this.#membership = this.#join?.({
      needs: () => pool.needs(),
      onTerms: (terms) => {
        this.#terms = terms;
        pool.onTerms(terms);
        this.#undecided?.resolve();
        this.#undecided = undefined;
      },
    });
  }

  /** Resolves when the gateway has said what this box may have; undefined where that is known. */
  get undecided(): Promise<void> | undefined {
    return this.#undecided?.promise;
  }

  /** Other boxes have all the containers that there may be. */
  get isElsewhere(): boolean {
    return this.#terms?.elsewhere === true;
  }

  /** @param own as the configuration has them */
  settings(own: PoolSettings): PoolSettings {
    return this.#terms === undefined ? own : settingsUnder(this.#terms, own);
  }

  /** The pool's needs may be others now. */
  changed(): void {
    this.#membership?.changed();
  }

  /** The pool has no containers any more. */
  leave(): void {
    this.#membership?.leave();
  }
}
