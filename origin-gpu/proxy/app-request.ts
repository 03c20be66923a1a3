/**
 * One request to an app over HTTP/1.1, by undici. Its events go to its call. The limits are the endpoint's settings;
 * undici's own are switched off.
 */
import diagnostics from "node:diagnostics_channel";
import type { Socket } from "node:net";
import type { Dispatcher } from "undici";
import { getHeader } from "../../base/headers.ts";
import { responseHeaders } from "../../routing/wire/headers.ts";
import type { ErrorCode } from "../../routing/wire/errors.ts";
import { mayResend } from "../../routing/wire/resend.ts";
import type { AppWork, Call } from "../calls/call.ts";
import { describeAppError, isEndedByPeer } from "./app-errors.ts";
import { useIn } from "../core/load-report.ts";
import type { AppHost } from "./app-host.ts";
import { writesTaken } from "./app-socket.ts";
import { asksToDrain, LOAD_METRICS, reportedUse } from "./container-header.ts";
import { sendHead } from "./early-head.ts";

/** The close of an idle connection that meets a request has been on its way when the request left. */
const IDLE_CLOSE_MS = 1_000;

/** A call's limits, in milliseconds. Beyond them the call ends and the app sees a disconnect. */
export interface CallLimits {
  /** From the last byte of the request that came until the app's response headers. */
  timeoutMs: number;
  /** For the request's body, and again for the response's. */
  maxDurationMs: number;
}

/** The time that a call waited before its request: in the queue, and for the container's start, in milliseconds. */
export interface Waited {
  queue: number;
  start: number;
}

/** The app accepts no connections and has seen nothing: the call may be sent again, here or over others. */
export type OnRefused = () => Promise<void>;

/**
 * The connection broke before the first byte of a response, and the request's body can be sent again. Either the call
 * is sent once more, or `fail` fails it.
 */
export type OnBroke = (fail: () => void) => Promise<void>;

export interface ProxiedCall {
  readonly call: Call;
  readonly waited: Waited;
  readonly limits: CallLimits;
  /** The head is sent at once: the body streams, and its first byte may be long in coming. */
  readonly isHeadEarly?: boolean;
  /** The endpoint's `host_header`, where it is not the public host. */
  readonly hostHeader?: string | undefined;
  /** The response says that its container wants no more calls. */
  readonly onDrainAsked?: () => void;
  /** The response says how busy its container is, from 0 to 1. */
  readonly onUse?: (use: number) => void;
}

/** A call on its way over a connection. */
export interface SentCall extends Omit<ProxiedCall, "hostHeader"> {
  /** Absent where the app sees the public host. */
  readonly appHost?: AppHost | undefined;
}

/** The message that undici publishes about a request, in the same turn as `onRequestStart`. */
interface SentHead {
  readonly socket: Socket;
  /** Request line and header lines, without the line that frames the body. */
  readonly headers: string;
  readonly request: { readonly contentLength: number | null };
}

let starting: ((sent: SentHead) => void) | undefined;
diagnostics.subscribe("undici:client:sendHeaders", (message) => {
  starting?.(message as SentHead);
  starting = undefined;
});

export class AppRequest implements Dispatcher.DispatchHandler, AppWork {
  readonly #call: Call;
  readonly #waited: Waited;
  readonly #repeat: (error: NodeJS.ErrnoException) => boolean;
  readonly #isHeadEarly: boolean;
  readonly #appHost: AppHost | undefined;
  readonly #onDrainAsked: (() => void) | undefined;
  readonly #onUse: ((use: number) => void) | undefined;
  readonly #startedAt = performance.now();
  #controller: Dispatcher.DispatchController | undefined;
  #socket: Socket | undefined;
  #sentAtMs = 0;
  #readBefore = 0;
  #takenBefore = 0;
  #aborted: string | undefined;
  /** The response's client, or the disk, takes no more now. */
  #isHeld = false;

  readonly #limits: CallLimits;
  #timer: ReturnType<typeof setTimeout>;

  constructor(
    { call, waited, limits, isHeadEarly = false, appHost, onDrainAsked, onUse }: SentCall,
    repeat: (error: NodeJS.ErrnoException) => boolean,
  ) {
    this.#call = call;
    this.#waited = waited;
    this.#repeat = repeat;
    this.#isHeadEarly = isHeadEarly;
    this.#appHost = appHost;
    this.#onDrainAsked = onDrainAsked;
    this.#onUse = onUse;
    this.#limits = limits;
    this.#timer = setTimeout(() => this.#judgeSilence(), this.#silenceLeftMs);
    call.start(this);
  }

  /** How long nobody needs to say anything: the client, whose body may still be coming, or the app. */
  get #silenceLeftMs(): number {
    const { timeoutMs, maxDurationMs } = this.#limits;
    const { body } = this.#call;
    const now = performance.now();
    const silentMs = now - Math.max(this.#startedAt, body.arrivedAt);
    const uploadLeftMs = body.incomplete ? maxDurationMs - (now - this.#startedAt) : Infinity;
    return Math.min(timeoutMs - silentMs, uploadLeftMs);
  }

  /** Ends the call where client or app took too long, and says who it was. */
  #judgeSilence(): void {
    const leftMs = this.#silenceLeftMs;
    if (leftMs > 0) {
      this.#timer = setTimeout(() => this.#judgeSilence(), leftMs);
      return;
    }
    const { timeoutMs, maxDurationMs } = this.#limits;
    const { body } = this.#call;
    const isUploadLong = body.incomplete && performance.now() - this.#startedAt >= maxDurationMs;
    if (isUploadLong) {
      this.#fail("upload_interrupted", `the body was not whole after ${maxDurationMs / 1000} s`);
    } else if (body.awaitsSender) {
      this.#fail("upload_interrupted", `the client sent no more for ${timeoutMs / 1000} s`);
    } else this.#fail("call_timeout", `the app did not answer within ${timeoutMs / 1000} s`);
  }

