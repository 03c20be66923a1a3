/**
 * One client's connection and its upstream connection to workerd. Bytes pass untouched in both directions, and each
 * side learns how the other one ended. The front stores nothing: bytes that the slower side has not taken stay in the
 * sender's socket.
 *
 * The client's first byte opens the upstream connection, so idle connections cost workerd nothing. From then on
 * workerd's own limit of 15 s for each request head holds.
 */

import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { within } from "../../base/runtime/within.ts";
import { closingResponse, NO_PROXY } from "./bare-responses.ts";
import { beginsBoxRequest } from "./box-request.ts";
import { openUpstream, type AnnouncedSocket, type Upstream } from "./upstream.ts";

/** How long a client waits for a workerd that restarts, before its 503. */
const UPSTREAM_WAIT_MS = 5_000;

/** Pause between attempts while workerd's port refuses connections: its death is not noticed yet. */
const UPSTREAM_RETRY_MS = 50;

/**
 * Gives up a client that closed its half when nothing has moved to it for this long: its response may still be coming.
 * workerd does not notice a FIN before it writes. Without this limit the call of a client that left would run on.
 */
const HALF_CLOSED_GRACE_MS = 500;

/** Interval of that check, so that a byte just after the FIN costs little more than the grace. */
const HALF_CLOSED_CHECK_MS = 100;

/**
 * How long a client may be silent after the last byte that it gets, and how long it may go on sending. Closing at once
 * would reset the connection of a client that still sends, and lose the response (RFC 9112, 9.6). Many clients read
 * no response before their upload has ended.
 */
const LINGER_MS = 2_000;
const MAX_LINGER_MS = 60_000;

/** How long a client has to read all bytes that it was sent, before its connection breaks as workerd's did. */
const RESET_DELAY_MS = 250;

/** How long a connection for which there is no place may take to show that it is a box's. */
const ADMISSION_WAIT_MS = 1_000;

/** Refused before workerd hears of it, which writes two lines for each. Elsewhere its response is replaced. */
const CONNECT = Buffer.from("CONNECT ", "latin1");

const NO_PLACE = "too many connections";

export interface ConnectionContext {
  /** The announcement's bytes for this client. */
  readonly announcement: Buffer;
  /** The port on which workerd listens. Pending while workerd is down. */
  readonly upstreamPort: () => Promise<number>;
  /** Where there is no place for this client: whether its first bytes get it one all the same. */
  readonly admit?: (first: Buffer) => Promise<boolean>;
  /** Called at the client's first byte. */
  readonly onSpoken: (connection: FrontConnection) => void;
  /** Called once, when both sockets are gone or going. */
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
    // 'close' follows each error, and its handler does all that is needed.
    client.on("error", ignore);
    client.on("close", () => {
      clearTimeout(this.#timer);
      reset(this.#upstream);
      context.onClosed(this);
    });
    client.once("end", this.#onSilentEnd);
    client.once("data", this.#onFirstData);
    if (context.admit === undefined) return;
    this.#timer = setTimeout(() => this.refuse(NO_PLACE), ADMISSION_WAIT_MS);
  }

  /** A box's link or dial-back. It stays as long as the gateway, so no shutdown waits for its end. */
  get isBox(): boolean {
    return this.#isBox;
  }

  /** Ends the connection at once. The client sees a break. */
  reset(): void {
    reset(this.#client);
  }

  /** Closes a connection on which nothing is under way. */
  close(): void {
    this.#client.destroy();
  }

  /** Answers with a 503 and closes: for a client whose request has reached no Worker. */
  refuse(detail: string): void {
    this.#client.off("end", this.#onSilentEnd);
    this.#linger(closingResponse("unavailable", detail));
  }

  readonly #onSilentEnd = (): void => this.close();

  readonly #onFirstData = (chunk: Buffer): void => {
    this.#client.pause();
    this.#client.off("end", this.#onSilentEnd);
    this.#isBox = beginsBoxRequest(chunk);
    this.#context.onSpoken(this);
    if (this.#context.admit === undefined) this.#begin(chunk);
    else void this.#admit(chunk, this.#context.admit);
  };

  async #admit(chunk: Buffer, admit: (first: Buffer) => Promise<boolean>): Promise<void> {
    clearTimeout(this.#timer);
    const isAdmitted = await admit(chunk);
    if (this.#client.destroyed) return;
    if (isAdmitted) this.#begin(chunk);
    else this.refuse(NO_PLACE);
  }

  #begin(chunk: Buffer): void {
    if (chunk.subarray(0, CONNECT.length).equals(CONNECT)) {
      this.#linger(NO_PROXY);
    } else {
      void this.#open(chunk);
    }
  }

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
   * Opens a connection to workerd and announces the client. No byte of the client is sent before that, so a workerd
   * that dies meanwhile costs the client only the wait for the next one.
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
      // workerd takes no more. The client's bytes are read and dropped until the response has passed.
      if (upstream.isUnwritable) return;
      if (!upstream.write(chunk)) client.pause();
    });
    upstream.on("drain", () => client.resume());

    const onClientEnd = (): void => {
      if (upstream.destroyed || upstream.isUnwritable) return;
      upstream.end();
      this.#watchHalfClosed(this.#delivered());
    };
    // A FIN right behind the first bytes has been noticed before there was an upstream, the socket paused or not.
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

  /** Breaks the connection when the client has had time to read: a reset may discard bytes that it has not read. */
  #resetSoon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => reset(this.#client), RESET_DELAY_MS);
  }

  /** Resets the connection of a client that closed its half, once nothing moves to it any more. */
  #watchHalfClosed(before: number, quietMs = 0): void {
    if (quietMs >= HALF_CLOSED_GRACE_MS) return reset(this.#client);
    this.#timer = setTimeout(() => {
      const delivered = this.#delivered();
      const stillMs = delivered > before ? 0 : quietMs + HALF_CLOSED_CHECK_MS;
      this.#watchHalfClosed(delivered, stillMs);
    }, HALF_CLOSED_CHECK_MS);
  }

  /** Bytes that the kernel has taken for the client. */
  #delivered(): number {
    return this.#client.bytesWritten - this.#client.writableLength;
  }

  /**
   * Sends all pending bytes, then reads and drops what the client sends. Closes when the client does, has sent nothing
   * for `LINGER_MS` or goes on for `MAX_LINGER_MS`.
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
