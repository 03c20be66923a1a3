/**
 * A server that tells which edition of its app it is: the variable EDITION. `/slow?ms=N` takes so long,
 * `/events` tells it every 50 ms until the client leaves, a WebSocket is told it once and kept. The edition
 * `broken` dies at its start.
 */
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

const { EDITION: edition = "", PORT: port, POSTERN_CONTAINER_ID: container } = process.env;
if (edition === "broken") {
  console.error("no such weights");
  process.exit(3);
}

const server = createServer((request, response) => {
  void answer(new URL(request.url ?? "/", "http://app")).catch((error: unknown) => {
    console.error(String(error));
  });

  async function answer({ pathname, searchParams }: URL): Promise<void> {
    if (pathname === "/events") {
      response.setHeader("content-type", "text/event-stream");
      while (!response.destroyed) {
        response.write(`data: ${edition}\n\n`);
        await delay(50);
      }
      return;
    }
    console.log(`${edition} begins ${pathname}`);
    if (pathname === "/slow") await delay(Number(searchParams.get("ms")));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ edition, container }));
  }
});

server.on("upgrade", (request, socket) => {
  const key = request.headers["sec-websocket-key"] ?? "";
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"];
  socket.write(`${lines.join("\r\n")}\r\nSec-WebSocket-Accept: ${accept.digest("base64")}\r\n\r\n`);
  socket.write(Buffer.concat([Buffer.from([0x81, edition.length]), Buffer.from(edition)]));
  socket.on("error", () => socket.destroy());
});

server.listen(Number(port), "127.0.0.1");
