/**
 * Streams that come before this agent can take them: it connects while it still reads what an earlier agent
 * stored. Each is held with what it brings, which its window bounds.
 */
import type { Stream, StreamEvents } from "../../routing/wire/multiplexer.ts";
import { HeldStream } from "./held-stream.ts";

/** @typeParam Taker what takes streams */
export class EarlyStreams<Taker> {
  #taker: Taker | undefined;
  #held: HeldStream<Taker>[] = [];

  /** Undefined until `release`. */
  get taker(): Taker | undefined {
    return this.#taker;
  }

  /** Accepts a stream now where that is possible, else at `release`. */
  take(
    stream: Stream,
    body: Uint8Array,
    accept: (taker: Taker, body: Uint8Array) => StreamEvents,
  ): StreamEvents {
    if (this.#taker !== undefined) return accept(this.#taker, body);
    // The link reads on into the buffer that it brought the body in.
    const copy = new Uint8Array(body);
    const held = new HeldStream<Taker>(stream, (taker) => accept(taker, copy));
    this.#held.push(held);
    return held;
  }

  /** Accepts all streams that were held, in order, and each later one at once. */
  release(taker: Taker): void {
    this.#taker = taker;
    for (const held of this.#held) held.release(taker);
    this.#held = [];
  }
}
