/**
 * What the servers that stand in for known ones share. Each listens on $PORT, prints a line for a request, and names its
 * container in the response.
 */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";

/** As a person at the same machine names it. */
const LOCAL = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

type Answer = (
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
) => void | Promise<void>;

export function serve(answer: Answer): Server {
  const server = createServer((request, response) => {
    const url = urlOf(request);
    response.setHeader("x-container", process.env["POSTERN_CONTAINER_ID"] ?? "");
    response.once("close", () => {
      console.log(`${request.method} ${url.pathname} ${response.statusCode}`);
    });
    void answer(request, response, url);
  });
  return server.listen(Number(process.env["PORT"]), "127.0.0.1");
}

/**
 * Takes WebSockets, or refuses them with 403.
 * @param handleProtocols of those that the client offers
 */
export function serveSockets(
  server: Server,
  mayOpen: (request: IncomingMessage, url: URL) => boolean,
  onOpen: (socket: WebSocket, request: IncomingMessage, url: URL) => void,
  handleProtocols: (offered: Set<string>) => string | false = () => false,
): void {
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: 1_048_576,
    closeTimeout: 1_000,
    handleProtocols,
  });
  server.on("upgrade", (request: IncomingMessage, connection: Duplex, head: Buffer) => {
    const url = urlOf(request);
    if (!mayOpen(request, url)) {
      connection.end(`HTTP/1.1 403 ${STATUS_CODES[403]}\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, connection, head, (socket) => onOpen(socket, request, url));
  });
}

export function reply(response: ServerResponse, status: number, value: unknown = {}): void {
  response
    .writeHead(status, { "content-type": "application/json" })
    .end(`${JSON.stringify(value)}\n`);
}

export function send(socket: WebSocket, data: string | Uint8Array): void {
  socket.send(data, { binary: typeof data !== "string" }, () => undefined);
}

/** Whether the Host, without its port, is a local one. */
export function hasLocalHost({ headers: { host = "" } }: IncomingMessage): boolean {
  return LOCAL.test(host.replace(/:\d+$/, ""));
}

/** Whether the request comes of a page of the same host, or of no page. */
export function isOfOwnPage({ headers: { host, origin } }: IncomingMessage): boolean {
  return origin === undefined || URL.parse(origin)?.host === host;
}

function urlOf({ url = "/" }: IncomingMessage): URL {
  return new URL(url, "http://server.invalid");
}
