/**
 * A server whose sessions are in its own memory, as those of Gradio and MCP servers are: `POST /sessions` hands out an
 * id, and `GET /sessions/<id>` knows its own ids alone. Every response names the container.
 */
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";

const container = process.env["POSTERN_CONTAINER_ID"] ?? "";
const sessions = new Set<string>();

createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "", "http://server.invalid");
  response.setHeader("x-container", container);
  if (request.method === "POST" && pathname === "/sessions") {
    const id = `s${randomBytes(16).toString("hex")}0`;
    sessions.add(id);
    // In two pieces, without a length.
    response.setHeader("content-type", "application/json");
    response.write('{"id": ');
    setImmediate(() => response.end(`"${id}"}`));
    return;
  }
  if (pathname === "/exit") process.exit(1);
  const id = /^\/sessions\/(\w+)$/.exec(pathname)?.[1];
  if (id !== undefined && !sessions.has(id)) response.statusCode = 404;
  response.end(container);
}).listen(Number(process.env["PORT"]), "127.0.0.1");
