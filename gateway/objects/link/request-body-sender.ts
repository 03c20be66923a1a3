/**
 * Sends a request's body on its stream, as the window allows. A body is read to where its frame is sent from: the
 * socket's `send` copies, and the next part is read into the same buffer.
 */
import { KIB } from "../../../base/units.ts";
import { FRAME_HEADER_BYTES } from "../../../routing/wire/frames.ts";
import { contentLength, parseOpenHead } from "../../../routing/wire/heads.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import type { Stream } from "../../../routing/wire/multiplexer.ts";
import { StreamWriter } from "../../../routing/wire/stream-writer.ts";
import { within } from "../../../base/runtime/within.ts";
import { DRAIN_IDLE_MS, drainBody } from "../../contracts/drained-body.ts";
import { type Env, maxBodyBytes } from "../../contracts/env.ts";

/** A part of a body below this size costs less to copy, into a message with other frames, than a message. */
const PACKED_BELOW_BYTES = 8 * KIB;

const INTERRUPTED: Failure = {
  code: "upload_interrupted",
  detail: "the request body did not arrive whole",
};

/**
 * workerd ends a malformed chunked body as it ends one that breaks off. A client that broke off seldom reads
 * on, so a client that sends chunks is told of both (RFC 9112, 8).
 */
const MALFORMED: Failure = {
  code: "bad_request",
  detail: "the chunked request body is malformed, or it broke off",
};

export interface RequestBodySenderEvents {
  /** The agent has been sent the whole body. */
  onSent(): void;
  /** The stream was reset. @param told the failure that the client is told */
  onFailed(told: Failure): void;
}

export class RequestBodySender {
  readonly #stream: Stream;
  readonly #events: RequestBodySenderEvents;
  readonly #writer: StreamWriter;
  #sending: Promise<void> | undefined;
  #reading: Promise<unknown> | undefined;

  constructor(stream: Stream, events: RequestBodySenderEvents) {
    this.#stream = stream;
    this.#events = events;
    this.#writer = new StreamWriter(stream);
  }

  /** The owner calls this on `onWindow` and when the stream has ended. */
  wake(): void {
    this.#writer.wake();
  }

  /** A body streams, and its end has not come. */
  get isSending(): boolean {
    return this.#sending !== undefined;
  }

  /**
   * The app has answered without the body. The rest of it is read and dropped: resolves when it has come, or when the
   * client sends nothing any more.
   */
  async abandon(): Promise<void> {
    this.#writer.giveUp();
    if (this.#reading !== undefined) {
      const read = await within(DRAIN_IDLE_MS, this.#reading);
      if (read === undefined) return;
    }
    await this.#sending;
  }

  /** Sends a body that did not fit the opening frame. */
  async sendBytes(bytes: Uint8Array): Promise<void> {
    await this.#writer.write(bytes, true);
    if (this.#stream.localClosed) this.#events.onSent();
  }

  /**
   * Streams a body. A client that breaks off resets the stream.
   * @param head the RequestHead as JSON
   */
  async send(body: ReadableStream<Uint8Array>, env: Env, head: string): Promise<void> {
    const reader = body.getReader({ mode: "byob" });
    this.#sending = this.#pump(reader, env, head);
    await this.#sending;
    this.#sending = undefined;
  }

  async #pump(reader: ReadableStreamBYOBReader, env: Env, head: string): Promise<void> {
    const limit = maxBodyBytes(env);
    const stream = this.#stream;
    let total = 0;
    let buffer = new ArrayBuffer(0);
    try {
      for (;;) {
        const size = await this.#writer.room();
        if (size === 0) break;
        buffer = fitting(buffer, FRAME_HEADER_BYTES + size);
        const reading = reader.read(new Uint8Array(buffer, FRAME_HEADER_BYTES, size));
        this.#reading = reading;
        const result: ReadableStreamReadResult<Uint8Array<ArrayBuffer>> = await reading;
        this.#reading = undefined;
        const { done, value } = result;
        if (stream.closed || this.#writer.isGivenUp) break;
        if (done) {
          stream.sendData([], true);
          this.#events.onSent();
          return;
        }
        total += value.length;
        if (total > limit) {
          this.#fail({ code: "body_too_large", detail: `the body is larger than ${limit} bytes` });
          break;
        }
        buffer = value.buffer;
        if (value.length < PACKED_BELOW_BYTES) stream.sendData([value.slice()]);
        else stream.sendInPlace(new Uint8Array(buffer, 0, FRAME_HEADER_BYTES + value.length));
      }
      // Elsewhere the platform sees to bodies that nobody reads.
      if (env.POSTERN_ONE_ISOLATE === "1") await drainBody(reader);
      else await reader.cancel();
    } catch {
      this.#fail(INTERRUPTED, isChunked(head) ? MALFORMED : INTERRUPTED);
    }
  }

  /** @param told the failure that the client is told, where that is another one */
  #fail(failure: Failure, told = failure): void {
    if (this.#stream.closed) return;
    this.#stream.reset(failure);
    this.#events.onFailed(told);
  }
}

/**
 * A buffer for so many bytes: this one, or a new one. It is not much larger, so that the buffers of all bodies of a
 * link stay within a few times of what its agent has granted them.
 */
function fitting(buffer: ArrayBuffer, bytes: number): ArrayBuffer {
  const { byteLength } = buffer;
  return byteLength >= bytes && byteLength <= 4 * bytes ? buffer : new ArrayBuffer(bytes);
}

/** Whether the body came in chunks: no Content-Length says how long it is. */
function isChunked(head: string): boolean {
  const opened = parseOpenHead(head);
  return "headers" in opened && contentLength(opened.headers) === undefined;
}
