/**
 * Flow control for one direction of a link, at its receiver: windows per stream (RFC 9113, 5.2), without that
 * RFC's window for the connection, whose credit one slow reader can hold. The sum of all grants has a budget
 * instead, and a part of it is reserved: every stream can go on with a short window, however much others hold
 * and never read. Bytes that may still come (outstanding) and bytes that came and were not consumed yet
 * (buffered) count against the budget: they are the memory that a peer can make us hold.
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
  /** Up to this sum windows start full and grow. The rest of the limit gives each stream a short window. */
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

  /** The initial window of a stream that starts now. */
  initialWindow(): number {
    return this.spare >= INITIAL_WINDOW_BYTES ? INITIAL_WINDOW_BYTES : SHORT_WINDOW_BYTES;
  }
}

/** In bytes. */
export interface InitialWindows {
  /** Bytes that this end may send before any CREDIT. */
  send: number;
  /** Bytes that the peer may send before any CREDIT. */
  receive: number;
}

/** The receiving window of one stream. */
export class ReceiveWindow {
  readonly #budget: GrantBudget;
  readonly #grant: (bytes: number) => void;
  /** Granted and not yet received. */
  outstanding: number;
  /** Received and not yet consumed. */
  buffered = 0;
  #target: number;
  /** The sender has used up its window since that last grew. */
  #exhausted = false;
  #closed = false;
  #discarded = false;

  /**
   * @param initial bytes that the sender may send before any CREDIT
   * @param grant sends a CREDIT of that many bytes
   */
  constructor(budget: GrantBudget, initial: number, grant: (bytes: number) => void) {
    this.#budget = budget;
    this.#grant = grant;
    this.outstanding = initial;
    this.#target = Math.max(initial, SHORT_WINDOW_BYTES);
    budget.granted += initial;
  }

  /** Counts received bytes; false when the sender went beyond its window. */
  receive(bytes: number): boolean {
    if (bytes > this.outstanding) return false;
    this.outstanding -= bytes;
    this.buffered += bytes;
    if (this.outstanding === 0) this.#exhausted = true;
    return true;
  }

  /** Frees the budget of bytes that were passed on, and grants anew where that is due. */
  consume(bytes: number): void {
    if (this.#discarded) return;
    this.buffered -= bytes;
    this.#budget.granted -= bytes;
    this.replenish();
  }

  /** Grants what is due; to a sender that may send nothing, at least a short window. */
  replenish(): void {
    if (this.#closed) return;
    const { spare } = this.#budget;
    const held = this.outstanding + this.buffered;
    if (spare === 0) this.#target = SHORT_WINDOW_BYTES;
    else if (this.#exhausted && this.buffered === 0) {
      // The sender had to stop although the reader took everything: the window limits them.
      this.#target = Math.min(this.#target * 2, MAX_WINDOW_BYTES);
      this.#exhausted = false;
    } else if (this.#target < INITIAL_WINDOW_BYTES) this.#target = INITIAL_WINDOW_BYTES;
    const most = Math.max(Math.min(this.#target, held + spare), SHORT_WINDOW_BYTES);
    const bytes = most - held;
    // Less than half a window is not worth a frame.
    if (bytes < most / 2) return;
    this.#budget.granted += bytes;
    this.outstanding += bytes;
    this.#grant(bytes);
  }

  /** The sender will send no more. Buffered bytes count until they are consumed or discarded. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#budget.granted -= this.outstanding;
    this.outstanding = 0;
  }

  /** Closes, and frees what is buffered and will not be read. A later `consume` has no effect. */
  discard(): void {
    if (this.#discarded) return;
    this.close();
    this.#discarded = true;
    this.#budget.granted -= this.buffered;
    this.buffered = 0;
  }
}
