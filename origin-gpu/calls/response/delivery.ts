/**
 * Sends a stored response to one subscriber: from any byte on, as fast as the client takes it and the
 * response grows. Any number of deliveries can read one response.
 */
import { COALESCE_MS } from "../../../routing/wire/limits.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import { NO_EVENTS, type Stream, type StreamEvents } from "../../../routing/wire/multiplexer.ts";
import { type Carrier, StreamWriter } from "../../../routing/wire/stream-writer.ts";
import type { ReadableResult } from "../store/result-store.ts";
import { resultFailure } from "../store/result-error.ts";

/** Sends the response. Where reading it fails, the client sees a break. */
export function deliver(
  result: ReadableResult,
  stream: Stream,
  carrier: Carrier,
  offset: number,
): StreamEvents {
  const delivery = new Delivery(stream, carrier);
  void delivery.run(result, offset);
  return delivery;
}

/** Refuses the stream: there is no response. */
export function refuse(stream: Stream, failure: Failure): StreamEvents {
  stream.refuse(failure);
  return NO_EVENTS;
}

class Delivery implements StreamEvents {
  readonly #stream: Stream;
  readonly #writer: StreamWriter;
  readonly #ended = new AbortController();
  #head = "";
  #headSent = false;

  constructor(stream: Stream, carrier: Carrier) {
    this.#stream = stream;
    stream.callBack();
    this.#writer = new StreamWriter(stream, carrier, (part, end) => this.#sendFrame([part], end));
  }

  async run(result: ReadableResult, offset: number): Promise<void> {
    const stream = this.#stream;
    let headTimer: ReturnType<typeof setTimeout> | undefined;
    try {
      const head = await result.head();
      const length = result.bodyBytes;
      if (length !== undefined && offset > length) {
        stream.refuse({ code: "origin_error", detail: "the response is shorter than that" });
        return;
      }
      this.#head = JSON.stringify(length === undefined ? head : { ...head, length });
      // A growing response may have no byte for long; mostly the first one is a moment behind the head.
      if (length === undefined)
        headTimer = setTimeout(() => this.#sendFrame([], false), COALESCE_MS);
      let last: Uint8Array | undefined;
      // One chunk behind, so that the end is in the frame of the last bytes.
      for await (const chunk of result.read({ from: offset, signal: this.#ended.signal })) {
        if (last !== undefined) {
          await this.#writer.write(last, false);
        }
        last = chunk;
        if (length === undefined) {
          // The response grows as the app writes it: no chunk waits for the next one.
          await this.#writer.write(last, false);
          last = undefined;
        }
      }
      await this.#writer.write(last ?? NOTHING, true);
    } catch (error) {
      stream.reset(resultFailure(error));
    } finally {
      clearTimeout(headTimer);
    }
  }

  onData(bytes: Uint8Array): void {
    // A second request under an Idempotency-Key may still send the body, which is not needed.
    this.#stream.consume(bytes.length);
  }

  onWindow(): void {
    this.#writer.wake();
  }

  onEnd(): void {
    this.#ended.abort();
    this.#writer.wake();
  }

  /** Sends one frame; the first one carries the head. */
  #sendFrame(parts: Uint8Array[], end: boolean): void {
    const stream = this.#stream;
    if (stream.closed) return;
    if (!this.#headSent) stream.sendHead(this.#head, parts, end);
    else if (parts.length > 0) stream.sendData(parts, end);
    this.#headSent = true;
  }
}

const NOTHING = new Uint8Array(0);
