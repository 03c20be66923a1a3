/** Learns how long calls hold a place and containers take to start, and estimates a wait from it. Pure. */

/** The weight of the newest value in a mean. */
const WEIGHT = 0.1;

const LEAST_RETRY_S = 1;
const MOST_RETRY_S = 600;

/** A mean in which older values count less and less; undefined without a value. */
function moved(mean: number | undefined, value: number): number {
  return mean === undefined ? value : mean + WEIGHT * (value - mean);
}

/** Where a call stands. */
export interface CallStanding {
  /** Calls that wait before it; 0 for one that runs. */
  readonly position: number;
  /** Milliseconds until its response is expected; undefined where nothing measured says so. */
  readonly etaMs: number | undefined;
  /** It waits, and no container is ready that could take it. */
  readonly isStarting?: boolean;
}

export class ServiceTimes {
  #callMs: number | undefined;
  #startMs: number | undefined;

  /** A call held its place so long. */
  onServed(heldMs: number): void {
    this.#callMs = moved(this.#callMs, heldMs);
  }

  /** A container took so long from its start until it was ready. */
  onStarted(startMs: number): void {
    this.#startMs = moved(this.#startMs, startMs);
  }

  /**
   * Milliseconds until a call's turn comes; undefined where no call or start has been measured that the estimate needs.
   * @param before calls that wait before it
   * @param places calls that all containers may have at a time; those that start count where none is ready
   * @param isStarting no container is ready yet
   * @param runningMs each call that has a place has had it for so long at least
   */
  waitMs(
    before: number,
    places: number,
    { isStarting, runningMs }: { readonly isStarting: boolean; readonly runningMs: number },
  ): number | undefined {
    const startMs = isStarting ? this.#startMs : 0;
    const rounds = isStarting ? Math.floor(before / places) : (before + 1) / places;
    const meanMs = this.#callMs === undefined ? undefined : Math.max(this.#callMs, runningMs);
    const servedMs = rounds === 0 ? 0 : meanMs;
    if (startMs === undefined || servedMs === undefined || places === 0) return undefined;
    return startMs + rounds * servedMs;
  }

  /** Milliseconds until a call has ended that began so long ago; undefined where none has been measured. */
  leftMs(runningMs: number): number | undefined {
    return this.#callMs === undefined ? undefined : Math.max(0, this.#callMs - runningMs);
  }

  /** Whole seconds after which a refused call finds room again, from how fast the queue moves. */
  retryAfterS(places: number): number {
    const perPlaceMs = (this.#callMs ?? 1_000) / Math.max(1, places);
    return Math.min(MOST_RETRY_S, Math.max(LEAST_RETRY_S, Math.ceil(perPlaceMs / 1_000)));
  }
}
