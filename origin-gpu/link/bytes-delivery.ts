/** The bytes of an operation's response on their way out, as fast as the window opens. */
import type { Readable } from "node:stream";
import type { Failure } from "../../routing/wire/messages.ts";
import type { Stream, StreamEvents } from "../../routing/wire/multiplexer.ts";
import { StreamWriter } from "../../routing/wire/stream-writer.ts";
import { refuse, responseHead } from "./operation-server.ts";

export interface DeliveredBytes {
  readonly bytes: number;
  readonly content: Readable;
}

export class BytesDelivery implements StreamEvents {
  readonly #stream: Stream;
  readonly #writer: StreamWriter;

  /**
   * @param open resolves with nothing where there are none
   * @param failureOf says of an error as much as the gateway may know
   */
  constructor(
    stream: Stream,
    open: () => Promise<DeliveredBytes | undefined>,
    missing: Failure,
    failureOf: (error: unknown) => Failure,
  ) {
    this.#stream = stream;
    this.#writer = new StreamWriter(stream);
    this.#run(open, missing).catch((error: unknown) => {
      if (!stream.closed) stream.reset(failureOf(error));
    });
  }

  onData(): void {
    // The operation has no body.
  }

  onWindow(): void {
    this.#writer.wake();
  }

  onEnd(): void {
    this.#writer.wake();
  }

  async #run(open: () => Promise<DeliveredBytes | undefined>, missing: Failure): Promise<void> {
    const stream = this.#stream;
    const found = await open();
    if (found === undefined) {
      if (!stream.closed) refuse(stream, missing);
      return;
    }
    try {
      if (stream.closed) return;
      stream.sendHead(responseHead(200, ["content-length", String(found.bytes)]));
      for await (const chunk of found.content as AsyncIterable<Uint8Array>) {
        if (!(await this.#writer.write(chunk))) return;
      }
      stream.sendData([], true);
    } finally {
      found.content.destroy();
    }
  }
}
