/** Learns how long calls hold a place, and containers take to get what they claim and to start. Estimates a wait. Pure. */

/** The weight of the newest value in a mean. */
const WEIGHT = 0.1;

/** A claim that is granted sooner has not waited: it says nothing of those that do. */
const LEAST_CLAIM_MS = 100;

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

/** Whether a container's process begins, or wakes. */
export type StartKind = "launch" | "wake";

export class ServiceTimes {
  #callMs: number | undefined;
  #claimMs: number | undefined;
  readonly #startMs: Partial<Record<StartKind, number>> = {};

  /** A call held its place so long. */
  onServed(heldMs: number): void {
    this.#callMs = moved(this.#callMs, heldMs);
  }

  /** A container that calls needed got what it claims after so long. */
  onGranted(claimMs: number): void {
    if (claimMs >= LEAST_CLAIM_MS) this.#claimMs = moved(this.#claimMs, claimMs);
  }

  /** A container took so long from its start until it was ready. */
  onStarted(kind: StartKind, startMs: number): void {
    this.#startMs[kind] = moved(this.#startMs[kind], startMs);
  }

  /** Milliseconds until a container has what it has claimed for so long; 0 where none has had to wait. */
  grantMs(claimingMs: number): number {
    return Math.max(0, (this.#claimMs ?? 0) - claimingMs);
  }

  /** Milliseconds until a container is ready that began so long ago; undefined where no start has been measured. */
  readyMs(kind: StartKind, startingMs: number): number | undefined {
    const startMs = this.#startMs[kind] ?? this.#startMs.launch;
    return startMs === undefined ? undefined : Math.max(0, startMs - startingMs);
  }

  /**
   * Milliseconds until a call's turn comes; undefined where no call has been measured that the estimate needs.
   * @param before calls that wait before it
   * @param places calls that all containers may have at a time; those that start count where none is ready
   * @param startMs until one of them is ready, where none is
   * @param runningMs each call that has a place has had it for so long at least
   */
  waitMs(
    before: number,
    places: number,
    { startMs, runningMs = 0 }: { readonly startMs?: number; readonly runningMs?: number },
  ): number | undefined {
    const rounds = startMs !== undefined ? Math.floor(before / places) : (before + 1) / places;
    const meanMs = this.#callMs === undefined ? undefined : Math.max(this.#callMs, runningMs);
    const servedMs = rounds === 0 ? 0 : meanMs;
    if (servedMs === undefined || places === 0) return undefined;
    return (startMs ?? 0) + rounds * servedMs;
  }

  /** Milliseconds until a call has ended that began so long ago; undefined where none has been measured. */
  leftMs(runningMs: number): number | undefined {
    return this.#callMs === undefined ? undefined : Math.max(0, this.#callMs - runningMs);
  }

  /**
   * Whole seconds after which a refused call finds room again, from how fast the queue moves.
   * @param startMs until it moves
   */
  retryAfterS(places: number, startMs = 0): number {
    const perPlaceMs = (this.#callMs ?? 1_000) / Math.max(1, places);
    const freeMs = startMs + perPlaceMs;
    return Math.min(MOST_RETRY_S, Math.max(LEAST_RETRY_S, Math.ceil(freeMs / 1_000)));
  }
}
