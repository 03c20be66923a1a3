/**
 * The Response that the link's object makes of one stream for the Worker. The stream's events become one attempt
 * (contracts/attempt.ts), and the request body becomes frames. The stream's windows bound the memory of both.
 */
import type { Failure } from "../../../routing/wire/messages.ts";
import type { Stream, StreamEnding, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import { attemptResponse, type UnparsedAttempt } from "../../contracts/attempt.ts";
import type { Env } from "../../contracts/env.ts";
import { HALF_CLOSED_GRACE_MS, LEFT } from "../../contracts/watched-calls.ts";
import type { Deadlines } from "./deadlines.ts";
import { detailOf, lengthFrom } from "./agent-words.ts";
import { readRest } from "./attach-again.ts";
import { RequestBodySender } from "./request-body-sender.ts";
import { ResponseBodyStream } from "./response-body-stream.ts";
import type { StreamResponseOptions } from "./stream-response-options.ts";

/**
 * An abort listener costs a tenth of a short request, so the object adds it only after this delay. An earlier
 * disconnect is detected then.
 */
const LISTEN_AFTER_MS = 100;

/** A break overtakes the head and the bytes before it in the runtime's pumps. The client gets them first. */
const BREAK_AFTER_MS = 50;

/** workerd writes this to its log; the runner leaves it out (cli/gateway/workerd-lines.ts). */
const CLIENT_LEFT = "the client has left";

const TOO_MANY_STREAMS = JSON.stringify({
  code: "queue_full",
  detail: "the link has no stream for another call of this endpoint",
  retryAfter: 1,
} satisfies Failure);

export class StreamResponse implements StreamEvents {
  readonly response: Promise<Response>;
  #resolve: (response: Response) => void;
  #stream: Stream | undefined;
  #body: ResponseBodyStream | undefined;
  #requestBody: RequestBodySender | undefined;

  readonly #signal: AbortSignal;
  readonly #deadlines: Deadlines;
  readonly #options: StreamResponseOptions;
  readonly #endListening: () => void;
  #endPatience: (() => void) | undefined;
  /** When the whole request body was sent, in milliseconds of the epoch. */
  #bodySentAt = Number.NaN;
  /** The next byte of the body that the link brings, counted from the whole body's first. */
  #offset: number;
  /** Bytes that the client does not have yet, of streams that were lost with their links. */
  #staleBytes = 0;
  /** Continues to read another link's body, once the client has all that was read before. */
  #readOn: (() => void) | undefined;
  #left = false;
  #isLinkAway = false;
  /** Since when the client was seen to have closed its half, and `#offset` then. */
  #halfClosed: { readonly sinceMs: number; readonly offset: number } | undefined;

  /** @param request the Worker's; its signal aborts when the client left */
  constructor(request: Request, deadlines: Deadlines, options: StreamResponseOptions = {}) {
    this.#deadlines = deadlines;
    this.#options = options;
    this.#offset = options.offset ?? 0;
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
    if (stream !== undefined) {
      this.#requestBody = new RequestBodySender(stream, {
        onSent: () => this.#onBodySent(),
        onFailed: (told) => this.onEnd({ kind: "reset", failure: JSON.stringify(told) }),
      });
      if (stream.localClosed) this.#onBodySent();
      return;
    }
    this.#endWaits();
    this.#settle({ kind: "failed", cause: "too_many_streams", failure: TOO_MANY_STREAMS });
  }

  onPark(): void {
    const { onPark, patienceMs } = this.#options;
    if (onPark === undefined || this.#stream === undefined) return;
    this.#endWaits();
    onPark(this.#stream);
    // The end of this request is no client that leaves.
    this.#stream = undefined;
    const waitedMs = Date.now() - this.#bodySentAt;
    const leftMs = patienceMs === undefined ? undefined : Math.max(0, patienceMs - waitedMs);
    this.#resolve(attemptResponse({ kind: "parked", patienceMs: leftMs }));
    this.#options.onOver?.();
  }

  onHead(head: string, body: Uint8Array, end: boolean): void {
    this.#endWaits();
    if (this.#body !== undefined) {
      // The link was lost, and this is the rest of the body.
      this.onData(body, end);
      return;
    }
    const wholeBytes = end ? this.#offset + body.length : undefined;
    if (end && this.#requestBody?.isSending !== true) {
      this.#stream?.consume(body.length);
      const whole = body.length === 0 ? null : body;
      this.#settle({ kind: "response", head, body: whole, resumable: false, wholeBytes });
      this.#stream?.finish();
      return;
    }
    // A silent stream may last for hours: a client that leaves is noticed here alone.
    this.#listen();
    const events = {
      onTaken: (bytes: number) => this.#onTaken(bytes),
      onWhole: () => {
        this.#stream?.finish();
        this.#options.onOver?.();
      },
      onLeft: () => this.#leave(),
    };
    // A HEAD's response tells the length of a body that does not come.
    const isBodiless = end && body.length === 0;
    const length = isBodiless ? undefined : lengthFrom(head, this.#offset);
    this.#body = new ResponseBodyStream(events, length);
    // An operation is none that a Worker could attach to.
    const { callId, resume } = this.#options;
    const resumable = callId !== undefined && resume === undefined;
    this.#options.onStreaming?.();
    this.#settle({ kind: "response", head, body: this.#body.readable, resumable, wholeBytes });
    this.onData(body, end);
  }

  onData(bytes: Uint8Array, end: boolean): void {
    this.#offset += bytes.length;
    if (bytes.length > 0) this.#body?.push(bytes);
    if (end) this.#afterUpload(() => this.#body?.end());
  }

  /** Ends a response that comes before the upload has ended, once its client has sent the rest of that. */
  #afterUpload(end: () => void): void {
    if (this.#requestBody?.isSending === true) void this.#requestBody.abandon().then(end, end);
    else end();
  }

  onWindow(): void {
    this.#requestBody?.wake();
  }

  onEnd(ending: StreamEnding): void {
    this.#endWaits();
    this.#requestBody?.wake();
    if (this.#body !== undefined) {
      // Only a hostile agent defers a call whose response has begun: that response breaks off like any other.
      if (ending.kind === "link_lost") void this.#resume(this.#body);
      else this.#break(this.#body, "failure" in ending ? detailOf(ending.failure) : ending.kind);
    } else if (ending.kind === "deferred") {
      this.#settle({ kind: "deferred", call: ending.call });
      return;
    } else {
      const failure = "failure" in ending ? ending.failure : "{}";
      const cause = ending.kind;
      this.#afterUpload(() => this.#settle({ kind: "failed", cause, failure }));
    }
    this.#stream?.discard();
  }

  /** Goes on where the lost link ended: the client notices a pause, or a break where the call cannot go on. */
  async #resume(body: ResponseBodyStream): Promise<void> {
    this.#staleBytes = body.pendingBytes;
    this.#stream = undefined;
    this.#isLinkAway = true;
    const rest = await this.#options.resume?.(this, this.#offset);
    this.#isLinkAway = false;
    if (rest?.kind === "stream") {
      this.#stream = rest.stream;
      if (this.#left) this.#leave();
    } else if (rest === undefined || !(await readRest(rest.body, (bytes) => this.#pass(bytes)))) {
      this.#break(body, "its link did not come back");
    } else body.end();
  }

  #break(body: ResponseBodyStream, why: string): void {
    const id = this.#options.callId?.();
    const whose = id === undefined ? "the agent itself" : `call ${id}`;
    const reason = new Error(`the response of ${whose} broke off: ${why}`);
    setTimeout(() => body.break(reason), BREAK_AFTER_MS);
    this.#options.onOver?.();
  }

  /** Passes on a piece of another link's body; returns whether the client wants more. */
  async #pass(bytes: Uint8Array): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#readOn = resolve;
    this.#staleBytes += bytes.length;
    this.#body?.push(bytes);
    if (!this.#left) await promise;
    return !this.#left;
  }

  #onTaken(bytes: number): void {
    const stale = Math.min(bytes, this.#staleBytes);
    this.#staleBytes -= stale;
    if (bytes > stale) this.#stream?.consume(bytes - stale);
    if (this.#body?.pendingBytes === 0) this.#readOn?.();
  }

  /**
   * The client has closed its half of the connection, and is told of again while that lasts. It may still read. Where
   * nothing has come for it in HALF_CLOSED_GRACE_MS, it has left. Bytes that wait for it are on their way: the system
   * of a client that has left answers them with a reset. A link that is away brings nothing to anybody.
   */
  onHalfClosed(): void {
    if (this.#left) return;
    const offset = this.#offset;
    const now = Date.now();
    const mayRead = this.#isLinkAway || (this.#body?.pendingBytes ?? 0) > 0;
    if (mayRead || this.#halfClosed?.offset !== offset) this.#halfClosed = { sinceMs: now, offset };
    if (now - this.#halfClosed.sinceMs < HALF_CLOSED_GRACE_MS) return;
    this.#leave();
    if (this.#body === undefined)
      this.#settle({ kind: "failed", cause: "cancelled", failure: JSON.stringify(LEFT) });
    else this.#body.break(new Error(CLIENT_LEFT));
  }

  /** Sends a body that did not fit the opening frame, as the window allows. */
  async sendBytes(bytes: Uint8Array): Promise<void> {
    await this.#requestBody?.sendBytes(bytes);
  }

  /**
   * Streams the request body as the window allows. A client that breaks off resets the stream.
   * @param head the RequestHead as JSON
   */
  async sendBody(body: ReadableStream<Uint8Array>, env: Env, head: string): Promise<void> {
    await this.#requestBody?.send(body, env, head);
  }

  #settle(attempt: UnparsedAttempt): void {
    this.#resolve(attemptResponse(attempt));
    if (this.#body === undefined) this.#options.onOver?.();
  }

  /** From now on the client waits for the app, and only as long as its patience lasts. */
  #onBodySent(): void {
    this.#bodySentAt = Date.now();
    const patience = this.#options.patienceMs;
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

  #leave(): void {
    this.#left = true;
    this.#endWaits();
    this.#options.onOver?.();
    this.#stream?.cancel();
    this.#stream?.discard();
    this.#requestBody?.wake();
    this.#readOn?.();
  }
}
