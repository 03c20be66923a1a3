/**
 * Who may have the next stream of a link, at the gateway's end, which alone opens streams. Operations may have all of
 * them. An endpoint may have another one while it has fewer than STREAMS_PER_FREE_ONE times those that are free: so
 * each endpoint finds a stream, however many another one asks for. Streams that are called back and find none wait
 * here, in their order for each endpoint. Pure.
 */
import { MAX_STREAMS_PER_LINK, RESERVED_STREAMS_PER_LINK, STREAMS_PER_FREE_ONE } from "./limits.ts";

/** The share of operations of the agent itself. */
export const OPERATIONS = "";

/** The share of an endpoint's calls: its name, as it may stand in a header. */
export function shareOf(endpoint: string): string {
  return endpoint.replace(/[^!-~]/g, "?");
}

interface Share<Waiting> {
  open: number;
  readonly waiting: Set<Waiting>;
}

/** @typeParam Waiting a stream that waits to count again */
export class StreamShares<Waiting> {
  /** By the name of the endpoint. */
  readonly #shares = new Map<string, Share<Waiting>>();
  readonly #grant: (stream: Waiting) => void;
  #open = 0;
  #waiting = 0;

  /** @param grant gives a stream that waited its place */
  constructor(grant: (stream: Waiting) => void) {
    this.#grant = grant;
  }

  /** Streams that count. */
  get open(): number {
    return this.#open;
  }

  /** Takes a stream for this endpoint; false where it may have no more now. */
  take(name: string): boolean {
    const share = this.#shares.get(name);
    if (!this.#mayTake(name, share?.open ?? 0)) return false;
    this.#open += 1;
    if (share === undefined) this.#shares.set(name, { open: 1, waiting: new Set() });
    else share.open += 1;
    return true;
  }

  /** Gives a stream its place now, or as soon as there is one. */
  takeOrWait(name: string, stream: Waiting): void {
    if (this.take(name)) {
      this.#grant(stream);
      return;
    }
    let share = this.#shares.get(name);
    if (share === undefined) this.#shares.set(name, (share = { open: 0, waiting: new Set() }));
    share.waiting.add(stream);
    this.#waiting += 1;
  }

  /** A stream that counted has ended, or is parked. */
  release(name: string): void {
    const share = this.#shares.get(name);
    if (share === undefined) return;
    this.#open -= 1;
    share.open -= 1;
    this.#forgetEmpty(name, share);
    if (this.#waiting > 0) this.#grantWaiting();
  }

  /** A stream that waited has ended. */
  leave(name: string, stream: Waiting): void {
    const share = this.#shares.get(name);
    if (share?.waiting.delete(stream) !== true) return;
    this.#waiting -= 1;
    this.#forgetEmpty(name, share);
  }

  #mayTake(name: string, own: number): boolean {
    if (name === OPERATIONS) return this.#open < MAX_STREAMS_PER_LINK;
    const free = MAX_STREAMS_PER_LINK - RESERVED_STREAMS_PER_LINK - this.#open;
    return own < STREAMS_PER_FREE_ONE * free;
  }

  /** The endpoint with the fewest streams first. */
  #grantWaiting(): void {
    const waiting = [...this.#shares].filter(([, share]) => share.waiting.size > 0);
    for (const [name, { waiting: streams }] of waiting.toSorted(
      ([, a], [, b]) => a.open - b.open,
    )) {
      for (const stream of streams) {
        if (!this.take(name)) break;
        streams.delete(stream);
        this.#waiting -= 1;
        this.#grant(stream);
      }
    }
  }

  #forgetEmpty(name: string, { open, waiting }: Share<Waiting>): void {
    if (open === 0 && waiting.size === 0) this.#shares.delete(name);
  }
}
