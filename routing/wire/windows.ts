/**
 * Credit for one direction of a link, as the receiver keeps it. HTTP/2's per-stream windows (RFC 9113,
 * 5.2) without its connection window: there, one slow reader can hold the whole connection's credit;
 * here the sum of all grants is a budget, and when it runs short, streams that hold much are let run
 * down so that others can go on. What counts against the budget is what may still come (outstanding)
 * and what came and was not yet passed on (buffered): that is the memory a peer can make us hold.
 */
import {
  INITIAL_WINDOW_BYTES,
  MAX_GRANTED_BYTES_PER_LINK,
  MAX_WINDOW_BYTES,
  SHORT_WINDOW_BYTES,
} from "./limits.ts";

/** The sum of all grants on one link in one direction. */
export class GrantBudget {
  readonly limit: number;
  granted = 0;
  /** Windows that hold nothing and got nothing because the budget was empty; first come, first served. */
  readonly starving = new Set<ReceiveWindow>();

  constructor(limit = MAX_GRANTED_BYTES_PER_LINK) {
    this.limit = limit;
  }

  /** Below a quarter of the limit, windows no longer grow and run down to `SHORT_WINDOW_BYTES`. */
  get short(): boolean {
    return this.limit - this.granted < this.limit / 4;
  }

  /** What a stream that starts now is granted: 64 KiB, 16 KiB when the sum is short, 0 when it is spent. */
  initialWindow(): number {
    if (!this.short) return INITIAL_WINDOW_BYTES;
    return this.limit - this.granted >= SHORT_WINDOW_BYTES ? SHORT_WINDOW_BYTES : 0;
  }
}

/** One stream's receiving side. */
export class ReceiveWindow {
  readonly #budget: GrantBudget;
  readonly #grant: (bytes: number) => void;
  /** Granted and not yet received. */
  outstanding: number;
  /** Received and not yet drained. */
  buffered = 0;
  #target: number;
  #closed = false;

  /** @param initial bytes that the sender may send at once @param grant sends a CREDIT of that many bytes */
  constructor(budget: GrantBudget, initial: number, grant: (bytes: number) => void) {
    this.#budget = budget;
    this.#grant = grant;
    this.outstanding = initial;
    this.#target = Math.max(initial, SHORT_WINDOW_BYTES);
    budget.granted += initial;
    if (initial === 0) budget.starving.add(this);
  }

  /** Counts received bytes; false when the sender went beyond what it was granted. */
  receive(bytes: number): boolean {
    if (bytes > this.outstanding) return false;
    this.outstanding -= bytes;
    this.buffered += bytes;
    return true;
  }

  /** Bytes were passed on: frees their share of the budget and grants anew where that is due. */
  drain(bytes: number): void {
    this.buffered -= bytes;
    this.#budget.granted -= bytes;
    this.#regrant();
    this.#feedStarving();
  }

  /** The sender will send no more. Buffered bytes stay counted until they are drained or discarded. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#budget.granted -= this.outstanding;
    this.outstanding = 0;
    this.#budget.starving.delete(this);
    this.#feedStarving();
  }

  /** Closes and forgets what is buffered: nobody will read it. */
  discard(): void {
    this.close();
    this.#budget.granted -= this.buffered;
    this.buffered = 0;
    this.#feedStarving();
  }

  #regrant(): void {
    if (this.#closed) return;
    const budget = this.#budget;
    if (budget.short) this.#target = SHORT_WINDOW_BYTES;
    // The sender used up its whole window and the reader kept pace: the window is what limits them.
    else if (this.outstanding === 0 && this.buffered === 0) {
      this.#target = Math.min(this.#target * 2, MAX_WINDOW_BYTES);
    } else if (this.#target < INITIAL_WINDOW_BYTES) this.#target = INITIAL_WINDOW_BYTES;
    const missing = this.#target - this.outstanding - this.buffered;
    if (missing < this.#target / 2) return;
    const bytes = Math.min(missing, budget.limit - budget.granted);
    if (bytes < Math.min(missing, SHORT_WINDOW_BYTES)) {
      if (this.outstanding === 0) budget.starving.add(this);
      return;
    }
    budget.starving.delete(this);
    budget.granted += bytes;
    this.outstanding += bytes;
    this.#grant(bytes);
  }

  #feedStarving(): void {
    const { starving, limit } = this.#budget;
    for (const window of starving) {
      if (limit - this.#budget.granted < SHORT_WINDOW_BYTES) return;
      window.#regrant();
    }
  }
}
