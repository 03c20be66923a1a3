/**
 * One client connection of the front and its upstream connection to workerd: bytes pass untouched in
 * both directions, and each side learns how the other one ended. It understands no HTTP beyond the
 * announcement and a CONNECT that comes first, and it keeps nothing: what the slower side has not taken
 * stays in the sender's socket.
 *
 * The upstream connection is opened at the client's first byte, so that idle connections cost workerd
 * nothing. From there on workerd's own limit of 15 s for every request head holds.
 */

import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { within } from "../../base/runtime/within.ts";
import { closingResponse, NO_PROXY } from "./bare-responses.ts";
import { openUpstream, type AnnouncedSocket, type Upstream } from "./upstream.ts";

/** How long a client waits for workerd while it restarts, before its 503. */
const UPSTREAM_WAIT_MS = 5_000;

/** Pause between attempts while workerd's port refuses connections: it has died, and nobody knows yet. */
const UPSTREAM_RETRY_MS = 50;

/**
 * A client that closed its half is given up when nothing has moved to it for this long: its answer may
 * still be coming. workerd does not notice a FIN before it writes, so without this a client that left
 * keeps its work running.
 */
const HALF_CLOSED_GRACE_MS = 500;

/** How often that is looked at, so that a byte just after the FIN costs little more than the grace. */
const HALF_CLOSED_CHECK_MS = 100;

/**
 * How long a client may be silent after the last byte that it gets, and how long it may go on sending. Closing at
 * once would reset the connection of a client that is still sending and take the answer out of its hands (RFC 9112,
 * 9.6): many clients read no answer before their upload has ended.
 */
const LINGER_MS = 2_000;
const MAX_LINGER_MS = 60_000;

/** How long a client has to read what it was sent before its connection breaks as workerd's did. */
const RESET_DELAY_MS = 250;

/** How a box's link or dial-back begins; clients that would only pretend to be one gain nothing by it. */
const BOX_REQUEST = Buffer.from("GET /_postern/", "latin1");

/** Refused before workerd hears of it, which writes two lines for each. Elsewhere its response is replaced. */
const CONNECT = Buffer.from("CONNECT ", "latin1");

export interface ConnectionContext {
  /** The announcement's bytes for this client. */
  readonly announcement: Buffer;
  /** The port on which workerd listens; waits while workerd is down. */
  readonly upstreamPort: () => Promise<number>;
  /** The client's first byte came. */
  readonly onSpoken: (connection: FrontConnection) => void;
  /** Both sockets are gone or going; called once. */
  readonly onClosed: (connection: FrontConnection) => void;
  readonly log: (line: string) => void;
}

export class FrontConnection {
  readonly #client: Socket;
  readonly #context: ConnectionContext;
  #upstream: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isBox = false;

