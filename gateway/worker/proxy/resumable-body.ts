/**
 * A response's body as the client gets it: one stream, however many attempts it takes. Where an attempt breaks,
 * the next one goes on at the byte that the client has. Where it cannot go on, the client sees a break.
 */
import { contentLength, type ResponseHead } from "../../../routing/wire/heads.ts";
import { attach, type CallPlace } from "./link-client.ts";
import type { Env } from "../../contracts/env.ts";

/** The first buffer that a body is read into: small, because most chunks are; it grows while reads fill it. */
const FIRST_BUFFER_BYTES = 4 * 1024;
const MAX_BUFFER_BYTES = 256 * 1024;

/**
 * @param first the body of the first attempt
 * @param offset where its first byte stands in the whole body; not beyond the declared length
 */
export function resumableBody(
  env: Env,
  call: CallPlace,
  head: ResponseHead,
  first: ReadableStream<Uint8Array>,
  offset: number,
): ReadableStream<Uint8Array> {
  const source = new ResumingSource(env, call, first, offset);
  const body = new ReadableStream<Uint8Array>(source, { highWaterMark: 0 });
  // A body that is shorter than its declared length is a broken one.
  const length = contentLength(head.headers);
  return length === undefined ? body : body.pipeThrough(new FixedLengthStream(length - offset));
}

/** Reads a body when the client takes it, and counts its bytes, so that a broken one is resumed where it broke. */
class ResumingSource implements UnderlyingSource<Uint8Array> {
  readonly #env: Env;
  readonly #call: CallPlace;
  /** Undefined where the body was complete at the offset of the last attempt. */
  #reader: ReadableStreamBYOBReader | undefined;
  #offset: number;
  #left = false;
  /** The buffer of the next read, which detaches it. */
  #buffer = new ArrayBuffer(FIRST_BUFFER_BYTES);

  constructor(env: Env, call: CallPlace, first: ReadableStream<Uint8Array>, offset: number) {
    this.#env = env;
    this.#call = call;
    this.#reader = first.getReader({ mode: "byob" });
    this.#offset = offset;
  }

  /** @throws Error where the body cannot be resumed: the client must see a break, never a clean end */
  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    for (;;) {
      const result = await this.#read();
      if (result === "broken") await this.#resume();
      else if (result === "end") {
        controller.close();
        return;
      } else {
        this.#offset += result.length;
        controller.enqueue(result);
        return;
      }
    }
  }

  async cancel(reason: unknown): Promise<void> {
    this.#left = true;
    await this.#reader?.cancel(reason).catch(() => undefined);
  }

  async #read(): Promise<Uint8Array | "end" | "broken"> {
    if (this.#reader === undefined) return "end";
    const size = this.#buffer.byteLength;
    let result: ReadableStreamReadResult<Uint8Array<ArrayBuffer>>;
    try {
      result = await this.#reader.read(new Uint8Array(this.#buffer));
    } catch {
      this.#buffer = new ArrayBuffer(size);
      return "broken";
    }
    if (result.done) return "end";
    const { value } = result;
    if (value.length < size / 2) {
      // A few bytes are copied out, so that the buffer serves the next read.
      this.#buffer = value.buffer;
      return value.slice();
    }
    const full = value.length === size && size < MAX_BUFFER_BYTES;
    this.#buffer = new ArrayBuffer(full ? size * 2 : size);
    return value;
  }

  async #resume(): Promise<void> {
    const attempt = await attach(this.#env, this.#call, { offset: this.#offset });
    if (attempt.kind !== "response" || attempt.body instanceof Uint8Array) {
      const why = attempt.kind === "failed" ? attempt.failure.detail : "it is not there any more";
      throw new Error(`the response of call ${this.#call.callId} broke off: ${why}`);
    }
    this.#reader = attempt.body?.getReader({ mode: "byob" });
    if (this.#left) await this.#reader?.cancel();
  }
}
