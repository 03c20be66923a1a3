/**
 * A call's exchange with the app over HTTP/1.1, by undici: what the app gets is what the client sent,
 * byte for byte; what the app answers goes back into the call. undici's own limits are lifted: time
 * and size are the endpoint's settings' business, not the client library's.
 *
 * Servers close idle connections. A request that meets such a close goes out again on a fresh
 * connection, but only when it is certain that the app has not seen it: the connection was a reused one,
 * nothing of an answer came, the kernel reported a reset (the bytes met a closed socket), and the
 * request was small enough to leave in one piece. Larger ones never use a kept connection at all. Where
 * the connection just ended, the app may have seen it: then only a safe method goes out again, as RFC
 * 9112, 9.3.1, has every client do.
 */
import diagnostics from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { type Dispatcher, Pool } from "undici";
import { getHeader } from "../../base/headers.ts";
import { KIB, MAX_HEADER_BYTES } from "../../routing/wire/limits.ts";
import { responseHeaders } from "../../routing/wire/headers.ts";
import type { Call, AppWork } from "../calls/call.ts";

/** Requests whose body is at most this long may use a kept connection. */
const SMALL_BODY_BYTES = 16 * KIB;

/** RFC 9110, 9.2.1. */
const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/** Idle connections are closed after this time; servers that wait less are rare (uvicorn waits 5 s). */
const IDLE_MS = 4_000;

export interface AppServer {
  /** `http://127.0.0.1:41000`. */
  origin: string;
  /** A Unix socket instead of the origin's port. */
  socketPath?: string;
}

/** What an app may take, in milliseconds; beyond it the call is `call_timeout` and the app sees a disconnect. */
export interface CallLimits {
  /** Until its response headers. */
  timeoutMs: number;
  /** From then on until its answer's end. */
  maxDurationMs: number;
}

/** What is measured before the app is asked, in milliseconds. */
export interface Waited {
  queue: number;
  start: number;
}

/** The app accepts no connections and has seen nothing: the request may be sent over others. */
type OnRefused = (sendOver: (others: AppConnections) => void) => Promise<void>;

export interface ForwardedCall {
  readonly call: Call;
  readonly waited: Waited;
  readonly limits: CallLimits;
}

interface AppRequest extends ForwardedCall {
  /** The body where all of it is here: null for none, undefined when it streams. */
  readonly whole: Uint8Array | null | undefined;
}

/** Connections to one app. */
export class AppConnections {
  readonly #kept: Pool;
  readonly #fresh: Pool;

  constructor({ origin, socketPath }: AppServer) {
    const options: Pool.Options = {
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: 600_000,
      // Room for the status line besides the headers, so that the limit is ours to judge.
      maxHeaderSize: MAX_HEADER_BYTES + 16 * KIB,
      connect: { timeout: 10_000, ...(socketPath === undefined ? {} : { socketPath }) },
    };
    this.#kept = new Pool(origin, { ...options, pipelining: 1 });
    this.#fresh = new Pool(origin, { ...options, pipelining: 0 });
  }

  /**
   * Sends the call's request; everything that comes of it is told to the call.
   * @param refused without it, an app that accepts no connections fails the call
   */
  forward(forwarded: ForwardedCall, refused?: OnRefused): void {
    this.#begin({ ...forwarded, whole: forwarded.call.body.whole() }, refused);
  }

