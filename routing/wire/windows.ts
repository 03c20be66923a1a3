/**
 * Credit for one direction of a link, as the receiver keeps it. HTTP/2's per-stream windows (RFC 9113,
 * 5.2) without its connection window: there, one slow reader can hold the whole connection's credit.
 * Here the sum of all grants is a budget with a part that is kept back: however much some streams hold
 * and never read, every other one can still go on with a short window. What counts against the budget is
 * what may still come (outstanding) and what came and was not yet passed on (buffered): that is the
 * memory a peer can make us hold.
 */
import {
  INITIAL_WINDOW_BYTES,
  MAX_GRANTED_BYTES_PER_LINK,
  MAX_STREAMS_PER_LINK,
  MAX_WINDOW_BYTES,
  SHORT_WINDOW_BYTES,
} from "./limits.ts";

/** The sum of all grants on one link in one direction. */
export class GrantBudget {
  /** Up to this sum windows start full and grow; the rest of the limit gives each stream a short window. */
  readonly #ample: number;
  granted = 0;

  /** @param limit bytes that `granted` never exceeds while there are at most 2,000 windows */
  constructor(limit = MAX_GRANTED_BYTES_PER_LINK) {
    this.#ample = limit - MAX_STREAMS_PER_LINK * SHORT_WINDOW_BYTES;
  }

  /** Bytes that may be granted beyond short windows. */
  get spare(): number {
    return Math.max(0, this.#ample - this.granted);
  }

  /** What a stream that starts now is granted. */
  initialWindow(): number {
    return this.spare >= INITIAL_WINDOW_BYTES ? INITIAL_WINDOW_BYTES : SHORT_WINDOW_BYTES;
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
  /** The sender used up what it had since the window last grew. */
  #exhausted = false;
  #closed = false;
  #discarded = false;

  /** @param initial bytes that the sender may send at once @param grant sends a CREDIT of that many bytes */
  constructor(budget: GrantBudget, initial: number, grant: (bytes: number) => void) {
    this.#budget = budget;
    this.#grant = grant;
    this.outstanding = initial;
    this.#target = Math.max(initial, SHORT_WINDOW_BYTES);
    budget.granted += initial;
  }

  /** Counts received bytes; false when the sender went beyond what it was granted. */
  receive(bytes: number): boolean {
    if (bytes > this.outstanding) return false;
    this.outstanding -= bytes;
    this.buffered += bytes;
    if (this.outstanding === 0) this.#exhausted = true;
    return true;
  }

  /** Bytes were passed on: frees their share of the budget and grants anew where that is due. */
  drain(bytes: number): void {
    if (this.#discarded) return;
    this.buffered -= bytes;
    this.#budget.granted -= bytes;
    this.replenish();
  }

  /** Grants what is due: at least a short window to whoever holds nothing. */
  replenish(): void {
    if (this.#closed) return;
    const { spare } = this.#budget;
    const held = this.outstanding + this.buffered;
    if (spare === 0) this.#target = SHORT_WINDOW_BYTES;
    else if (this.#exhausted && this.buffered === 0) {
      // The sender had to stop and the reader took everything: the window is what limits them.
      this.#target = Math.min(this.#target * 2, MAX_WINDOW_BYTES);
      this.#exhausted = false;
    } else if (this.#target < INITIAL_WINDOW_BYTES) this.#target = INITIAL_WINDOW_BYTES;
    const most = Math.max(Math.min(this.#target, held + spare), SHORT_WINDOW_BYTES);
    const bytes = most - held;
    // A frame for less than half a window is not worth it.
    if (bytes < most / 2) return;
    this.#budget.granted += bytes;
    this.outstanding += bytes;
    this.#grant(bytes);
  }

  /** The sender will send no more. Buffered bytes stay counted until they are drained or discarded. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#budget.granted -= this.outstanding;
    this.outstanding = 0;
  }

  /** Closes and forgets what is buffered: nobody will read it, and a late `drain` counts no more. */
  discard(): void {
    if (this.#discarded) return;
    this.close();
    this.#discarded = true;
    this.#budget.granted -= this.buffered;
    this.buffered = 0;
  }
}
