/**
 * When frames wait for more of them. A message of the link costs about as much as a frame's whole way
 * through it (a system call on each side, an event in the object), so a busy link packs what a millisecond
 * brings into one; a link with little to do sends at once. Pure: time is an argument.
 */

/** With fewer streams than this a wait would cost more time than messages it saves. */
const BUSY_STREAMS = 8;

/** A link is busy when it had something to send so many times in a row within this time of each other. */
const BUSY_SENDS = 8;
const BUSY_GAP_MS = 1;

/** How long frames of a busy link wait: the shortest timer there is. */
export const BATCH_MS = 1;

export class Batching {
  #sends = 0;
  #lastAt = Number.NEGATIVE_INFINITY;

  /**
   * There is something to send.
   * @param nowMs of any clock with milliseconds @param streams that are open on the link
   * @returns whether to wait `BATCH_MS` for more
   */
  waits(nowMs: number, streams: number): boolean {
    this.#sends = nowMs - this.#lastAt <= BUSY_GAP_MS + BATCH_MS ? this.#sends + 1 : 0;
    this.#lastAt = nowMs;
    return streams >= BUSY_STREAMS && this.#sends >= BUSY_SENDS;
  }
}
