/**
 * The Response that the link's object makes of one stream for the Worker. The stream's events become one attempt
 * (contracts/attempt.ts), and the request body becomes frames. The stream's windows bound the memory of both.
 */
import { MAX_DATA_BYTES } from "../../../routing/wire/limits.ts";
import { contentLength, parseOpenHead } from "../../../routing/wire/heads.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import type { Stream, StreamEnding, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import { StreamWriter } from "../../../routing/wire/stream-writer.ts";
import { attemptResponse, type UnparsedAttempt } from "../../contracts/attempt.ts";
import { type Env, maxBodyBytes } from "../../contracts/env.ts";
import type { Deadlines } from "./deadlines.ts";
import { ResponseBodyStream } from "./response-body-stream.ts";

/** A part of a body below this size costs less to copy than the buffer that it would hold. */
const COPIED_BELOW_BYTES = MAX_DATA_BYTES / 2;

/**
 * An abort listener costs a tenth of a short request, so the object adds it only after this delay. An earlier
 * disconnect is detected then.
 */
const LISTEN_AFTER_MS = 100;

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

const NO_LINK = JSON.stringify({
  code: "no_origin",
  detail: "the box is not connected",
  retryAfter: 1,
} satisfies Failure);

const TOO_MANY_STREAMS = JSON.stringify({
  code: "queue_full",
  detail: "the link has its 2,000 streams",
  retryAfter: 1,
} satisfies Failure);

const UNKNOWN_CALL = JSON.stringify({
  code: "call_lost",
  detail: "the object was reset",
} satisfies Failure);

/** There is no link. */
export function noLink(cause: "no_link" | "link_away" | "link_unknown"): Response {
  return attemptResponse({ kind: "failed", cause, failure: NO_LINK });
}

/** The object does not know the call any more; the agent may. */
export function unknownCall(): Response {
  return attemptResponse({ kind: "failed", cause: "link_lost", failure: UNKNOWN_CALL });
}

export class StreamResponse implements StreamEvents {
  readonly response: Promise<Response>;
  #resolve: (response: Response) => void;
  #stream: Stream | undefined;
  #body: ResponseBodyStream | undefined;
  #writer: StreamWriter | undefined;

  readonly #signal: AbortSignal;
  readonly #deadlines: Deadlines;
  readonly #patienceMs: number | undefined;
  readonly #endListening: () => void;
  #endPatience: (() => void) | undefined;

  /**
   * @param request the Worker's; its signal aborts when the client left
   * @param patienceMs how long the client waits for response headers, from the last byte of its body on;
   * undefined: for ever
   */
  constructor(request: Request, deadlines: Deadlines, patienceMs?: number) {
    this.#deadlines = deadlines;
    this.#patienceMs = patienceMs;
    const { promise, resolve } = Promise.withResolvers<Response>();
    this.response = promise;
    this.#resolve = resolve;
    // Read at once: workerd's signal is dead when it is read for the first time after an await.
    this.#signal = request.signal;
    this.#endListening = deadlines.start(LISTEN_AFTER_MS, () => this.#listen());
  }

  /** @param stream undefined when the link has all the streams that it may have */
  start(stream: Stream | undefined): void {
    this.#stream = stream;
    if (stream !== undefined) this.#writer = new StreamWriter(stream);
    if (stream?.localClosed === true) this.#onBodySent();
    if (stream !== undefined) return;
    this.#endWaits();
    this.#settle({ kind: "failed", cause: "too_many_streams", failure: TOO_MANY_STREAMS });
  }

