/** Makes the scope of a request or of a WebSocket's handshake. Says what came, and judges nothing. */
import type { IncomingMessage } from "node:http";

import type {
  AsgiVersion,
  ConnectionScope,
  HttpScope,
  ReceivedHeader,
  WebSocketScope,
} from "./asgi.d.ts";

/** Of the HTTP and WebSocket messages; a lifespan's are of another version. */
const HTTP_VERSION: AsgiVersion = { version: "3.0", spec_version: "2.5" };

/** The lifespan's `state`. */
type State = Readonly<Record<string, unknown>>;

export function httpScope(request: IncomingMessage, state: State): HttpScope {
  return {
    ...connectionScope(request, state),
    type: "http",
    method: request.method ?? "GET",
    scheme: isSecure(request) ? "https" : "http",
    extensions: {},
  };
}

export function webSocketScope(request: IncomingMessage, state: State): WebSocketScope {
  const offered = request.headers["sec-websocket-protocol"] ?? "";
  const subprotocols = offered.split(",").map((name) => name.trim());
  return {
    ...connectionScope(request, state),
    type: "websocket",
    scheme: isSecure(request) ? "wss" : "ws",
    subprotocols: subprotocols.filter((name) => name !== ""),
    extensions: { "websocket.http.response": {} },
  };
}

function connectionScope(request: IncomingMessage, state: State): ConnectionScope {
  const { httpVersion, socket, url: target = "/" } = request;
  const question = target.indexOf("?");
  const rawPath = question === -1 ? target : target.slice(0, question);
  return {
    asgi: HTTP_VERSION,
    http_version: httpVersion,
    path: decoded(rawPath),
    raw_path: rawPath,
    query_string: question === -1 ? "" : target.slice(question + 1),
    root_path: "",
    headers: headersOf(request),
    client: clientOf(request),
    server: [socket.localAddress ?? "127.0.0.1", socket.localPort ?? 0],
    state: { ...state },
  };
}

function headersOf({ rawHeaders }: IncomingMessage): ReceivedHeader[] {
  const headers: ReceivedHeader[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    headers.push([(rawHeaders[index] ?? "").toLowerCase(), rawHeaders[index + 1] ?? ""]);
  }
  return headers;
}

/** The agent overwrites both lines, and nobody else reaches the port. */
function clientOf({ headers, socket }: IncomingMessage): readonly [string, number] {
  const [forwarded = ""] = [headers["x-forwarded-for"] ?? ""].flat().join(",").split(",");
  if (forwarded.trim() !== "") return [forwarded.trim(), 0];
  return [socket.remoteAddress ?? "127.0.0.1", socket.remotePort ?? 0];
}

function isSecure({ headers }: IncomingMessage): boolean {
  return headers["x-forwarded-proto"] === "https";
}

/** Bytes that are no UTF-8 become U+FFFD, and a percent sign that begins no byte stays. */
function decoded(path: string): string {
  return path.replaceAll(/(?:%[0-9a-f]{2})+/gi, (bytes) =>
    Buffer.from(bytes.replaceAll("%", ""), "hex").toString("utf8"),
  );
}
