/**
 * The client's half of the WebSocket opening handshake (RFC 6455, 4.1) over node:http and node:https. The agent uses
 * it towards an app (TCP or Unix socket), and towards the gateway for links and dial-backs. It gives a raw socket, or
 * the ordinary response of a server that refused. It offers no extension and accepts none, so that frames may be
 * relayed without being interpreted. It follows no redirect and retries nothing.
 */
import { createHash } from "node:crypto";
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Socket } from "node:net";

import { eachHeader } from "../../base/headers.ts";
import { MAX_HEADER_BYTES } from "../../routing/wire/limits.ts";
import type { SocketReads } from "./socket-reads.ts";

/** RFC 6455, 1.3. */
const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** A peer that vanished without a FIN is noticed after this and ten probes of a second each. */
const TCP_KEEPALIVE_DELAY_MS = 5_000;

/** Headers that the handshake sets itself. A caller's lines of these names belong to another connection. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "upgrade",
  "keep-alive",
  "transfer-encoding",
  "content-length",
  "sec-websocket-key",
  "sec-websocket-version",
  "sec-websocket-accept",
  "sec-websocket-extensions",
]);

export interface HandshakeOptions {
  /** Scheme, host and port; `http:` or `https:`. */
  readonly server: URL;
  /** Path and query, sent exactly so; a URL would normalise them. */
  readonly target: string;
  /** Dialled instead of the server's host and port. */
  readonly socketPath?: string;
  /** Names and values in turn, e.g. `host`, `authorization`, `sec-websocket-protocol`. Values leave as UTF-8. */
  readonly headers?: readonly string[];
  /** 16 random bytes for Sec-WebSocket-Key. */
  readonly nonce: Uint8Array;
  /** Milliseconds until the server's response head. */
  readonly timeoutMs: number;
  /** Reads the socket; by default Node does. */
  readonly reads?: SocketReads;
  /** Gives up; without effect once the handshake has settled. */
  readonly signal?: AbortSignal;
}

export type Handshake =
  | {
      readonly kind: "open";
      readonly socket: Socket;
      /** The bytes that the server sent right behind its 101: the beginning of the first frames. */
      readonly head: Buffer;
      /** Names and values in turn as node:http gives them, one character per byte. */
      readonly rawHeaders: readonly string[];
    }
  | {
      readonly kind: "refused";
      readonly status: number;
      readonly rawHeaders: readonly string[];
      /** The caller reads or destroys it; its connection is used for nothing else. */
      readonly body: IncomingMessage;
    };

/**
 * `unreachable`: no connection, or it broke before a response head. `timeout`, `aborted`: as asked.
 * `invalid`: the answer is no HTTP, or a 101 that breaks RFC 6455, 4.2.2.
 */
export type HandshakeErrorCode = "unreachable" | "timeout" | "aborted" | "invalid";

export class HandshakeError extends Error {
  readonly code: HandshakeErrorCode;

  constructor(code: HandshakeErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "HandshakeError";
    this.code = code;
  }
}

/**
 * Asks a server for a WebSocket.
 * @throws HandshakeError
 */
export function handshake(options: HandshakeOptions): Promise<Handshake> {
  const { server, target, socketPath, signal, timeoutMs, reads } = options;
  const key = Buffer.from(options.nonce).toString("base64");
  const { promise, resolve, reject } = Promise.withResolvers<Handshake>();
  if (signal?.aborted === true) {
    reject(new HandshakeError("aborted", "the handshake was given up"));
    return promise;
  }
  const isTls = server.protocol === "https:";
  const send = isTls ? httpsRequest : httpRequest;
  const Agent = isTls ? HttpsAgent : HttpAgent;
  const request = send({
    // `hostname` has brackets around an IPv6 address.
    host: server.hostname.replace(/^\[|\]$/g, ""),
    ...(server.port === "" ? {} : { port: Number(server.port) }),
    ...(socketPath === undefined ? {} : { socketPath }),
    path: target,
    headers: requestHeaders(options.headers ?? [], server.host, key),
    // A connection of its own, which never goes back into a pool.
    agent: new Agent({
      keepAlive: false,
      ...(reads === undefined ? {} : { onread: reads.onread }),
    }),
    maxHeaderSize: MAX_HEADER_BYTES,
  });

  const settle = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  };
  const fail = (code: HandshakeErrorCode, message: string, cause?: unknown): void => {
    settle();
    reject(new HandshakeError(code, message, cause));
    request.destroy();
  };
  const onAbort = (): void => fail("aborted", "the handshake was given up");
  const timer = setTimeout(() => {
    fail("timeout", `no answer to the WebSocket handshake within ${timeoutMs} ms`);
  }, timeoutMs);
  signal?.addEventListener("abort", onAbort);

  if (reads !== undefined) request.on("socket", (socket) => reads.belongTo(socket));
  request.on("error", (error: NodeJS.ErrnoException) => {
    const invalid = error.code?.startsWith("HPE_") === true;
    fail(invalid ? "invalid" : "unreachable", `WebSocket handshake: ${error.message}`, error);
  });
  request.on("upgrade", (response, socket, head) => {
    const problem = whatIsWrong(response, key);
    if (problem !== undefined) {
      socket.destroy();
      fail("invalid", problem);
      return;
    }
    settle();
    socket.setNoDelay(true);
    socket.setKeepAlive(true, TCP_KEEPALIVE_DELAY_MS);
    socket.setTimeout(0);
    // Node took its own listener away, and an error without any ends the process; "close" tells as well.
    socket.on("error", () => undefined);
    // Without it Node answers a FIN with a FIN of its own, and a close frame that is due could not leave.
    socket.allowHalfOpen = true;
    resolve({ kind: "open", socket, head, rawHeaders: response.rawHeaders });
  });
  request.on("response", (response) => {
    const { statusCode = 0, rawHeaders } = response;
    if (statusCode === 101) {
      fail("invalid", "101 without an upgrade");
      return;
    }
    settle();
    resolve({ kind: "refused", status: statusCode, rawHeaders, body: response });
  });
  request.end();
  return promise;
}

function requestHeaders(given: readonly string[], host: string, key: string): string[] {
  const headers: string[] = [];
  let hasHost = false;
  eachHeader(given, (name, value) => {
    const lower = name.toLowerCase();
    if (OWN_HEADERS.has(lower)) return;
    hasHost ||= lower === "host";
    // node:http writes one byte per character.
    headers.push(name, Buffer.from(value, "utf8").toString("latin1"));
  });
  if (!hasHost) headers.unshift("Host", host);
  headers.push("Connection", "Upgrade", "Upgrade", "websocket");
  headers.push("Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", key);
  return headers;
}

/** RFC 6455, 4.1, what a client must check of a 101. The subprotocol is the far client's to judge. */
function whatIsWrong({ headers }: IncomingMessage, key: string): string | undefined {
  if (headers.upgrade?.toLowerCase() !== "websocket") return "101 to something else than websocket";
  const accept = createHash("sha1")
    .update(key + ACCEPT_GUID)
    .digest("base64");
  if (headers["sec-websocket-accept"] !== accept) {
    return "101 with a Sec-WebSocket-Accept that does not match the key";
  }
  if (headers["sec-websocket-extensions"] !== undefined) {
    return "101 with an extension that was not offered";
  }
  return undefined;
}
