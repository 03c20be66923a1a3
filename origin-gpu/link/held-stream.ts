/** A stream that cannot be taken yet, with what it brings, which its window bounds. */
import type { Stream, StreamEnding, StreamEvents } from "../../routing/wire/multiplexer.ts";

/** @typeParam Taker what takes it */
export class HeldStream<Taker> implements StreamEvents {
  readonly #stream: Stream;
  readonly #accept: (taker: Taker) => StreamEvents;
  readonly #events: ((to: StreamEvents) => void)[] = [];
  #hasEnded = false;

  constructor(stream: Stream, accept: (taker: Taker) => StreamEvents) {
    this.#stream = stream;
    this.#accept = accept;
  }

  onData(bytes: Uint8Array, end: boolean): void {
    const copy = new Uint8Array(bytes);
    this.#events.push((to) => to.onData(copy, end));
  }

  onDefer(): void {
    this.#events.push((to) => to.onDefer?.());
  }

  /** Nothing was begun, so there is nothing to end. */
  onEnd(_ending: StreamEnding): void {
    this.#hasEnded = true;
  }

  release(taker: Taker): void {
    if (this.#hasEnded) return;
    const stream = this.#stream;
    stream.events = this.#accept(taker);
    // An event may put other events in place of these.
    for (const event of this.#events) event(stream.events);
  }
}
