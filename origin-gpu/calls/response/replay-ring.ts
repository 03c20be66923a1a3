/**
 * The bytes that a streamed response holds: all unsent ones, and the last part of those that were sent. With
 * it a client whose link broke resumes where it was. Flow-control credit is no acknowledgement: bytes that
 * the link took may never have arrived.
 *
 * Pure. Slices are views. Large chunks stay as they came. Small ones (the tokens of a stream) are gathered
 * in blocks, since each would cost several times its length.
 */
import { KIB } from "../../../base/units.ts";
import {
  REPLAY_RING_BYTES,
  REPLAY_RINGS_TOTAL_BYTES,
  SHORT_REPLAY_RING_BYTES,
} from "../../../routing/wire/limits.ts";

/** Chunks below this size are copied into blocks. */
const SMALL_BYTES = 4 * KIB;

/** The first block of a ring; each further one is twice as large, up to `LAST_BLOCK_BYTES`. */
const FIRST_BLOCK_BYTES = KIB;
const LAST_BLOCK_BYTES = 16 * KIB;

/** Counts the bytes of all rings of one agent. */
export class RingBudget {
  readonly limit: number;
  held = 0;

  constructor(limit = REPLAY_RINGS_TOTAL_BYTES) {
    this.limit = limit;
  }

  /** Sent bytes that a ring keeps; fewer while all rings together exceed the limit. */
  get keep(): number {
    return this.held > this.limit ? SHORT_REPLAY_RING_BYTES : REPLAY_RING_BYTES;
  }
}

export class ReplayRing {
  readonly #budget: RingBudget;
  #chunks: Uint8Array[] = [];
  /** Chunks before this index are gone; the array is compacted now and then. */
  #first = 0;
  /** The block whose used part is the last chunk, if that is one. */
  #block: Uint8Array | undefined;
  #blockUsed = 0;
  #blockBytes = FIRST_BLOCK_BYTES;
  /** Offset of the first byte that is still held. */
  start = 0;
  /** Offset behind the last byte. */
  end = 0;

  constructor(budget: RingBudget) {
    this.#budget = budget;
  }

  /** Takes a chunk over. A small view of a large buffer is copied, or it would hold the whole buffer. */
  append(chunk: Uint8Array): void {
    this.end += chunk.length;
    this.#budget.held += chunk.length;
    if (chunk.length < SMALL_BYTES) this.#gather(chunk);
    else {
      this.#block = undefined;
      const wasteful = chunk.byteLength * 2 < chunk.buffer.byteLength;
      // A copy, which slice() of a Buffer is not.
      this.#chunks.push(wasteful ? new Uint8Array(chunk) : chunk);
    }
  }

  /** Copies a chunk behind the last one where the block has room, else into a new block. */
  #gather(chunk: Uint8Array): void {
    const used = this.#blockUsed;
    if (this.#block !== undefined && used + chunk.length <= this.#block.length) {
      this.#block.set(chunk, used);
      this.#blockUsed = used + chunk.length;
      this.#chunks[this.#chunks.length - 1] = this.#block.subarray(0, this.#blockUsed);
      return;
    }
    this.#block = new Uint8Array(Math.max(this.#blockBytes, chunk.length));
    this.#blockBytes = Math.min(this.#blockBytes * 2, LAST_BLOCK_BYTES);
    this.#block.set(chunk);
    this.#blockUsed = chunk.length;
    this.#chunks.push(this.#block.subarray(0, chunk.length));
  }

  /** Views of at most `max` bytes from `offset` on, in order. */
  slices(offset: number, max: number): Uint8Array[] {
    const slices: Uint8Array[] = [];
    let index = this.#chunks.length;
    let at = this.end;
    // From the end: what is asked for is nearly always the newest.
    while (index > this.#first && at > offset) {
      index -= 1;
      at -= (this.#chunks[index] as Uint8Array).length;
    }
    let left = max;
    for (; index < this.#chunks.length && left > 0; index += 1) {
      const chunk = this.#chunks[index] as Uint8Array;
      const from = Math.max(0, offset - at);
      const slice = chunk.subarray(from, Math.min(chunk.length, from + left));
      slices.push(slice);
      left -= slice.length;
      at += chunk.length;
    }
    return slices;
  }

  /** Everything before `offset` was sent: keeps the last part of it and lets the rest go. */
  sent(offset: number): void {
    const from = offset - this.#budget.keep;
    for (;;) {
      const chunk = this.#chunks[this.#first];
      if (chunk === undefined || this.start + chunk.length > from) break;
      this.#chunks[this.#first] = NOTHING;
      this.#first += 1;
      this.start += chunk.length;
      this.#budget.held -= chunk.length;
    }
    if (this.#first === this.#chunks.length) this.#block = undefined;
    if (this.#first > 64 && this.#first * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#first);
      this.#first = 0;
    }
  }

  /** Frees everything: the call is over. */
  release(): void {
    this.#budget.held -= this.end - this.start;
    this.start = this.end;
    this.#chunks = [];
    this.#first = 0;
    this.#block = undefined;
  }
}

const NOTHING = new Uint8Array(0);
