/**
 * Relays between a client's WebSocket (the dial-back socket to the gateway) and the app's, on raw sockets. Two
 * forwarders pass the frames. This file owns the sockets: backpressure, the closing handshake, and the end of one
 * socket when the other breaks. A clean close passes as it is. Where one connection ends without a Close frame, the
 * other ends without one too: the far side sees 1006, as it would directly.
 */
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

import { KIB } from "../../base/units.ts";
import { Forwarder } from "./forwarder.ts";

/** From the first Close frame or break on: how long the peers may take until both connections are gone. */
const CLOSE_TIMEOUT_MS = 10_000;

/** Up to here one write of joined bytes is cheaper than several. */
const JOIN_BYTES = 16 * KIB;

/** RFC 6455, 7.4.1. */
const CLOSE_PROTOCOL_ERROR = 1002;
export const CLOSE_ABNORMAL = 1006;
const CLOSE_TOO_LARGE = 1009;

/** A socket that a handshake has opened. */
export interface RelayEnd {
  readonly socket: Socket;
  /** The bytes that came right behind the 101. */
  readonly head: Uint8Array;
  /** Frames to it are masked with random keys; by default only over TCP without TLS to another machine. */
  readonly randomMask?: boolean;
}

export interface RelayOptions {
  readonly gateway: RelayEnd;
  readonly app: RelayEnd;
  /** Payload bytes of a message, each way. */
  readonly maxMessageBytes: number;
  readonly closeTimeoutMs?: number;
}

export interface RelaySummary {
  /** Who sent the first Close frame, or broke the connection without one. */
  readonly by: "client" | "app" | "agent";
  /** Of the first Close frame: 1005 where it had none, 1006 where there was no such frame. */
  readonly code: number;
  readonly reason: string;
  /** Payload bytes of messages that passed. */
  readonly bytesToApp: number;
  readonly bytesToClient: number;
}

export interface Relay {
  /** Settles when both connections are gone; never rejects. */
  readonly closed: Promise<RelaySummary>;
  /** A Close frame to both ends, e.g. 1001 because the container stops or the time is up. */
  close(code: number, reason: string): void;
}

/** The state of one end of the relay. */
interface Side {
  readonly name: "client" | "app";
  readonly socket: Socket;
  /** Frames from this socket to the other one. */
  readonly forwarder: Forwarder;
  /** Nothing more comes from it: FIN or reset. */
  ended: boolean;
  /** It ended so without a Close frame. */
  broke: boolean;
}