  constructor(client: Socket, context: ConnectionContext) {
    this.#client = client;
    this.#context = context;
    // 'close' follows every error and says all that is needed here.
    client.on("error", ignore);
    client.on("close", () => {
      clearTimeout(this.#timer);
      reset(this.#upstream);
      context.onClosed(this);
    });
    client.once("end", this.#onSilentEnd);
    client.once("data", this.#onFirstData);
  }

  /** A box's link or dial-back: it stays for as long as there is a gateway, so nobody waits for its end. */
  get isBox(): boolean {
    return this.#isBox;
  }

  /** Ends the connection at once; the client sees a break. */
  reset(): void {
    reset(this.#client);
  }

  /** Closes a connection on which nothing is under way. */
  close(): void {
    this.#client.destroy();
  }

  /** Answers with a minimal 503 and closes: for a client whose request nobody has seen. */
  refuse(line: string): void {
    const headers = { "Content-Type": "text/plain; charset=utf-8", "Retry-After": "1" };
    this.#client.off("end", this.#onSilentEnd);
    this.#linger(closingResponse("503 Service Unavailable", headers, `postern: ${line}\n`));
  }

  readonly #onSilentEnd = (): void => this.close();

  readonly #onFirstData = (chunk: Buffer): void => {
    this.#client.pause();
    this.#client.off("end", this.#onSilentEnd);
    this.#isBox = chunk.subarray(0, BOX_REQUEST.length).equals(BOX_REQUEST);
    this.#context.onSpoken(this);
    if (chunk.subarray(0, CONNECT.length).equals(CONNECT)) {
      this.#linger(NO_PROXY);
    } else {
      void this.#open(chunk);
    }
  };

  async #open(first: Buffer): Promise<void> {
    const upstream = await this.#connect();
    if (this.#client.destroyed) {
      if (upstream.kind === "announced") upstream.socket.resetAndDestroy();
      return;
    }
    if (upstream.kind === "none") return this.refuse("the gateway is restarting");
    if (upstream.kind === "refused") {
      this.#context.log(`the Worker refused to hear of a connection: ${upstream.statusLine}`);
      return this.refuse("the gateway is not ready");
    }
    this.#upstream = upstream.socket;
    const goesOn = upstream.socket.write(first);
    this.#splice(upstream);
    if (goesOn) this.#client.resume();
  }

  /**
   * A connection to workerd that has heard whose it is. Nothing of the client has been sent until then,
   * so that a workerd that dies meanwhile costs the client nothing but the wait for the next one.
   */
  async #connect(): Promise<Upstream> {
    const { announcement, upstreamPort } = this.#context;
    const deadline = performance.now() + UPSTREAM_WAIT_MS;
    while (!this.#client.destroyed) {
      const left = deadline - performance.now();
      const port = left > 0 ? await within(left, upstreamPort()) : undefined;
      if (port === undefined) break;
      const upstream = await openUpstream(port, announcement);
      if (upstream.kind !== "none") return upstream;
      await delay(UPSTREAM_RETRY_MS);
    }
    return { kind: "none" };
  }

  #splice({ socket: upstream, forwardTo, lastResponse }: AnnouncedSocket): void {
    const client = this.#client;
    forwardTo(client);
    /** Bytes that had been forwarded when the client last sent some. */
    let forwardedAtLastSend = 0;
    client.on("drain", () => upstream.resume());
    client.on("data", (chunk: Buffer) => {
      forwardedAtLastSend = upstream.forwardedBytes;
      // workerd takes no more: the client's bytes are read and dropped until the answer has passed.
      if (upstream.isUnwritable) return;
      if (!upstream.write(chunk)) client.pause();
    });
    upstream.on("drain", () => client.resume());

    const onClientEnd = (): void => {
      if (upstream.destroyed || upstream.isUnwritable) return;
      upstream.end();
      this.#watchHalfClosed(this.#delivered());
    };
    // A FIN right behind the first bytes is told, even of a paused socket, before there is an upstream.
    if (client.readableEnded) onClientEnd();
    else client.on("end", onClientEnd);
    upstream.on("end", () => {
      upstream.destroy();
      this.#linger(lastResponse());
    });
    upstream.on("error", () => {
      if (upstream.forwardedBytes === 0) return reset(client);
      const sentLast = forwardedAtLastSend === upstream.forwardedBytes;
      if (upstream.isUnwritable || upstream.writableLength > 0 || sentLast)
        this.#linger(lastResponse());
      else this.#resetSoon();
    });
  }

  /** Breaks the connection when the client has had time to read what it was sent: a reset overtakes it. */
  #resetSoon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => reset(this.#client), RESET_DELAY_MS);
  }

  /** Cuts the work of a client that closed its half and to which nothing moves any more. */
  #watchHalfClosed(before: number, quietMs = 0): void {
    if (quietMs >= HALF_CLOSED_GRACE_MS) return reset(this.#client);
    this.#timer = setTimeout(() => {
      const delivered = this.#delivered();
      const stillMs = delivered > before ? 0 : quietMs + HALF_CLOSED_CHECK_MS;
      this.#watchHalfClosed(delivered, stillMs);
    }, HALF_CLOSED_CHECK_MS);
  }

  /** Bytes that the client's kernel has taken. */
  #delivered(): number {
    return this.#client.bytesWritten - this.#client.writableLength;
  }

  /**
   * Sends what is left, reads on and throws away what comes. Closes when the client does, has sent nothing for
   * `LINGER_MS` or goes on for `MAX_LINGER_MS`.
   */
  #linger(last?: string): void {
    const client = this.#client;
    clearTimeout(this.#timer);
    let deadline = Number.POSITIVE_INFINITY;
    const waitOn = (): void => {
      if (client.destroyed || deadline === Number.POSITIVE_INFINITY) return;
      clearTimeout(this.#timer);
      const waitMs = Math.max(0, Math.min(LINGER_MS, deadline - performance.now()));
      this.#timer = setTimeout(() => client.destroy(), waitMs);
    };
    client.removeAllListeners("data");
    client.on("data", waitOn);
    client.resume();
    if (last !== undefined) client.write(last);
    client.end(() => {
      deadline = performance.now() + MAX_LINGER_MS;
      waitOn();
    });
  }
}

function reset(socket: Socket | undefined): void {
  if (socket !== undefined && !socket.destroyed) socket.resetAndDestroy();
}

function ignore(): void {}
