/**
 * One WebSocket: its app, called once, and the socket that the app accepts or refuses. Frames, limits and the closing
 * handshake are `ws`'s. Messages wait here while the app receives none, and then at the client.
 */
import { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { WebSocket, WebSocketServer } from "ws";

import type {
  Application,
  SentEvent,
  WebSocketAcceptEvent,
  WebSocketCloseEvent,
  WebSocketScope,
  WebSocketSendEvent,
} from "./asgi.d.ts";
import { EarlyBytes } from "./early-bytes.ts";
import { EventQueue } from "./event-queue.ts";
import { report } from "./report.ts";
import { ResponseSender } from "./response-sender.ts";
import { ClientLeft, WrongEvent, handled, headerLines, outOfOrder } from "./wrong-events.ts";

/** Bytes of messages that wait for the app, beyond which the socket is read no more. */
const MAX_WAITING_BYTES = 64 * 1024;

/** RFC 6455, 7.4.1, and the code that its registry has for a service that restarts. */
const CLOSE = { normal: 1000, wrong: 1002, abnormal: 1006, failed: 1011, restart: 1012 } as const;

/** The code with which `ws` closes a WebSocket, by that of its error. All others are a wrong frame's. */
const CODE_OF_ERROR: ReadonlyMap<string, number> = new Map([
  ["WS_ERR_INVALID_UTF8", 1007],
  ["WS_ERR_UNSUPPORTED_MESSAGE_LENGTH", 1009],
]);

/** Reserved, and those that tell of a Close without a code and of none at all. */
const UNSENT_CODES: ReadonlySet<number> = new Set([1004, 1005, 1006]);

/** A control frame holds 125 bytes, of which the code takes two (RFC 6455, 5.5). */
const MAX_REASON_BYTES = 123;

/** The app's choice for the response to the handshake. */
export interface Acceptance {
  readonly subprotocol: string | undefined;
  /** Names and values in turn. */
  readonly lines: readonly string[];
}

export class WebSocketCall {
  /** Resolves when the client's connection has ended. */
  readonly ended: Promise<void>;
  readonly #request: IncomingMessage;
  readonly #connection: Socket;
  readonly #early: EarlyBytes;
  readonly #events = new EventQueue();
  #waitingBytes = 0;
  #acceptance: Acceptance | undefined;
  #socket: WebSocket | undefined;
  #refusal: ResponseSender | undefined;
  #isOver = false;

  /** @param head the bytes that came behind the handshake's */
  constructor(request: IncomingMessage, connection: Socket, head: Buffer) {
    this.#request = request;
    this.#connection = connection;
    this.#early = new EarlyBytes(connection, head);
    this.ended = new Promise((resolve) => connection.once("close", () => resolve()));
    void this.ended.then(() => this.#over(CLOSE.abnormal, ""));
    this.#events.push({ type: "websocket.connect" });
  }

  /** Undefined until the app has accepted. */
  get acceptance(): Acceptance | undefined {
    return this.#acceptance;
  }

  /** Resolves when the app has ended; its mistakes are in the log. */
  async run(app: Application, scope: WebSocketScope, server: WebSocketServer): Promise<void> {
    const receive = async () => {
      const event = await this.#events.take();
      if (event.type === "websocket.receive") this.#taken(lengthOf(event));
      return event;
    };
    const name = `the WebSocket at ${scope.raw_path}`;
    try {
      await app(scope, receive, (event) => handled(this.#send(event, scope, server)));
      const isAnswered = this.#socket !== undefined || this.#refusal?.isComplete === true;
      if (!isAnswered && !this.#isOver) {
        report(`the app ended ${name} without an answer to its handshake`);
        this.#refuse().fail();
      }
      this.#socket?.close(CLOSE.normal, "");
    } catch (error) {
      if (!(error instanceof ClientLeft)) report(`the app failed in ${name}`, error);
      if (this.#socket === undefined) this.#refuse().fail();
      else this.#socket.close(CLOSE.failed, "");
    }
  }

  /** The process is to end. */
  goAway(): void {
    if (this.#socket === undefined) this.#refuse().fail();
    else this.#socket.close(CLOSE.restart, "");
    this.#over(CLOSE.restart, "");
  }

  breakOff(): void {
    this.#connection.destroy();
  }

  async #send(event: SentEvent, scope: WebSocketScope, server: WebSocketServer): Promise<void> {
    if (this.#refusal !== undefined) {
      await this.#refusal.send(event);
      return;
    }
    if (this.#isOver) throw new ClientLeft();
    if (this.#socket !== undefined) {
      if (event.type === "websocket.send") await this.#sendMessage(this.#socket, event);
      else if (event.type === "websocket.close") this.#close(this.#socket, event);
      else throw outOfOrder("websocket.send or websocket.close", event);
    } else if (event.type === "websocket.accept") this.#accept(event, scope, server);
    else if (event.type === "websocket.close") await this.#refuseShortly();
    else if (event.type === "websocket.http.response.start") await this.#refuse().send(event);
    else throw outOfOrder("websocket.accept, websocket.close or a response that refuses", event);
  }

  #accept(
    { subprotocol, headers }: WebSocketAcceptEvent,
    { subprotocols }: WebSocketScope,
    server: WebSocketServer,
  ): void {
    if (subprotocol !== undefined && !subprotocols.includes(subprotocol)) {
      throw new WrongEvent(`the client does not offer the subprotocol "${subprotocol}"`);
    }
    const lines = headerLines(headers);
    const own = lines.find((name, index) => index % 2 === 0 && /^sec-websocket-/i.test(name));
    if (own !== undefined) throw new WrongEvent(`the header ${own} is the server's to send`);
    this.#acceptance = { subprotocol, lines };
    // One byte for each character of a header's value, while the response is written.
    this.#connection.setDefaultEncoding("latin1");
    server.handleUpgrade(this.#request, this.#connection, this.#early.take(), (socket) => {
      this.#socket = socket;
      this.#listen(socket);
    });
    this.#connection.setDefaultEncoding("utf8");
    this.#connection.resume();
  }

  #listen(socket: WebSocket): void {
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      this.#waitingBytes += data.length;
      if (this.#waitingBytes > MAX_WAITING_BYTES) socket.pause();
      const content = isBinary ? { bytes: data } : { text: data.toString("utf8") };
      this.#events.push({ type: "websocket.receive", ...content });
    });
    socket.on("close", (code: number, reason: Buffer) => this.#over(code, reason.toString("utf8")));
    // `ws` closes a socket that breaks the protocol by itself.
    socket.on("error", ({ code = "" }: NodeJS.ErrnoException) => {
      this.#over(CODE_OF_ERROR.get(code) ?? CLOSE.wrong, "");
    });
  }

  async #sendMessage(socket: WebSocket, { text, bytes }: WebSocketSendEvent): Promise<void> {
    const data = bytes ?? text;
    if (data === undefined) throw new WrongEvent("websocket.send needs text or bytes");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.send(data, { binary: bytes !== undefined }, (error) => {
      if (error === undefined || error === null) resolve();
      else reject(new ClientLeft());
    });
    await promise;
  }

  #close(socket: WebSocket, { code = CLOSE.normal, reason = "" }: WebSocketCloseEvent): void {
    if (!isCloseCode(code)) throw new WrongEvent(`no Close frame may have the code ${code}`);
    if (Buffer.byteLength(reason) > MAX_REASON_BYTES) {
      throw new WrongEvent(`the reason has more than ${MAX_REASON_BYTES} bytes`);
    }
    socket.close(code, reason);
    this.#over(code, reason);
  }

  #refuse(): ResponseSender {
    if (this.#refusal !== undefined) return this.#refusal;
    this.#early.take();
    const response = new ServerResponse(this.#request);
    response.shouldKeepAlive = false;
    response.assignSocket(this.#connection);
    this.#connection.on("drain", () => response.emit("drain"));
    response.once("finish", () => this.#connection.destroySoon());
    this.#connection.resume();
    this.#refusal = new ResponseSender(response, "websocket.http");
    return this.#refusal;
  }

  async #refuseShortly(): Promise<void> {
    const refusal = this.#refuse();
    await refusal.send({ type: "websocket.http.response.start", status: 403 });
    await refusal.send({ type: "websocket.http.response.body" });
    this.#over(CLOSE.abnormal, "");
  }

  #taken(bytes: number): void {
    const before = this.#waitingBytes;
    this.#waitingBytes -= bytes;
    if (before > MAX_WAITING_BYTES && this.#waitingBytes <= MAX_WAITING_BYTES) {
      this.#socket?.resume();
    }
  }

  #over(code: number, reason: string): void {
    this.#isOver = true;
    this.#events.end({ type: "websocket.disconnect", code, reason });
  }
}

function lengthOf({ text, bytes }: { text?: string | undefined; bytes?: Uint8Array | undefined }) {
  return bytes?.length ?? Buffer.byteLength(text ?? "");
}

/** RFC 6455, 7.4: those that may be sent. */
function isCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  return (
    (code >= 1000 && code <= 1014 && !UNSENT_CODES.has(code)) || (code >= 3000 && code <= 4999)
  );
}
