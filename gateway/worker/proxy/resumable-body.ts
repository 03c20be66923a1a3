/**
 * The body of an answer as the client gets it: one stream, however many attachments to the call it takes.
 * What breaks goes on at the byte that the client has, and where it cannot, the client sees a break.
 */
import { contentLength, type ResponseHead } from "../../../routing/wire/messages.ts";
import { attach, type CallPlace } from "./link-client.ts";
import type { Env } from "../../contracts/env.ts";
import { MOST_AT_A_TIME_BYTES } from "../../contracts/link.ts";

/** What an answer is read into: starts small, because most answers are, and grows while reads fill it. */
const FIRST_BUFFER_BYTES = 4 * 1024;

/** @param first what the first attachment brings @param offset of its first byte in the answer */
export function resumable(
  env: Env,
  call: CallPlace,
  head: ResponseHead,
  first: ReadableStream<Uint8Array>,
  offset: number,
): ReadableStream<Uint8Array> {
  const source = new ResumingSource(env, call, first, offset);
  const body = new ReadableStream<Uint8Array>(source, { highWaterMark: 0 });
  // Where an answer declares its length, a short body is a broken one.
  const length = contentLength(head.headers);
  return length === undefined ? body : body.pipeThrough(new FixedLengthStream(length - offset));
}

/** An answer's bytes, read when the client takes them and counted, so that what breaks goes on there. */
class ResumingSource implements UnderlyingSource<Uint8Array> {
  readonly #env: Env;
  readonly #call: CallPlace;
  /** Undefined when the answer was complete where it was attached to. */
  #reader: ReadableStreamBYOBReader | undefined;
  #offset: number;
  #left = false;
  /** What is read into; a read takes it away. */
  #buffer = new ArrayBuffer(FIRST_BUFFER_BYTES);

  constructor(env: Env, call: CallPlace, first: ReadableStream<Uint8Array>, offset: number) {
    this.#env = env;
    this.#call = call;
    this.#reader = first.getReader({ mode: "byob" });
    this.#offset = offset;
  }

  /** @throws where the answer cannot be resumed: never a clean end, the client must see that it broke */
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
      // The few bytes of an event are copied, and the buffer is read into again.
      this.#buffer = value.buffer;
      return value.slice();
    }
    const full = value.length === size && size < MOST_AT_A_TIME_BYTES;
    this.#buffer = new ArrayBuffer(full ? size * 2 : size);
    return value;
  }

  async #resume(): Promise<void> {
    const part = await attach(this.#env, this.#call, this.#offset);
    if (part.kind !== "head") {
      const why = part.kind === "ended" ? part.failure.detail : "it is not there any more";
      throw new Error(`the answer of call ${this.#call.id} broke off: ${why}`);
    }
    this.#reader = part.body?.getReader({ mode: "byob" });
    if (this.#left) await this.#reader?.cancel();
  }
}
