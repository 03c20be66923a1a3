/**
 * Connections to one app over HTTP/1.1, by undici. The app gets what the client sent, byte for byte.
 *
 * Servers close idle connections. A request that meets such a close may go out again on a fresh connection, by the
 * law of routing/wire/resend.ts. Requests with larger bodies never use a kept connection at all.
 */
import { type Dispatcher, Pool } from "undici";
import { KIB } from "../../base/units.ts";
import { MAX_HEADER_BYTES } from "../../routing/wire/limits.ts";
import { appHost } from "./app-host.ts";
import { AppRequest, type OnBroke, type OnRefused, type ProxiedCall } from "./app-request.ts";
import { isEndedByPeer, isWithoutConnection } from "./app-errors.ts";
import { appConnector } from "./app-socket.ts";
import { asksToDrain, reportedUse } from "./container-header.ts";
import type { AskWhole } from "./json-batches.ts";
import { askWhole } from "./whole-request.ts";

/** Requests whose body is at most this long may use a kept connection. */
const SMALL_BODY_BYTES = 16 * KIB;

/** Idle connections are closed after this time; servers that wait less are rare (uvicorn waits 5 s). */
const IDLE_MS = 4_000;

export interface AppServer {
  /** `http://127.0.0.1:41000`. */
  origin: string;
  /** A Unix socket instead of the origin's port. */
  socketPath?: string;
}

interface WholeCall extends ProxiedCall {
  /** The body where all of it is here: null for none, undefined when it streams. */
  readonly whole: Uint8Array | null | undefined;
}

/** Told of the words of a container in its responses, any number of times. */
export type AppListener = Pick<ProxiedCall, "onDrainAsked" | "onUse">;

/** Connections to one app. */
export class AppConnections {
  readonly #kept: Pool;
  readonly #fresh: Pool;
  readonly #listener: AppListener;
  readonly #origin: string;

  constructor({ origin, socketPath }: AppServer, listener: AppListener = {}) {
    this.#origin = origin;
    this.#listener = listener;
    const options: Pool.Options = {
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: 600_000,
      // Room for the status line besides the headers, so that the limit is ours to judge.
      maxHeaderSize: MAX_HEADER_BYTES + 16 * KIB,
      connect: appConnector({
        timeout: 10_000,
        ...(socketPath === undefined ? {} : { socketPath }),
      }),
    };
    this.#kept = new Pool(origin, { ...options, pipelining: 1 });
    this.#fresh = new Pool(origin, { ...options, pipelining: 0 });
  }

  /**
   * Sends the call's request; each event of it goes into the call.
   * @param refused without it, an app that accepts no connections fails the call
   * @param broke without it, a connection that breaks fails the call
   */
  send(proxied: ProxiedCall, refused?: OnRefused, broke?: OnBroke): void {
    const { body } = proxied.call;
    const request = { ...proxied, whole: body.whole() };
    const { whole } = request;
    const small = whole !== undefined && (whole === null || whole.length <= SMALL_BODY_BYTES);
    const isKept = (): boolean => whole !== undefined || body.isSpooled;
    const isRefused = (sent: AppRequest, error: NodeJS.ErrnoException): boolean => {
      if (refused === undefined || !sent.isUnsent) return false;
      if (!isWithoutConnection(error) && !(isKept() && isEndedByPeer(error))) return false;
      body.restore(whole);
      void refused();
      return true;
    };
    const isLeftToEndpoint = (sent: AppRequest, error: NodeJS.ErrnoException): boolean => {
      if (isRefused(sent, error)) return true;
      if (broke === undefined || !isKept() || !sent.isUnanswered) return false;
      body.restore(whole);
      void broke(() => sent.failBroken(error));
      return true;
    };
    this.#dispatch(small ? this.#kept : this.#fresh, request, (sent, error) => {
      if (!small || !sent.mayRepeat(error)) return isLeftToEndpoint(sent, error);
      this.#dispatch(this.#fresh, request, isLeftToEndpoint);
      return true;
    });
  }

  /** @param repeat sends a request that broke once more, or says that it must not be */
  #dispatch(
    pool: Pool,
    { whole, hostHeader, ...proxied }: WholeCall,
    repeat: (request: AppRequest, error: NodeJS.ErrnoException) => boolean,
  ): void {
    const { call } = proxied;
    const { method, target, headers } = call.head;
    const isHeadEarly = whole === undefined && call.body.waitingBytes === 0;
    const host = appHost(headers, hostHeader, this.#origin);
    const appRequest: AppRequest = new AppRequest(
      { ...proxied, isHeadEarly, appHost: host, ...this.#listener },
      (error) => repeat(appRequest, error),
    );
    const request: Dispatcher.DispatchOptions = {
      method,
      path: latin1(target),
      headers: (host?.toApp(headers) ?? headers).map(latin1),
      body: whole === undefined ? call.body.readable() : whole,
    };
    // After this turn's events: of a connection that the app has closed by now, undici knows then.
    setImmediate(() => pool.dispatch(request, appRequest));
  }

  /** Sends a batch, on a connection of its own. */
  readonly ask: AskWhole = async ({ headers, hostHeader, path, body }, options) => {
    const host = appHost(headers, hostHeader, this.#origin);
    const lines = (host?.toApp(headers) ?? headers).map(latin1);
    const refuse: typeof options.refuse = (status, rawHeaders) => {
      this.onOtherHead(rawHeaders);
      return options.refuse(status, rawHeaders);
    };
    const request = { path: latin1(path), headers: lines, body };
    return await askWhole(this.#fresh, request, { ...options, refuse });
  };

  /** A response's head that came over a connection of its own: a WebSocket's, or a batch's. */
  onOtherHead(rawHeaders: readonly (string | Buffer)[]): void {
    if (asksToDrain(rawHeaders)) this.#listener.onDrainAsked?.();
    const use = reportedUse(rawHeaders);
    if (use !== undefined) this.#listener.onUse?.(use);
  }

  /** Lets what is under way finish; then nothing of this is left. Of connections that are closed nothing is left now. */
  async closeWhenIdle(): Promise<void> {
    const open = [this.#kept, this.#fresh].filter((pool) => !pool.closed && !pool.destroyed);
    await Promise.all(open.map(async (pool) => await pool.close()));
  }

  /** Ends everything now. */
  async close(): Promise<void> {
    await Promise.all([this.#kept.destroy(), this.#fresh.destroy()]);
  }
}

/** HTTP/1.1 carries bytes: text leaves as the bytes of its UTF-8, which undici takes as Latin-1. */
function latin1(text: string): string {
  // oxlint-disable-next-line no-control-regex -- ASCII is what is asked for
  return /^[\x00-\x7f]*$/.test(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}
