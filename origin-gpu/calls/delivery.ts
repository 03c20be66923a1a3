/**
 * A kept answer on its way to one attached client: from the store to a stream, from any byte, as fast as
 * the client takes it and the answer grows. Any number of these may read one answer.
 */
import { MAX_DATA_BYTES } from "../../routing/wire/limits.ts";
import type { Stream, StreamEvents } from "../../routing/wire/multiplexer.ts";
import type { Carrier } from "./carrier.ts";
import type { KeptResult } from "./results.ts";
import { ResultError } from "./stored-result.ts";

/** Sends the answer; the client sees a break where it breaks. */
export function deliver(
  result: KeptResult,
  stream: Stream,
  carrier: Carrier,
  offset: number,
): StreamEvents {
  const delivery = new Delivery(stream, carrier);
  void delivery.run(result, offset);
  return delivery;
}

class Delivery implements StreamEvents {
  readonly #stream: Stream;
  readonly #carrier: Carrier;
  readonly #left = new AbortController();
  #wake: (() => void) | undefined;

  constructor(stream: Stream, carrier: Carrier) {
    this.#stream = stream;
    this.#carrier = carrier;
  }

  async run(result: KeptResult, offset: number): Promise<void> {
    const stream = this.#stream;
    try {
      const head = await result.head();
      const length = result.bodyBytes;
      if (length !== undefined && offset > length) {
        stream.refuse({ code: "origin_error", detail: "the answer is shorter than that" });
        return;
      }
      const text = JSON.stringify(length === undefined ? head : { ...head, length });
      let headSent = false;
      let last: Uint8Array | undefined;
      // One chunk behind, so that the end goes with the last bytes.
      for await (const chunk of result.read({ from: offset, signal: this.#left.signal })) {
        if (last !== undefined) {
          headSent = await this.#send(text, headSent, last, false);
        }
        last = chunk;
        if (length === undefined) {
          // It grows as the app writes it: what is here is not held back for what may come.
          headSent = await this.#send(text, headSent, last, false);
          last = undefined;
        }
      }
      await this.#send(text, headSent, last ?? NOTHING, true);
    } catch (error) {
      const detail = error instanceof ResultError ? error.message : "the answer could not be read";
      stream.reset({ code: "origin_error", detail });
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

  /** Sends a chunk in as many frames as it takes. @returns that the head was sent */
  async #send(head: string, headSent: boolean, chunk: Uint8Array, end: boolean): Promise<boolean> {
    const stream = this.#stream;
    let sent = headSent;
    let offset = 0;
    do {
      if (offset < chunk.length) await this.#room();
      if (stream.over) return sent;
      const size = Math.min(chunk.length - offset, stream.window, MAX_DATA_BYTES);
      const part = chunk.subarray(offset, offset + size);
      offset += size;
      const last = end && offset === chunk.length;
      if (sent) stream.data([part], last);
      else {
        sent = true;
        stream.head(head, [part], last);
      }
    } while (offset < chunk.length);
    return sent;
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
