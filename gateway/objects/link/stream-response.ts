/**
 * One client's attachment to a call, inside the `Origin` object: turns the events of a stream into the
 * Response that the Worker gets, and a request body into frames, both under the stream's windows.
 * Whatever breaks is named in a header, so that the Worker knows whether to attach again.
 */
import { MAX_DATA_BYTES } from "../../../routing/wire/limits.ts";
import { type Failure, parseRequestHead } from "../../../routing/wire/messages.ts";
import type { Stream, StreamEnding, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import { AnswerBody } from "./response-body.ts";
import type { Deadlines } from "./deadlines.ts";
import { type Env, maxBodyBytes } from "../../contracts/env.ts";
import { asciiJson, ENDING, type Ending, FAILURE, HEAD, KEPT, MORE } from "../../contracts/link.ts";

/** A part of a body below this size costs less to copy than the buffer that it would hold. */
const COPIED_BELOW_BYTES = MAX_DATA_BYTES / 2;

/**
 * Listening to a request's signal costs a tenth of the request's whole way: it begins when the answer is
 * not there after this time. Whoever left before then is noticed then.
 */
const LISTEN_AFTER_MS = 100;

const INTERRUPTED: Failure = {
  code: "upload_interrupted",
  detail: "the request body did not arrive whole",
};

/**
 * The platform ends a body whose chunks make no sense as it ends one that breaks off. Whoever broke off
 * seldom reads on, so who sends chunks is told of both (RFC 9112, 8).
 */
const MALFORMED: Failure = {
  code: "bad_request",
  detail: "the chunked request body is malformed, or it broke off",
};

export class Attachment implements StreamEvents {
  readonly response: Promise<Response>;
  #resolve: (response: Response) => void;
  #stream: Stream | undefined;
  #body: AnswerBody | undefined;
  #windowOpened: (() => void) | undefined;

  readonly #signal: AbortSignal;
  readonly #deadlines: Deadlines;
  readonly #patienceMs: number | undefined;
  readonly #endListening: () => void;
  #endPatience: (() => void) | undefined;

  /**
   * @param request the Worker's; its signal aborts when the client left
   * @param patienceMs how long the client waits for an answer, from the last byte of its body on
   */
  constructor(request: Request, deadlines: Deadlines, patienceMs?: number) {
    this.#deadlines = deadlines;
    this.#patienceMs = patienceMs;
    const { promise, resolve } = Promise.withResolvers<Response>();
    this.response = promise;
    this.#resolve = resolve;
    // Taken now: the signal of a request that is asked for it later says nothing any more.
    this.#signal = request.signal;
    this.#endListening = deadlines.start(LISTEN_AFTER_MS, () => this.#listen());
  }

  /** There is no link, and none came back in time. */
  static noLink(): Response {
    return ended("no_link", { code: "no_origin", detail: "the box is not connected" });
  }

  /** The object does not know the call any more; the agent may. */
  static unknown(): Response {
    return ended("link_lost", { code: "call_lost", detail: "the object was reset" });
  }

  /** @param stream undefined when the link has all the streams that it may have */
  start(stream: Stream | undefined): void {
    this.#stream = stream;
    if (stream?.sent === true) this.#bodySent();
    if (stream !== undefined) return;
    const detail = "the link has its 2,000 streams";
    this.#resolve(ended("too_many_streams", { code: "queue_full", detail, retryAfter: 1 }));
  }

  onHead(head: string, body: Uint8Array, end: boolean): void {
    this.#endWaits();
    if (end) {
      this.#stream?.drained(body.length);
      this.#resolve(this.#whole(head, body));
      this.#stream?.done();
      return;
    }
    // A stream may be silent for hours; that its client left is heard only when there is something to say.
    this.#listen();
    this.#body = new AnswerBody({
      onTaken: (bytes) => this.#stream?.drained(bytes),
      onWhole: () => this.#stream?.done(),
      onLeft: () => this.#leave(),
    });
    this.#resolve(
      new Response(this.#body.readable, { headers: { [HEAD]: asciiJson(head), [MORE]: "1" } }),
    );
    if (body.length > 0) this.#body.push(body);
  }

  onData(bytes: Uint8Array, end: boolean): void {
    if (bytes.length > 0) this.#body?.push(bytes);
    if (end) this.#body?.end();
  }

  onWindow(): void {
    this.#windowOpened?.();
  }

  onOver(ending: StreamEnding): void {
    this.#endWaits();
    this.#windowOpened?.();
    if (ending.kind === "kept") {
      this.#resolve(new Response(null, { headers: { [KEPT]: asciiJson(ending.call) } }));
      return;
    }
    const failure = "failure" in ending ? ending.failure : "{}";
    if (this.#body === undefined) this.#resolve(endedText(ending.kind, failure));
    else this.#body.break();
    this.#stream?.discard();
  }

  /** Sends bytes that did not fit the opening frame. */
  sendBytes(bytes: Uint8Array): void {
    void this.#sendAll(
      (function* () {
        yield bytes;
      })(),
    );
  }

  /**
   * Streams the request body as the window allows; a client that breaks off resets the stream.
   * @param head the RequestHead as JSON
   */
  sendBody(body: ReadableStream<Uint8Array>, env: Env, head: string): void {
    void this.#pump(body, maxBodyBytes(env), head);
  }

  async #pump(body: ReadableStream<Uint8Array>, limit: number, head: string): Promise<void> {
    const reader = body.getReader({ mode: "byob" });
    let total = 0;
    let buffer = new ArrayBuffer(MAX_DATA_BYTES);
    try {
      for (;;) {
        const window = await this.#window();
        if (window === 0) break;
        const size = Math.min(window, MAX_DATA_BYTES);
        const result: ReadableStreamReadResult<Uint8Array<ArrayBuffer>> = await reader.read(
          new Uint8Array(buffer, 0, size),
        );
        const { done, value } = result;
        const stream = this.#stream;
        if (stream === undefined || stream.over) break;
        if (done) {
          stream.data([], true);
          this.#bodySent();
          return;
        }
        total += value.length;
        if (total > limit) {
          this.#fail({ code: "body_too_large", detail: `the body is larger than ${limit} bytes` });
          break;
        }
        // A frame waits to be packed with others: what it refers to is not to be read into again.
        if (value.length < COPIED_BELOW_BYTES) {
          stream.data([value.slice()]);
          buffer = value.buffer;
        } else {
          stream.data([value]);
          buffer = new ArrayBuffer(MAX_DATA_BYTES);
        }
      }
      await reader.cancel();
    } catch {
      this.#fail(INTERRUPTED, isChunked(head) ? MALFORMED : INTERRUPTED);
    }
  }

  async #sendAll(chunks: Iterable<Uint8Array>): Promise<void> {
    for (const chunk of chunks) {
      for (let offset = 0; offset < chunk.length;) {
        const window = await this.#window();
        const stream = this.#stream;
        if (window === 0 || stream === undefined) return;
        const part = chunk.subarray(offset, offset + Math.min(window, MAX_DATA_BYTES));
        offset += part.length;
        stream.data([part], offset === chunk.length);
      }
      this.#bodySent();
    }
  }

  /** From now on the client waits for the app, and for so long only. */
  #bodySent(): void {
    const patience = this.#patienceMs;
    if (patience === undefined) return;
    this.#endPatience = this.#deadlines.start(patience, () => this.#stream?.keep());
  }

  #listen(): void {
    if (this.#signal.aborted) this.#leave();
    else this.#signal.addEventListener("abort", () => this.#leave());
  }

  #endWaits(): void {
    this.#endListening();
    this.#endPatience?.();
  }

  /** Waits until bytes may be sent; 0 when the stream is over. */
  async #window(): Promise<number> {
    const stream = this.#stream;
    if (stream === undefined) return 0;
    while (stream.window === 0 && !stream.over) {
      await new Promise<void>((resolve) => {
        this.#windowOpened = resolve;
      });
    }
    return stream.over ? 0 : stream.window;
  }

  /** An answer whose last byte came with its head. */
  #whole(head: string, body: Uint8Array): Response {
    const headers = { [HEAD]: asciiJson(head) };
    return new Response(body.length === 0 ? null : body, { headers });
  }

  /** @param told what the client is told of it, where that is something else */
  #fail(failure: Failure, told = failure): void {
    const stream = this.#stream;
    if (stream === undefined || stream.over) return;
    stream.reset(failure);
    this.onOver({ kind: "reset", failure: JSON.stringify(told) });
  }

  #leave(): void {
    this.#endWaits();
    this.#stream?.cancel();
    this.#stream?.discard();
    this.#windowOpened?.();
  }
}

/** Whether the body came in chunks: no Content-Length says how long it is. */
function isChunked(head: string): boolean {
  const { headers } = parseRequestHead(head);
  return !headers.some((name, index) => index % 2 === 0 && name === "content-length");
}

function ended(ending: Ending, failure: Failure): Response {
  return endedText(ending, JSON.stringify(failure));
}

function endedText(ending: Ending, failure: string): Response {
  return new Response(null, { headers: { [ENDING]: ending, [FAILURE]: asciiJson(failure) } });
}
