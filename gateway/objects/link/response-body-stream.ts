/**
 * A response's body on its way from the link to the client. The link's object writes pieces into a stream of the
 * runtime, which pumps them to its reader without JavaScript: to the client's socket where the Worker hands the
 * stream on, to the Worker where that counts bytes itself. Pieces that come while a write is under way leave
 * together with the next one. Flow-control credit returns to the agent when the reader has a piece.
 */

/** Pieces below this size are copied into one: a write costs more than the copy. */
const JOINED_BELOW_BYTES = 64 * 1024;

export interface ResponseBodyEvents {
  /** The reader has so many bytes more. */
  onTaken(bytes: number): void;
  /** The reader has everything, and knows that it is everything. */
  onWhole(): void;
  /** The reader has gone: the client left. */
  onLeft(): void;
}

export class ResponseBodyStream {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #events: ResponseBodyEvents;
  /** Pieces that wait for the write that is under way. */
  #waiting: Uint8Array[] = [];
  /** Bytes of the write that is under way; 0 without one. */
  #writingBytes = 0;
  #pendingBytes = 0;
  /** How the body goes on after the last piece. */
  #ending: "open" | "end" | Error = "open";
  #closed = false;

  /**
   * @param length of the body in bytes, where the response declares it. A body that ends below it breaks, and one
   * that goes beyond it counts as left.
   */
  constructor(events: ResponseBodyEvents, length?: number) {
    this.#events = events;
    const { readable, writable } =
      length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
    this.readable = readable;
    this.#writer = writable.getWriter();
    this.#writer.closed.catch(this.#onLeft);
  }

  /** Bytes that the reader does not have yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Adds the next piece of the body, which is not empty. */
  push(bytes: Uint8Array): void {
    if (this.#closed) return;
    this.#waiting.push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#writingBytes === 0) this.#proceed();
  }

  /** The body is complete. */
  end(): void {
    this.#finish("end");
  }

  /** The body broke off: the reader gets what came before, and then a stream that breaks with this reason. */
  break(reason: Error): void {
    this.#finish(reason);
  }

  #finish(ending: "end" | Error): void {
    if (this.#closed || this.#ending !== "open") return;
    this.#ending = ending;
    if (this.#writingBytes === 0) this.#proceed();
  }

  /** Writes what waits, or ends the stream as its body has ended. */
  #proceed(): void {
    const bytes = this.#take();
    if (bytes !== undefined) {
      this.#writingBytes = bytes.length;
      this.#writer.write(bytes).then(this.#onWritten, this.#onLeft);
      return;
    }
    if (this.#ending === "open") return;
    this.#closed = true;
    if (this.#ending === "end") {
      this.#writer.close().then(
        () => this.#events.onWhole(),
        () => this.#events.onLeft(),
      );
    } else {
      this.#writer.abort(this.#ending).catch(() => undefined);
    }
  }

  readonly #onWritten = (): void => {
    const bytes = this.#writingBytes;
    this.#writingBytes = 0;
    this.#pendingBytes -= bytes;
    if (this.#closed) return;
    this.#events.onTaken(bytes);
    this.#proceed();
  };

  readonly #onLeft = (): void => {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting = [];
    this.#events.onLeft();
  };

  /** The next piece, with those small ones that follow it; undefined where none waits. */
  #take(): Uint8Array | undefined {
    const pieces = this.#waiting;
    let count = 0;
    let length = 0;
    for (const piece of pieces) {
      if (count > 0 && length + piece.length > JOINED_BELOW_BYTES) break;
      count += 1;
      length += piece.length;
    }
    if (count === pieces.length) this.#waiting = [];
    else this.#waiting = pieces.slice(count);
    if (count <= 1) return pieces[0];
    const bytes = new Uint8Array(length);
    let offset = 0;
    for (let index = 0; index < count; index += 1) {
      const piece = pieces[index] as Uint8Array;
      bytes.set(piece, offset);
      offset += piece.length;
    }
    return bytes;
  }
}