/** Starts to relay. The sockets are the relay's from now on. */
export function relay(options: RelayOptions): Relay {
  const { maxMessageBytes, closeTimeoutMs = CLOSE_TIMEOUT_MS } = options;
  const { promise, resolve } = Promise.withResolvers<RelaySummary>();
  let first: Pick<RelaySummary, "by" | "code" | "reason"> | undefined;
  let deadline: NodeJS.Timeout | undefined;

  const ending = (by: RelaySummary["by"], code: number, reason: string): void => {
    first ??= { by, code, reason };
    deadline ??= setTimeout(() => {
      cut(options.gateway.socket);
      cut(options.app.socket);
    }, closeTimeoutMs);
  };

  const side = (name: Side["name"], from: RelayEnd, to: RelayEnd): Side => ({
    name,
    socket: from.socket,
    ended: false,
    broke: false,
    forwarder: new Forwarder({
      randomMask: to.randomMask ?? isExposed(to.socket),
      maxMessageBytes,
      write: (pieces) => {
        if (!to.socket.writable || write(to.socket, pieces)) return;
        from.socket.pause();
      },
      onClose: (code, reason) => ending(name, code, reason),
      onTooLarge: () => close(CLOSE_TOO_LARGE, tooLarge(name, maxMessageBytes)),
      onProtocolError: (what) => failProtocol(name, what),
    }),
  });
  const client = side("client", options.gateway, options.app);
  const app = side("app", options.app, options.gateway);

  /** Ends sockets that have nothing more to send, and reads on where backpressure is of no use any more. */
  const progress = (): void => {
    for (const [one, other] of [
      [client, app],
      [app, client],
    ] as const) {
      // A server ends the connection, not we (RFC 6455, 7.1.1): its FIN is answered once its Close frame left.
      if (one.ended && (one.broke || other.ended || other.forwarder.over)) one.socket.end();
      if (one.forwarder.over || other.ended) one.socket.resume();
    }
    if (client.socket.closed && app.socket.closed) {
      clearTimeout(deadline);
      const { by, code, reason } = first ?? { by: "agent", code: CLOSE_ABNORMAL, reason: "" };
      resolve({
        by,
        code,
        reason,
        bytesToApp: client.forwarder.bytes,
        bytesToClient: app.forwarder.bytes,
      });
    }
  };

  function close(code: number, reason: string): void {
    ending("agent", code, reason);
    client.forwarder.close(code, reason);
    app.forwarder.close(code, reason);
    progress();
  }

  /** As a client would: the culprit hears 1002, for the other it is a broken connection. */
  const failProtocol = (culprit: Side["name"], what: string): void => {
    ending("agent", CLOSE_PROTOCOL_ERROR, what);
    const [by, to] = culprit === "app" ? [app, client] : [client, app];
    to.forwarder.close(CLOSE_PROTOCOL_ERROR, what);
    by.forwarder.breakOff();
    progress();
  };

  /** A side ended without a Close frame: so must the other. */
  const passBreakOn = (broken: Side, reset: boolean): void => {
    if (broken === app) {
      if (app.forwarder.breakOff()) client.socket.end();
      else cut(client.socket);
    } else if (reset) cut(app.socket);
    else app.socket.end();
  };

  const onEnded = (one: Side, reset: boolean): void => {
    if (!one.ended && !one.forwarder.over) {
      one.broke = true;
      ending(one.name, CLOSE_ABNORMAL, "");
      passBreakOn(one, reset);
    }
    one.ended = true;
    progress();
  };

  const couple = (one: Side, other: Side, head: Uint8Array): void => {
    const { socket, forwarder } = one;
    socket.on("data", (chunk: Buffer) => {
      forwarder.read(chunk);
      if (forwarder.over) progress();
    });
    socket.on("drain", () => other.socket.resume());
    socket.once("end", () => onEnded(one, false));
    socket.once("close", () => onEnded(one, true));
    if (head.length > 0) forwarder.read(head);
    // Since the handshake the other end was dialled; what happened meanwhile is not told again.
    if (socket.closed) onEnded(one, true);
    else if (socket.readableEnded) onEnded(one, false);
  };
  couple(client, app, options.gateway.head);
  couple(app, client, options.app.head);
  return { closed: promise, close };
}

/** At most 123 bytes, which a Close frame holds (RFC 6455, 5.5). */
function tooLarge(from: Side["name"], maxMessageBytes: number): string {
  return `a message of the ${from} has more than ${maxMessageBytes} bytes, its websocket_max_message`;
}

/** Whether others may see what passes: not over TLS, loopback or a Unix socket. */
function isExposed(socket: Socket): boolean {
  const address = socket.remoteAddress;
  if (socket instanceof TLSSocket || address === undefined) return false;
  return !/^(::1$|127\.|::ffff:127\.)/.test(address);
}

/** Writes several pieces as one. @returns false when the socket has enough for now */
function write(socket: Socket, pieces: Uint8Array[]): boolean {
  let bytes = 0;
  for (const piece of pieces) bytes += piece.length;
  if (bytes <= JOIN_BYTES) return socket.write(Buffer.concat(pieces, bytes));
  socket.cork();
  for (const piece of pieces) socket.write(piece);
  socket.uncork();
  return !socket.writableNeedDrain;
}

/** Ends a connection without a FIN where the transport knows a reset, so that it can't pass for a clean end. */
function cut(socket: Socket): void {
  if (socket.destroyed) return;
  const plainTcp = !(socket instanceof TLSSocket) && socket.remoteFamily !== undefined;
  if (plainTcp) socket.resetAndDestroy();
  else socket.destroy();
}
