/**
 * A call inside the link's object whose Worker has no request here: a local call, or one that was parked. A whole
 * response or a failure settles a local call at once. Other events of the stream are held until the Worker claims the
 * call. A Worker that does not claim has lost its client.
 */
import type { Failure } from "../../../routing/wire/messages.ts";
import type { Stream, StreamEnding, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import type { LocalCall } from "../../contracts/local-queue.ts";
import type { Deadlines } from "./deadlines.ts";
import type { StreamResponse } from "./stream-response.ts";

/** A Worker that has not claimed its call by now never will: its client left. */
const UNCLAIMED_MS = 500;

/** As of a request to an object that fails. */
const FAULT = JSON.stringify({
  code: "call_lost",
  detail: "the link's object failed",
} satisfies Failure);

/** A local call, as far as the object speaks to its Worker. */
export type LocalEnd = Pick<LocalCall, "settle" | "heard">;

/** The Worker of a parked call comes to claim it, whatever comes of it meanwhile. */
export const WORKER_COMES: LocalEnd = { settle: () => false, heard: true };

export class ClaimableCall implements StreamEvents {
  readonly #call: LocalEnd;
  readonly #deadlines: Deadlines;
  readonly #forget: () => void;
  readonly #held: ((to: StreamResponse) => void)[] = [];
  #stream: Stream | undefined;
  #endWait: () => void;

  /** @param forget told when the call can be claimed no more */
  constructor(call: LocalEnd, deadlines: Deadlines, forget: () => void) {
    this.#call = call;
    this.#deadlines = deadlines;
    this.#forget = forget;
    this.#endWait = deadlines.start(UNCLAIMED_MS, () => this.#onUnclaimed());
  }

  start(stream: Stream): void {
    this.#stream = stream;
    stream.events = this;
  }

  /** The link has all the streams that it may have. */
  refuse(): void {
    this.#end();
    this.#call.settle("not_opened");
  }

  /** An error came between: the agent may have the call. */
  fail(): void {
    this.#end();
    this.#call.settle({ kind: "failed", cause: "link_lost", failure: FAULT });
  }

  onHead(head: string, body: Uint8Array, end: boolean): void {
    const wholeBytes = body.length;
    if (end && this.#call.settle({ kind: "response", head, body, resumable: false, wholeBytes })) {
      this.#stream?.consume(body.length);
      this.#stream?.finish();
      this.#end();
    } else this.#hold((to) => to.onHead(head, body, end));
  }

  onPark(): void {
    if (!this.#call.settle("parked")) this.#held.push((to) => to.onPark());
  }

  onData(bytes: Uint8Array, end: boolean): void {
    this.#hold((to) => to.onData(bytes, end));
  }

  onEnd(ending: StreamEnding): void {
    if (ending.kind !== "deferred" && this.#held.length === 0) {
      const failure = "failure" in ending ? ending.failure : "{}";
      if (this.#call.settle({ kind: "failed", cause: ending.kind, failure })) {
        this.#end();
        return;
      }
    }
    this.#hold((to) => to.onEnd(ending));
  }

  /** The Worker claims the call, which goes on like any other. */
  claim(response: StreamResponse): void {
    this.#end();
    const stream = this.#stream;
    if (stream !== undefined) stream.events = response;
    response.start(stream);
    for (const event of this.#held) event(response);
  }

  /** The stream's first window bounds what is held. */
  #hold(event: (to: StreamResponse) => void): void {
    this.#held.push(event);
    this.#call.settle("running");
  }

  #onUnclaimed(): void {
    if (this.#call.heard) {
      // The claim is on its way, unless the client left just now.
      this.#endWait = this.#deadlines.start(2 * UNCLAIMED_MS, () => this.#leave());
    } else this.#leave();
  }

  #leave(): void {
    this.#end();
    this.#stream?.cancel();
    this.#stream?.discard();
  }

  #end(): void {
    this.#endWait();
    this.#forget();
  }
}
