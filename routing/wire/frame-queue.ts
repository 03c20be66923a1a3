/**
 * Frames that wait to leave, and their order: lazy ones first, then control frames, then all that must stay in
 * their stream's order.
 */
import { FRAME, type FrameType, type OutgoingFrame } from "./frames.ts";

/** These overtake others: they belong to no stream's order. */
const OVERTAKING: ReadonlySet<FrameType> = new Set([FRAME.CREDIT, FRAME.HELLO, FRAME.WELCOME]);

export class FrameQueue {
  readonly #onPending: () => void;
  readonly #onLazy: (() => void) | undefined;
  #lazy: OutgoingFrame[] = [];
  #control: OutgoingFrame[] = [];
  #ordered: OutgoingFrame[] = [];

  /**
   * @param onPending there are frames to take
   * @param onLazy there are frames that may wait for the next message
   */
  constructor(onPending: () => void, onLazy?: () => void) {
    this.#onPending = onPending;
    this.#onLazy = onLazy;
  }

  push(frame: OutgoingFrame): void {
    const isFirst = this.#control.length === 0 && this.#ordered.length === 0;
    if (OVERTAKING.has(frame.type)) this.#control.push(frame);
    else this.#ordered.push(frame);
    if (isFirst) this.#onPending();
  }

  /** Queues a frame that leaves with the next message. */
  pushLazily(frame: OutgoingFrame): void {
    if (this.#lazy.push(frame) === 1) this.#onLazy?.();
  }

  /** Removes and returns all frames. */
  take(): OutgoingFrame[] {
    const first = this.#lazy.length + this.#control.length;
    const frames =
      first === 0 ? this.#ordered : [...this.#lazy, ...this.#control, ...this.#ordered];
    this.#lazy = [];
    this.#control = [];
    this.#ordered = [];
    return frames;
  }
}
