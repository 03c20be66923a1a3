/**
 * A call that was handed over by memory, inside the `Origin` object: what comes of its stream goes to the
 * Worker at once where it is the whole answer, and else is held until the Worker comes for it. It comes
 * soon, or its client has left.
 */
import type { Stream, StreamEnding, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import type { Attachment } from "./stream-response.ts";
import type { Deadlines } from "./deadlines.ts";
import { CLAIM_AFTER_MS, type Handover } from "../../contracts/local-queue.ts";

/** A Worker that has not come for its call by now never will: its client left. */
const UNCLAIMED_MS = 5 * CLAIM_AFTER_MS;

export class HandedCall implements StreamEvents {
  readonly #handover: Handover;
  readonly #deadlines: Deadlines;
  readonly #forget: () => void;
  readonly #held: ((to: Attachment) => void)[] = [];
  #stream: Stream | undefined;
  #endWait: () => void;

  /** @param forget the call is nobody's to come for any more */
  constructor(handover: Handover, deadlines: Deadlines, forget: () => void) {
    this.#handover = handover;
    this.#deadlines = deadlines;
    this.#forget = forget;
    this.#endWait = deadlines.start(UNCLAIMED_MS, () => this.#unclaimed());
  }

  start(stream: Stream): void {
    this.#stream = stream;
  }

  /** The link has all the streams that it may have. */
  refused(): void {
    this.#over();
    this.#handover.refuse();
  }

  onHead(head: string, body: Uint8Array, end: boolean): void {
    if (end && this.#handover.settle({ kind: "answered", head, body })) {
      this.#stream?.drained(body.length);
      this.#stream?.done();
      this.#over();
    } else this.#hold((to) => to.onHead(head, body, end));
  }

  onData(bytes: Uint8Array, end: boolean): void {
    this.#hold((to) => to.onData(bytes, end));
  }

  onOver(ending: StreamEnding): void {
    if (ending.kind !== "kept" && this.#held.length === 0) {
      const failure = "failure" in ending ? ending.failure : "{}";
      if (this.#handover.settle({ kind: "ended", ending: ending.kind, failure })) {
        this.#over();
        return;
      }
    }
    this.#hold((to) => to.onOver(ending));
  }

  /** The Worker came: the call goes on as any other. */
  claimedBy(attachment: Attachment): void {
    this.#over();
    const stream = this.#stream;
    if (stream !== undefined) stream.events = attachment;
    attachment.start(stream);
    for (const event of this.#held) event(attachment);
  }

  /** At most the stream's first window. */
  #hold(event: (to: Attachment) => void): void {
    this.#held.push(event);
    this.#handover.runs();
  }

  #unclaimed(): void {
    if (this.#handover.heard) {
      // It is on its way, unless its client left just now.
      this.#endWait = this.#deadlines.start(2 * UNCLAIMED_MS, () => this.#leave());
    } else this.#leave();
  }

  #leave(): void {
    this.#over();
    this.#stream?.cancel();
    this.#stream?.discard();
  }

  #over(): void {
    this.#endWait();
    this.#forget();
  }
}