  onHead(head: string, body: Uint8Array, end: boolean): void {
    this.#endWaits();
    if (end) {
      this.#stream?.consume(body.length);
      const whole = body.length === 0 ? null : body;
      this.#settle({ kind: "response", head, body: whole, resumable: false });
      this.#stream?.finish();
      return;
    }
    // A silent stream may last for hours: a client that leaves is noticed here alone.
    this.#listen();
    this.#body = new ResponseBodyStream({
      onTaken: (bytes) => this.#stream?.consume(bytes),
      onWhole: () => this.#stream?.finish(),
      onLeft: () => this.#leave(),
    });
    this.#settle({ kind: "response", head, body: this.#body.readable, resumable: true });
    if (body.length > 0) this.#body.push(body);
  }

  onData(bytes: Uint8Array, end: boolean): void {
    if (bytes.length > 0) this.#body?.push(bytes);
    if (end) this.#body?.end();
  }

  onWindow(): void {
    this.#writer?.wake();
  }

  onEnd(ending: StreamEnding): void {
    this.#endWaits();
    this.#writer?.wake();
    if (this.#body !== undefined) {
      // Only a hostile agent defers a call whose response has begun: that response breaks off like any other.
      this.#body.break();
    } else if (ending.kind === "deferred") {
      this.#settle({ kind: "deferred", call: ending.call });
      return;
    } else {
      const failure = "failure" in ending ? ending.failure : "{}";
      this.#settle({ kind: "failed", cause: ending.kind, failure });
    }
    this.#stream?.discard();
  }

  /** Sends a body that did not fit the opening frame, as the window allows. */
  async sendBytes(bytes: Uint8Array): Promise<void> {
    await this.#writer?.write(bytes, true);
    if (this.#stream?.localClosed !== true) return;
    this.#onBodySent();
  }

  /**
   * Streams the request body as the window allows. A client that breaks off resets the stream.
   * @param head the RequestHead as JSON
   */
  async sendBody(body: ReadableStream<Uint8Array>, env: Env, head: string): Promise<void> {
    const limit = maxBodyBytes(env);
    const reader = body.getReader({ mode: "byob" });
    let total = 0;
    let buffer = new ArrayBuffer(MAX_DATA_BYTES);
    try {
      for (;;) {
        const size = (await this.#writer?.room()) ?? 0;
        if (size === 0) break;
        const result: ReadableStreamReadResult<Uint8Array<ArrayBuffer>> = await reader.read(
          new Uint8Array(buffer, 0, size),
        );
        const { done, value } = result;
        const stream = this.#stream;
        if (stream === undefined || stream.closed) break;
        if (done) {
          stream.sendData([], true);
          this.#onBodySent();
          return;
        }
        total += value.length;
        if (total > limit) {
          this.#fail({ code: "body_too_large", detail: `the body is larger than ${limit} bytes` });
          break;
        }
        // A frame waits to be packed with others: its buffer must not be read into again.
        if (value.length < COPIED_BELOW_BYTES) {
          stream.sendData([value.slice()]);
          buffer = value.buffer;
        } else {
          stream.sendData([value]);
          buffer = new ArrayBuffer(MAX_DATA_BYTES);
        }
      }
      await reader.cancel();
    } catch {
      this.#fail(INTERRUPTED, isChunked(head) ? MALFORMED : INTERRUPTED);
    }
  }

  #settle(attempt: UnparsedAttempt): void {
    this.#resolve(attemptResponse(attempt));
  }

  /** From now on the client waits for the app, and only as long as its patience lasts. */
  #onBodySent(): void {
    const patience = this.#patienceMs;
    if (patience === undefined) return;
    this.#endPatience = this.#deadlines.start(patience, () => this.#stream?.defer());
  }

  #listen(): void {
    if (this.#signal.aborted) this.#leave();
    else this.#signal.addEventListener("abort", () => this.#leave());
  }

  #endWaits(): void {
    this.#endListening();
    this.#endPatience?.();
  }

  /** @param told the failure that the client is told, where that is another one */
  #fail(failure: Failure, told = failure): void {
    const stream = this.#stream;
    if (stream === undefined || stream.closed) return;
    stream.reset(failure);
    this.onEnd({ kind: "reset", failure: JSON.stringify(told) });
  }

  #leave(): void {
    this.#endWaits();
    this.#stream?.cancel();
    this.#stream?.discard();
    this.#writer?.wake();
  }
}

/** Whether the body came in chunks: no Content-Length says how long it is. */
function isChunked(head: string): boolean {
  const opened = parseOpenHead(head);
  return "headers" in opened && contentLength(opened.headers) === undefined;
}
