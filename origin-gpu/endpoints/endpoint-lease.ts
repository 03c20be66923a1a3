/** The share that an endpoint's pool has on this box, where other boxes run the pool too. */
import { SECOND_MS } from "../../base/units.ts";
import type { PoolSettings } from "../core/pool-effects.ts";
import {
  type JoinLeases,
  type LeasedPool,
  NO_TERMS,
  type PoolMembership,
  type PoolNeeds,
  type PoolTerms,
  settingsUnder,
} from "./pool-terms.ts";

/** Clients of calls that an earlier agent had, or that came between the two, are back by then. */
const CLIENTS_BACK_MS = 5 * SECOND_MS;

export class EndpointLease {
  readonly #join: JoinLeases | undefined;
  /** Containers that an earlier agent left: until `#expectedUntilMs` they are needed, or another box would get its share. */
  readonly #left: number;
  readonly #expectedUntilMs: number;
  #terms: PoolTerms | undefined;
  /** Until the gateway has said what this box may have. */
  #undecided: PromiseWithResolvers<void> | undefined;
  #membership: PoolMembership | undefined;

  /**
   * @param join absent where no other box runs the pool
   * @param left containers that an earlier agent left
   */
  constructor(join: JoinLeases | undefined, left: number) {
    this.#join = join;
    this.#left = left;
    this.#expectedUntilMs = performance.now() + CLIENTS_BACK_MS;
    if (join === undefined) return;
    this.#terms = { ...NO_TERMS, most: left };
    this.#undecided = Promise.withResolvers();
  }

  begin(pool: LeasedPool): void {
    this.#membership = this.#join?.({
      needs: () => this.#withExpected(pool.needs()),
      onTerms: (terms) => {
        this.#terms = terms;
        pool.onTerms(terms);
        this.#undecided?.resolve();
        this.#undecided = undefined;
      },
    });
  }

  #withExpected(needs: PoolNeeds): PoolNeeds {
    const isExpecting = performance.now() < this.#expectedUntilMs;
    return isExpecting ? { ...needs, needs: Math.max(needs.needs, this.#left) } : needs;
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
