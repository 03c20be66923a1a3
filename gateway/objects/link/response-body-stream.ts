/**
 * A response's body on its way from the link to the Worker. The link's object pushes pieces as they come from the
 * link; a pull of the Worker takes all that wait. A pull also means that the Worker has the previous piece; only
 * then does flow-control credit return to the agent. A stream with a queue of its own would pull too early, and
 * an IdentityTransformStream holds some 60 KiB more for each client.
 */
import { MAX_CHUNK_BYTES } from "../../contracts/link.ts";

const NOTHING = new Uint8Array(0);

export interface ResponseBodyEvents {
  /** The Worker has so many bytes more. */
  onTaken(bytes: number): void;
  /** The Worker has everything, and knows that it is everything. */
  onWhole(): void;
  /** The Worker has cancelled the body: its client left. */
  onLeft(): void;
}

export class ResponseBodyStream {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #events: ResponseBodyEvents;
  /** Pieces that the Worker has not pulled yet; those before `#next` are gone. */
  #waiting: Uint8Array[] = [];
  #next = 0;
  /** Bytes that the last pull took. */
  #pulledBytes = 0;
  /** The Worker pulled, and there was nothing. */
  #isPulling = false;
  /** How the body goes on after the last piece. */
  #ending: "open" | "end" | "break" = "open";
  #closed = false;
  #controller!: ReadableStreamDefaultController<Uint8Array>;

  constructor(events: ResponseBodyEvents) {
    this.#events = events;
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pull(),
        cancel: () => {
          this.#closed = true;
          events.onLeft();
        },
      },
      // No queue: a pull means that the piece before has been taken.
      { highWaterMark: 0 },
    );
  }

  /** Adds the next piece of the body, which is not empty. */
  push(bytes: Uint8Array): void {
    if (this.#closed) return;
    this.#waiting.push(bytes);
    if (this.#isPulling) this.#enqueue();
  }

  /** The body is complete. */
  end(): void {
    this.#finish("end");
  }

  /** The body broke off: the Worker gets what came before, and then a broken stream. */
  break(): void {
    this.#finish("break");
  }

  #finish(ending: "end" | "break"): void {
    if (this.#closed || this.#ending !== "open") return;
    this.#ending = ending;
    if (this.#isPulling) this.#enqueue();
  }

  #pull(): void {
    const taken = this.#pulledBytes;
    this.#pulledBytes = 0;
    if (taken > 0) this.#events.onTaken(taken);
    this.#enqueue();
  }

  /** Gives the Worker what is there, or what follows it, or notes that it waits. */
  #enqueue(): void {
    if (this.#closed) return;
    const bytes = this.#take();
    this.#isPulling = bytes.length === 0 && this.#ending === "open";
    if (bytes.length > 0) {
      this.#pulledBytes = bytes.length;
      this.#controller.enqueue(bytes);
      return;
    }
    if (this.#ending === "open") return;
    this.#closed = true;
    if (this.#ending === "break") this.#controller.error(new Error("the response broke off"));
    else {
      this.#controller.close();
      this.#events.onWhole();
    }
  }

  /** The next pieces as one, at most MAX_CHUNK_BYTES unless the first is larger. */
  #take(): Uint8Array {
    const first = this.#waiting[this.#next];
    if (first === undefined) return NOTHING;
    const from = this.#next++;
    let length = first.length;
    for (; this.#next < this.#waiting.length; this.#next += 1) {
      const more = (this.#waiting[this.#next] as Uint8Array).length;
      if (length + more > MAX_CHUNK_BYTES) break;
      length += more;
    }
    const pieces = this.#waiting.slice(from, this.#next);
    if (this.#next === this.#waiting.length) {
      this.#waiting = [];
      this.#next = 0;
    }
    if (pieces.length === 1) return first;
    const bytes = new Uint8Array(length);
    let offset = 0;
    for (const piece of pieces) {
      bytes.set(piece, offset);
      offset += piece.length;
    }
    return bytes;
  }
}
