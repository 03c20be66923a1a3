/**
 * Buffers of request bodies on their way to apps. Each part of a body is copied into one, because the link reads on
 * into the buffer that it came in. The connection that has written a part to the app gives its buffer back. New
 * buffers for all parts would keep the collector busy: it does not see how soon they are free.
 */
import { KIB } from "../../base/units.ts";

const BUFFER_BYTES = 64 * KIB;

/** A smaller part gets memory of its own size, so that small bodies that wait take no more than they need. */
const BUFFERED_FROM_BYTES = 16 * KIB;

/** 4 MiB. Beyond it buffers that come back are left to the collector. */
const MAX_FREE = 64;

export class BodyBuffers {
  readonly #free: ArrayBuffer[] = [];
  readonly #lent = new WeakSet<ArrayBufferLike>();

  /** Copies a part of a body, into as many buffers as it takes. */
  copy(part: Uint8Array): Uint8Array[] {
    const copies: Uint8Array[] = [];
    for (let at = 0; at < part.length; at += BUFFER_BYTES) {
      copies.push(this.#copy(part.subarray(at, at + BUFFER_BYTES)));
    }
    return copies;
  }

  #copy(part: Uint8Array): Uint8Array {
    if (part.length < BUFFERED_FROM_BYTES) return new Uint8Array(part);
    const buffer = this.#free.pop() ?? new ArrayBuffer(BUFFER_BYTES);
    this.#lent.add(buffer);
    const copy = new Uint8Array(buffer, 0, part.length);
    copy.set(part);
    return copy;
  }

  /** A connection has written these bytes. Has no effect where they are not in one of these buffers. */
  giveBack(written: Uint8Array): void {
    const { buffer } = written;
    if (!this.#lent.delete(buffer) || this.#free.length >= MAX_FREE) return;
    this.#free.push(buffer as ArrayBuffer);
  }

  /** The part's buffer stays the caller's: it may be written more than once. */
  keep(part: Uint8Array): void {
    this.#lent.delete(part.buffer);
  }
}

/** Of this agent. */
export const bodyBuffers = new BodyBuffers();
