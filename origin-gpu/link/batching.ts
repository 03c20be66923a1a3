/**
 * When frames wait for others to leave with. A message of the link costs about as much as a frame's whole way through
 * it: a system call at each end and an event in the object. So a busy link packs the frames of a millisecond into one
 * message, and a link with little to do sends at once. Pure: time is an argument.
 */

/** With fewer streams a wait costs more than the messages that it saves. */
const BUSY_STREAMS = 8;

/** A link is busy after so many sends in a row, each within this time of the one before. */
const BUSY_SENDS = 8;
const BUSY_GAP_MS = 1;

/** Frames of a busy link wait for the shortest timer that there is. */
export const BATCH_MS = 1;

export class Batching {
  #sends = 0;
  #lastAt = Number.NEGATIVE_INFINITY;

  /**
   * Notes that there is something to send.
   * @param nowMs of any clock with milliseconds @param streams that are open on the link
   * @returns whether to wait `BATCH_MS` for more
   */
  waits(nowMs: number, streams: number): boolean {
    this.#sends = nowMs - this.#lastAt <= BUSY_GAP_MS + BATCH_MS ? this.#sends + 1 : 0;
    this.#lastAt = nowMs;
    return streams >= BUSY_STREAMS && this.#sends >= BUSY_SENDS;
  }
}
