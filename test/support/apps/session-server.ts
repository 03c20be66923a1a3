/**
 * A server whose sessions are in its own memory, as those of Gradio and MCP servers are: `POST /sessions` hands out an
 * id, after `?ms=` milliseconds, and `GET /sessions/<id>` knows its own ids alone. Every response names the container,
 * and so does a WebSocket's handshake, behind which the server closes.
 */
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";

const container = process.env["POSTERN_CONTAINER_ID"] ?? "";
const sessions = new Set<string>();

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? "", "http://server.invalid");
  response.setHeader("x-container", container);
  if (request.method === "POST" && pathname === "/sessions") {
    const id = `s${randomBytes(16).toString("hex")}0`;
    sessions.add(id);
    const ms = searchParams.get("ms");
    if (ms !== null) console.log(`hands out an id in ${ms} ms`);
    setTimeout(() => {
      // In two pieces, without a length.
      response.setHeader("content-type", "application/json");
      response.write('{"id": ');
      setImmediate(() => response.end(`"${id}"}`));
    }, Number(ms));
    return;
  }
  if (pathname === "/exit") process.exit(1);
  const id = /^\/sessions\/(\w+)$/.exec(pathname)?.[1];
  if (id !== undefined && !sessions.has(id)) response.statusCode = 404;
  response.end(container);
});
server.on("upgrade", ({ headers }, socket) => {
  const accept = createHash("sha1")
    .update(`${headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64");
  const lines = ["upgrade: websocket", "connection: upgrade", `sec-websocket-accept: ${accept}`];
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\n${lines.join("\r\n")}\r\nx-container: ${container}\r\n\r\n`,
  );
  // A Close frame with 1000 (RFC 6455, 5.5.1).
  socket.end(Buffer.from([0x88, 2, 0x03, 0xe8]));
});
server.listen(Number(process.env["PORT"]), "127.0.0.1");
