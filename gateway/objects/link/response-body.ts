/**
 * The body of an answer on its way from the link to the Worker, inside the `Origin` object: pieces go in as
 * they come, and what is there goes out whenever the Worker asks. That it asks again says that it has what
 * went out before; only then does the credit for that return to the agent. A stream with a queue of its own
 * would say so too early, and an IdentityTransformStream holds some 60 KiB more for each client.
 */
import { MOST_AT_A_TIME_BYTES } from "../../contracts/link.ts";

const NOTHING = new Uint8Array(0);

export interface AnswerBodyEvents {
  /** The Worker has so many bytes more. */
  onTaken(bytes: number): void;
  /** The Worker has everything, and knows that it is everything. */
  onWhole(): void;
  /** Nobody reads any more. */
  onLeft(): void;
}

export class AnswerBody {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #events: AnswerBodyEvents;
  /** Pieces that the Worker has not asked for yet; those before `#next` are gone. */
  #waiting: Uint8Array[] = [];
  #next = 0;
  /** Bytes that went out last. */
  #onTheirWay = 0;
  /** The Worker asked, and there was nothing. */
  #asked = false;
  /** What follows the last piece. */
  #ending: "open" | "end" | "break" = "open";
  #over = false;
  #controller!: ReadableStreamDefaultController<Uint8Array>;

  constructor(events: AnswerBodyEvents) {
    this.#events = events;
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pull(),
        cancel: () => {
          this.#over = true;
          events.onLeft();
        },
      },
      // Asked for one by one, so that asking means having.
      { highWaterMark: 0 },
    );
  }

  /** The next piece of the body, which is not empty. */
  push(bytes: Uint8Array): void {
    if (this.#over) return;
    this.#waiting.push(bytes);
    if (this.#asked) this.#handOn();
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
    if (this.#over || this.#ending !== "open") return;
    this.#ending = ending;
    if (this.#asked) this.#handOn();
  }

  #pull(): void {
    const taken = this.#onTheirWay;
    this.#onTheirWay = 0;
    if (taken > 0) this.#events.onTaken(taken);
    this.#handOn();
  }

  /** Gives the Worker what is there, or what follows it, or notes that it asked. */
  #handOn(): void {
    if (this.#over) return;
    const bytes = this.#take();
    this.#asked = bytes.length === 0 && this.#ending === "open";
    if (bytes.length > 0) {
      this.#onTheirWay = bytes.length;
      this.#controller.enqueue(bytes);
      return;
    }
    if (this.#ending === "open") return;
    this.#over = true;
    if (this.#ending === "break") this.#controller.error(new Error("the answer broke off"));
    else {
      this.#controller.close();
      this.#events.onWhole();
    }
  }

  /** The next pieces, as one. */
  #take(): Uint8Array {
    const first = this.#waiting[this.#next];
    if (first === undefined) return NOTHING;
    const from = this.#next++;
    let length = first.length;
    for (; this.#next < this.#waiting.length; this.#next += 1) {
      const more = (this.#waiting[this.#next] as Uint8Array).length;
      if (length + more > MOST_AT_A_TIME_BYTES) break;
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
