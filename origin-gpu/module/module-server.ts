/** Serves an app on a loopback port: each request and each WebSocket is one call of the app. */
import { once } from "node:events";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { WebSocketServer } from "ws";

import type { Application } from "./asgi.d.ts";
import type { CallsAtWork } from "./calls-at-work.ts";
import { HttpCall } from "./http-call.ts";
import { httpScope, webSocketScope } from "./scope.ts";
import { WebSocketCall } from "./websocket-call.ts";

/** The agent's pooled connections must not be closed under its hands; it gives idle ones up much earlier. */
const KEEP_ALIVE_MS = 300_000;
/** The gateway lets 64 KiB of header lines through; the agent adds a few of its own. */
const MAX_REQUEST_HEAD_BYTES = 128 * 1024;
/** The agent counts the bytes that `websocket_max_message` allows, and answers 1009. */
const MAX_WEBSOCKET_MESSAGE_BYTES = 32 * 1024 * 1024;
/** A peer answers a Close frame at once, or never. */
const CLOSE_LIMIT_MS = 5_000;
/** RFC 6455, 4.2.1: what of a handshake an app is asked about. `ws` answers the others. */
const HANDSHAKE_KEY = /^[+/0-9a-z]{22}==$/i;

export class ModuleServer {
  readonly #app: Application;
  readonly #state: Readonly<Record<string, unknown>>;
  readonly #calls: CallsAtWork;
  readonly #http: Server;
  readonly #webSockets: WebSocketServer;
  readonly #open = new Map<IncomingMessage, WebSocketCall>();
  #isStopping = false;

  /** @param state the lifespan's */
  constructor(app: Application, state: Readonly<Record<string, unknown>>, calls: CallsAtWork) {
    this.#app = app;
    this.#state = state;
    this.#calls = calls;
    this.#http = createServer({
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: MAX_REQUEST_HEAD_BYTES,
      // Uploads have the endpoint's limits alone.
      requestTimeout: 0,
      shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === "websocket",
    });
    this.#http.on("request", (request, response) => void this.#onRequest(request, response));
    this.#http.on("checkContinue", (request, response) => {
      void this.#onRequest(request, response, () => response.writeContinue());
    });
    this.#http.on("upgrade", (request, socket, head) => {
      void this.#onHandshake(request, socket as Socket, head);
    });
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: MAX_WEBSOCKET_MESSAGE_BYTES,
      closeTimeout: CLOSE_LIMIT_MS,
      handleProtocols: (_, request) => this.#open.get(request)?.acceptance?.subprotocol ?? false,
    });
    this.#webSockets.on("headers", (lines: string[], request: IncomingMessage) => {
      const added = this.#open.get(request)?.acceptance?.lines ?? [];
      for (const [index, name] of added.entries()) {
        if (index % 2 === 0) lines.push(`${name}: ${added[index + 1] ?? ""}`);
      }
    });
  }

  /**
   * @param port 0: a free one
   * @returns the port
   */
  async listen(port: number): Promise<number> {
    this.#http.listen(port, "127.0.0.1");
    await once(this.#http, "listening");
    return (this.#http.address() as AddressInfo).port;
  }

  /** Takes no more connections, and closes WebSockets. Running calls go on. */
  stop(): void {
    this.#isStopping = true;
    this.#http.close();
    for (const call of this.#open.values()) call.goAway();
  }

  /** The app sees a disconnect for each call that is left. */
  breakOff(): void {
    this.#http.closeAllConnections();
    for (const call of this.#open.values()) call.breakOff();
  }

  async #onRequest(
    request: IncomingMessage,
    response: ServerResponse,
    askForBody?: () => void,
  ): Promise<void> {
    const call = new HttpCall(request, response, askForBody);
    const scope = httpScope(request, this.#state);
    const work = async () => await call.run(this.#app, scope);
    if (!(await this.#calls.run(callOf(request), work, call.sent))) response.destroy();
  }

  async #onHandshake(request: IncomingMessage, connection: Socket, head: Buffer): Promise<void> {
    if (this.#isStopping) {
      connection.destroy();
      return;
    }
    const { "sec-websocket-key": key = "", "sec-websocket-version": version } = request.headers;
    if (request.method !== "GET" || version !== "13" || !HANDSHAKE_KEY.test(key)) {
      this.#webSockets.handleUpgrade(request, connection, head, (socket) => socket.terminate());
      return;
    }
    const call = new WebSocketCall(request, connection, head);
    this.#open.set(request, call);
    const scope = webSocketScope(request, this.#state);
    const work = async () => await call.run(this.#app, scope, this.#webSockets);
    if (!(await this.#calls.run(callOf(request), work, call.ended))) connection.destroy();
    this.#open.delete(request);
  }
}

/** The call's id as the gateway gave it. */
function callOf({ headers }: IncomingMessage): string | undefined {
  const id = headers["postern-call-id"];
  return typeof id === "string" ? id : undefined;
}