  #begin(request: AppRequest, refused?: OnRefused): void {
    const { whole } = request;
    const small = whole !== undefined && (whole === null || whole.length <= SMALL_BODY_BYTES);
    this.#send(small ? this.#kept : this.#fresh, request, (exchange, error) => {
      if (exchange.isUnsent && isWithoutConnection(error) && refused !== undefined) {
        request.call.body.restore(whole);
        void refused((others) => others.forward(request));
        return true;
      }
      if (!small || !exchange.mayRepeat(error)) return false;
      this.#send(this.#fresh, request, () => false);
      return true;
    });
  }

  /** @param repeat sends a request that broke once more, or says that it must not be */
  #send(
    pool: Pool,
    { whole, ...forwarded }: AppRequest,
    repeat: (exchange: AppExchange, error: NodeJS.ErrnoException) => boolean,
  ): void {
    const { call } = forwarded;
    const { method, target, headers } = call.head;
    const exchange: AppExchange = new AppExchange(forwarded, (error) => repeat(exchange, error));
    const request: Dispatcher.DispatchOptions = {
      method,
      path: latin1(target),
      headers: headers.map(latin1),
      body: whole === undefined ? Readable.from(call.body.chunks(), { objectMode: false }) : whole,
    };
    // After this turn's events: of a connection that the app has closed by now, undici knows then.
    setImmediate(() => pool.dispatch(request, exchange));
  }

  /** Lets what is under way finish; then nothing of this is left. */
  async closeWhenIdle(): Promise<void> {
    await Promise.all([this.#kept.close(), this.#fresh.close()]);
  }

  /** Ends everything now. */
  async close(): Promise<void> {
    await Promise.all([this.#kept.destroy(), this.#fresh.destroy()]);
  }
}

/** undici publishes the socket of a request in the same turn as `onRequestStart`. */
let starting: ((socket: Socket) => void) | undefined;
diagnostics.subscribe("undici:client:sendHeaders", (message) => {
  starting?.((message as { socket: Socket }).socket);
  starting = undefined;
});

class AppExchange implements Dispatcher.DispatchHandler, AppWork {
  readonly #call: Call;
  readonly #waited: Waited;
  readonly #repeat: (error: NodeJS.ErrnoException) => boolean;
  readonly #startedAt = performance.now();
  #controller: Dispatcher.DispatchController | undefined;
  #socket: Socket | undefined;
  #readBefore = 0;
  #aborted: string | undefined;

  readonly #limits: CallLimits;
  #timer: ReturnType<typeof setTimeout>;

  constructor(
    { call, waited, limits }: ForwardedCall,
    repeat: (error: NodeJS.ErrnoException) => boolean,
  ) {
    this.#call = call;
    this.#waited = waited;
    this.#repeat = repeat;
    this.#limits = limits;
    this.#timer = this.#allow(limits.timeoutMs, "the app did not answer");
    call.start(this);
  }

  /** The call fails when this time is over; whatever happens before ends the timer. */
  #allow(limitMs: number, what: string): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      const detail = `${what} within ${limitMs / 1000} s`;
      this.#call.fail({ code: "call_timeout", detail });
      this.abort(detail);
    }, limitMs);
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    this.#controller?.resume();
  }

  abort(reason: string): void {
    clearTimeout(this.#timer);
    this.#aborted = reason;
    this.#controller?.abort(new Error(reason));
  }

  #sentOn(socket: Socket): void {
    this.#socket = socket;
    this.#readBefore = socket.bytesRead;
  }

  /** Not a byte of the request left: nobody listens, or no connection could be made. */
  get isUnsent(): boolean {
    return this.#socket === undefined && this.#aborted === undefined;
  }

  /** Whether the request may go out again: the app cannot have seen it, or it is safe to. */
  mayRepeat(error: NodeJS.ErrnoException): boolean {
    const socket = this.#socket;
    if (socket === undefined || this.#aborted !== undefined) return false;
    const reused = this.#readBefore > 0;
    const answered = socket.bytesRead > this.#readBefore;
    if (!reused || answered) return false;
    if (error.code === "ECONNRESET" || error.code === "EPIPE") return true;
    return error.code === "UND_ERR_SOCKET" && SAFE_METHODS.has(this.#call.head.method);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    starting = (socket) => this.#sentOn(socket);
    if (this.#aborted !== undefined) controller.abort(new Error(this.#aborted));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    // 100 and 103 are for who sent the request; the answer is still to come (RFC 9110, 15.2).
    if (status < 200) return;
    clearTimeout(this.#timer);
    const headers = responseHeaders(controller.rawHeaders as Buffer[]);
    if (!Array.isArray(headers)) {
      controller.abort(new Error(headers.detail));
      return;
    }
    if (status > 599) {
      controller.abort(new Error(`its status is ${status} and statuses end at 599`));
      return;
    }
    this.#timer = this.#allow(this.#limits.maxDurationMs, "the app's answer did not end");
    const app = Math.round(performance.now() - this.#startedAt);
    const eager = isEventStream(headers);
    this.#call.respond({ status, headers, timing: { ...this.#waited, app } }, eager);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#call.append(chunk);
  }

  onResponseEnd(): void {
    clearTimeout(this.#timer);
    this.#call.complete();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: NodeJS.ErrnoException): void {
    clearTimeout(this.#timer);
    if (this.#repeat(error)) return;
    if (this.isUnsent) this.#call.withdraw();
    this.#call.fail({
      code: "origin_error",
      detail: `the app broke the exchange: ${describe(error)}`,
    });
  }
}

/** Nobody listens: not a byte of the request has left. */
function isRefusal({ code }: NodeJS.ErrnoException): boolean {
  return code === "ECONNREFUSED" || code === "ENOENT";
}

/** No connection could be made: another attempt may find the app, or descriptors, there. */
function isWithoutConnection(error: NodeJS.ErrnoException): boolean {
  const { code, syscall } = error;
  return (
    isRefusal(error) ||
    syscall === "connect" ||
    syscall === "getaddrinfo" ||
    code === "UND_ERR_CONNECT_TIMEOUT" ||
    code === "EMFILE" ||
    code === "ENFILE"
  );
}

/** What went wrong, in words that name no more than the client may know. */
function describe(error: NodeJS.ErrnoException): string {
  if (isRefusal(error)) return "it accepts no connections";
  // undici asserts that a status has three digits.
  if (error.name === "HTTPParserError" || error.code === "ERR_ASSERTION") {
    return "its answer is not HTTP";
  }
  switch (error.code) {
    case "ECONNRESET":
    case "EPIPE":
      return "it reset the connection";
    case "UND_ERR_SOCKET":
      return "it closed the connection";
    case "UND_ERR_HEADERS_OVERFLOW":
      return "its headers are larger than 64 KiB";
    case "UND_ERR_RES_CONTENT_LENGTH_MISMATCH":
      return "its body does not have the length that it declared";
    default:
      // Our own words have no code. The system's name addresses, and how an upstream's TLS is set up.
      return error.code === undefined ? error.message : `it could not be reached (${error.code})`;
  }
}

function isEventStream(headers: readonly string[]): boolean {
  return getHeader(headers, "content-type")?.startsWith("text/event-stream") === true;
}

/** HTTP/1.1 carries bytes: text leaves as the bytes of its UTF-8, which undici takes as Latin-1. */
function latin1(text: string): string {
  // oxlint-disable-next-line no-control-regex -- ASCII is what is asked for
  return /^[\x00-\x7f]*$/.test(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}
