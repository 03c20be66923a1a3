/**
 * An app that tells how long it took itself to listen: from the start of its process, in milliseconds. It waits for LOAD_MS
 * before. SERVER says what it serves by: `http`, Node's own server, or `bare`, which takes whatever a connection brings for a
 * request and answers by the same bytes.
 */
import { createServer } from "node:http";
import { createServer as createBareServer, type Server } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

let body = "";

function httpServer(): Server {
  return createServer((_, response) => {
    response.setHeader("content-type", "application/json");
    response.end(body);
  });
}

function bareServer(): Server {
  return createBareServer((socket) => {
    const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
    socket.on("data", () => socket.write(head + body));
    socket.on("error", () => socket.destroy());
  });
}

await delay(Number(process.env["LOAD_MS"] ?? "0"));
const server = process.env["SERVER"] === "bare" ? bareServer() : httpServer();
server.listen(Number(process.env["PORT"]), "127.0.0.1", () => {
  body = JSON.stringify({ pid: process.pid, listensAfterMs: performance.now() });
});
