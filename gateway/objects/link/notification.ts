/** A notice to the agent of a link: a stream that wants no more than to know that the agent has heard. */
import type { Stream, StreamEvents } from "../../../routing/wire/multiplexer.ts";

/** The agent answers from memory. */
const TIMEOUT_MS = 10_000;

export class Notification implements StreamEvents {
  readonly #heard = Promise.withResolvers<boolean>();
  readonly #timer = setTimeout(() => this.#settle(false), TIMEOUT_MS);
  #stream: Stream | undefined;

  /** Resolves with whether the agent heard, at most 10 s after the start. */
  get heard(): Promise<boolean> {
    return this.#heard.promise;
  }

  /** @param stream undefined where the link has all the streams that it may have */
  start(stream: Stream | undefined): void {
    this.#stream = stream;
    if (stream === undefined) this.#settle(false);
  }

  onHead(_head: string, body: Uint8Array, end: boolean): void {
    this.#stream?.consume(body.length);
    if (end) this.#stream?.finish();
    else this.#stream?.cancel();
    this.#settle(true);
  }

  onData(): void {
    // Cancelled with the head: what is on its way still says nothing.
  }

  onEnd(): void {
    this.#settle(false);
  }

  #settle(heard: boolean): void {
    clearTimeout(this.#timer);
    this.#heard.resolve(heard);
  }
}