  /** Ends the call whose response lasts too long. A client that does not read holds its app back. */
  #judgeDuration(): void {
    const within = `within ${this.#limits.maxDurationMs / 1000} s`;
    if (this.#isHeld) this.#call.cancel(`the client did not take the response ${within}`);
    else this.#fail("call_timeout", `the app's answer did not end ${within}`);
  }

  #fail(code: ErrorCode, detail: string): void {
    this.#call.fail({ code, detail });
    this.abort(detail);
  }

  pause(): void {
    this.#isHeld = true;
    this.#controller?.pause();
  }

  resume(): void {
    this.#isHeld = false;
    this.#controller?.resume();
  }

  abort(reason: string): void {
    clearTimeout(this.#timer);
    this.#aborted = reason;
    this.#controller?.abort(new Error(reason));
  }

  #sentOn({ socket, headers, request }: SentHead): void {
    this.#socket = socket;
    this.#sentAtMs = performance.now();
    this.#readBefore = socket.bytesRead;
    this.#takenBefore = writesTaken(socket);
    if (this.#isHeadEarly) sendHead(socket, headers, request.contentLength ?? undefined);
  }

  /** Whether no byte of the request left: it had no connection, or one that took nothing of it. */
  get isUnsent(): boolean {
    if (this.#aborted !== undefined) return false;
    const socket = this.#socket;
    if (socket === undefined) return true;
    return this.isUnanswered && writesTaken(socket) === this.#takenBefore;
  }

  /** Whether the request has a connection, on which no byte of a response came; nobody has given the call up. */
  get isUnanswered(): boolean {
    const socket = this.#socket;
    if (socket === undefined || this.#aborted !== undefined) return false;
    return socket.bytesRead === this.#readBefore;
  }

  /**
   * Whether the request may go out again after its connection ended. Servers close idle connections, so only a
   * reused one counts, and only if it ended soon: later the app itself has died of the request, or with it. A reset proves
   * nothing: a kernel also resets when a process dies with bytes unread.
   */
  mayRepeat(error: NodeJS.ErrnoException): boolean {
    if (!isEndedByPeer(error)) return false;
    const { head, isDurable } = this.#call;
    const terms = { method: head.method, isKeyed: head.key !== undefined, isDurable };
    if (this.isUnsent) return mayResend("not_sent", terms);
    const isReused = this.#readBefore > 0;
    const isSoon = performance.now() - this.#sentAtMs <= IDLE_CLOSE_MS;
    return isReused && isSoon && this.isUnanswered && mayResend("unknown", terms);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    starting = (sent) => this.#sentOn(sent);
    if (this.#aborted !== undefined) controller.abort(new Error(this.#aborted));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    // 100 and 103 are interim responses: the final one is still to come (RFC 9110, 15.2).
    if (status < 200) return;
    clearTimeout(this.#timer);
    const raw = controller.rawHeaders as Buffer[];
    if (asksToDrain(raw)) this.#onDrainAsked?.();
    this.#noteUse(reportedUse(raw));
    const headers = responseHeaders(raw);
    if (!Array.isArray(headers)) {
      controller.abort(new Error(headers.detail));
      return;
    }
    if (status > 599) {
      controller.abort(new Error(`its status is ${status} and statuses end at 599`));
      return;
    }
    this.#timer = setTimeout(() => this.#judgeDuration(), this.#limits.maxDurationMs);
    const app = Math.round(performance.now() - this.#startedAt);
    const eager = isEventStream(headers);
    const told = this.#appHost?.toClient(headers) ?? headers;
    this.#call.respond({ status, headers: told, timing: { ...this.#waited, app } }, eager);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#call.append(chunk);
  }

  onResponseEnd(
    _controller: Dispatcher.DispatchController,
    trailers: Record<string, string | string[] | undefined> = {},
  ): void {
    const report = trailers[LOAD_METRICS];
    if (typeof report === "string") this.#noteUse(useIn(report));
    clearTimeout(this.#timer);
    this.#call.complete();
  }

  #noteUse(use: number | undefined): void {
    if (use !== undefined) this.#onUse?.(use);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: NodeJS.ErrnoException): void {
    clearTimeout(this.#timer);
    if (this.#repeat(error)) return;
    if (this.isUnsent) this.#call.withdraw();
    this.failBroken(error);
  }

  /** The connection broke, and the request does not go out again. */
  failBroken(error: NodeJS.ErrnoException): void {
    this.#call.fail({
      code: "origin_error",
      detail: `the app broke the exchange: ${describeAppError(error)}`,
    });
  }
}

function isEventStream(headers: readonly string[]): boolean {
  return getHeader(headers, "content-type")?.startsWith("text/event-stream") === true;
}
