/**
 * A kept answer on its way to one attached client: from the store to a stream, from any byte, as fast as
 * the client takes it and the answer grows. Any number of these may read one answer.
 */
import { COALESCE_MS, MAX_DATA_BYTES } from "../../../routing/wire/limits.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import type { Stream, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import type { Carrier } from "./carrier.ts";
import type { ReadableResult } from "../store/result-store.ts";
import { resultFailure } from "../store/stored-result.ts";

/** Sends the answer; the client sees a break where it breaks. */
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

/** Says why there is none. */
export function refuse(stream: Stream, failure: Failure): StreamEvents {
  stream.refuse(failure);
  return SILENT;
}

const SILENT: StreamEvents = { onData: () => undefined, onOver: () => undefined };

class Delivery implements StreamEvents {
  readonly #stream: Stream;
  readonly #carrier: Carrier;
  readonly #left = new AbortController();
  #wake: (() => void) | undefined;
  #head = "";
  #headSent = false;

  constructor(stream: Stream, carrier: Carrier) {
    this.#stream = stream;
    this.#carrier = carrier;
  }

  async run(result: ReadableResult, offset: number): Promise<void> {
    const stream = this.#stream;
    let alone: ReturnType<typeof setTimeout> | undefined;
    try {
      const head = await result.head();
      const length = result.bodyBytes;
      if (length !== undefined && offset > length) {
        stream.refuse({ code: "origin_error", detail: "the answer is shorter than that" });
        return;
      }
      this.#head = JSON.stringify(length === undefined ? head : { ...head, length });
      // An answer that grows may not have a byte for long; mostly the first is a moment behind the head.
      if (length === undefined) alone = setTimeout(() => this.#sendPart([], false), COALESCE_MS);
      let last: Uint8Array | undefined;
      // One chunk behind, so that the end goes with the last bytes.
      for await (const chunk of result.read({ from: offset, signal: this.#left.signal })) {
        if (last !== undefined) {
          await this.#send(last, false);
        }
        last = chunk;
        if (length === undefined) {
          // It grows as the app writes it: what is here is not held back for what may come.
          await this.#send(last, false);
          last = undefined;
        }
      }
      await this.#send(last ?? NOTHING, true);
    } catch (error) {
      stream.reset(resultFailure(error));
    } finally {
      clearTimeout(alone);
    }
  }

  onData(): void {
    // A client under an Idempotency-Key may still be sending what is known already.
  }

  onWindow(): void {
    this.#wake?.();
  }

  onOver(): void {
    this.#left.abort();
    this.#wake?.();
  }

  /** Sends a chunk in as many frames as it takes. */
  async #send(chunk: Uint8Array, end: boolean): Promise<void> {
    const stream = this.#stream;
    let offset = 0;
    do {
      if (offset < chunk.length) await this.#room();
      if (stream.over) return;
      const size = Math.min(chunk.length - offset, stream.window, MAX_DATA_BYTES);
      const part = chunk.subarray(offset, offset + size);
      offset += size;
      this.#sendPart([part], end && offset === chunk.length);
    } while (offset < chunk.length);
  }

  /** Sends a frame's worth, with the head before it where that has not gone yet. */
  #sendPart(parts: Uint8Array[], end: boolean): void {
    const stream = this.#stream;
    if (stream.over) return;
    if (!this.#headSent) stream.head(this.#head, parts, end);
    else if (parts.length > 0) stream.data(parts, end);
    this.#headSent = true;
  }

  /** Waits until a byte may be sent. */
  async #room(): Promise<void> {
    while (!this.#stream.over && (this.#stream.window === 0 || this.#carrier.congested)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (this.#carrier.congested) this.#carrier.whenDrained(resolve);
      });
    }
  }
}

const NOTHING = new Uint8Array(0);
