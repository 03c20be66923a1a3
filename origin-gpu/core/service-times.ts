/** Learns how long calls hold a place, and containers take to get what they claim and to start. Estimates a wait. Pure. */

/** So many of the newest values say what is usual: after as many calls a change counts in full. */
const NEWEST = 16;

/** The part of its usual time that a call has left at least: nothing says that one which is overdue ends at once. */
const LEAST_LEFT = 0.1;

/** A claim that is granted sooner has not waited: it says nothing of those that do. */
const LEAST_CLAIM_MS = 100;

const LEAST_RETRY_S = 1;
const MOST_RETRY_S = 600;

/**
 * The mean of the newest values without the longest: one call that hangs, or one first start that downloads a model, says
 * nothing of those that follow; a second one does. A median would ignore the long calls of a mixture, and a queue waits
 * for these most.
 */
class UsualTime {
  readonly #newest: number[] = [];
  #ms: number | undefined;

  /** Undefined without a value. */
  get ms(): number | undefined {
    return this.#ms;
  }

  add(ms: number): void {
    const newest = this.#newest;
    newest.push(ms);
    if (newest.length > NEWEST) newest.shift();
    const others = newest.length - 1;
    const sum = newest.reduce((total, one) => total + one, 0);
    this.#ms = others === 0 ? ms : (sum - Math.max(...newest)) / others;
  }
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

/** Whether a container's process begins, wakes, or runs since an earlier agent. */
export type StartKind = "launch" | "wake" | "adopt";

export class ServiceTimes {
  readonly #call = new UsualTime();
  readonly #claim = new UsualTime();
  readonly #start = { launch: new UsualTime(), wake: new UsualTime(), adopt: new UsualTime() };

  /** A call that the app did all of held its place so long. */
  onServed(heldMs: number): void {
    this.#call.add(heldMs);
  }

  /** A container that calls needed got what it claims after so long. */
  onGranted(claimMs: number): void {
    if (claimMs >= LEAST_CLAIM_MS) this.#claim.add(claimMs);
  }

  /** A container took so long from its start until it was ready. */
  onStarted(kind: StartKind, startMs: number): void {
    this.#start[kind].add(startMs);
  }

  /** Milliseconds until a container has what it has claimed for so long; 0 where none has had to wait. */
  grantMs(claimingMs: number): number {
    return Math.max(0, (this.#claim.ms ?? 0) - claimingMs);
  }

  /** Milliseconds until a container is ready that began so long ago; undefined where no start has been measured. */
  readyMs(kind: StartKind, startingMs: number): number | undefined {
    const startMs = this.#start[kind].ms ?? this.#start.launch.ms;
    return startMs === undefined ? undefined : Math.max(0, startMs - startingMs);
  }

  /**
   * Milliseconds until a call's turn comes; undefined where no call has been measured that the estimate needs.
   * @param before calls that wait before it
   * @param places calls that containers may have at a time
   * @param firstMs until its place gets free for the first time; each call before it that gets it holds it as usual
   */
  turnMs(before: number, places: number, firstMs: number | undefined): number | undefined {
    const rounds = Math.floor(before / places);
    if (rounds === 0 || firstMs === undefined) return firstMs;
    return this.#call.ms === undefined ? undefined : firstMs + rounds * this.#call.ms;
  }

  /** Milliseconds until a call has ended that began so long ago; undefined where none has been measured. */
  leftMs(runningMs: number): number | undefined {
    const { ms } = this.#call;
    return ms === undefined ? undefined : Math.max(ms * LEAST_LEFT, ms - runningMs);
  }

  /**
   * Whole seconds after which a refused call finds room again, from how fast the queue moves.
   * @param startMs until it moves
   */
  retryAfterS(places: number, startMs = 0): number {
    const perPlaceMs = (this.#call.ms ?? 1_000) / Math.max(1, places);
    const freeMs = startMs + perPlaceMs;
    return Math.min(MOST_RETRY_S, Math.max(LEAST_RETRY_S, Math.ceil(freeMs / 1_000)));
  }
}
