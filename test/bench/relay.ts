/**
 * The peer: a Node relay that does nothing but pass HTTP to the app with undici, and bytes after an
 * Upgrade. Behind a bare workerd it is the least that a gateway with an agent could cost. It knows no
 * names, no links, no calls.
 */
import { createServer } from "node:http";
import { connect } from "node:net";
import { Pool } from "undici";

const appPort = Number(process.env["APP_PORT"]);
const pool = new Pool(`http://127.0.0.1:${appPort}`, { connections: 1024, pipelining: 1 });

const server = createServer((request, response) => {
  const hasBody = request.method !== "GET" && request.method !== "HEAD";
  const headers = { ...request.headers };
  delete headers.connection;
  pool
    .stream(
      {
        path: request.url ?? "/",
        method: request.method ?? "GET",
        headers,
        ...(hasBody ? { body: request } : {}),
      },
      ({ statusCode, headers: answered }) => {
        delete answered["connection"];
        delete answered["keep-alive"];
        delete answered["transfer-encoding"];
        return response.writeHead(statusCode, answered);
      },
    )
    .catch(() => response.destroy());
});

server.on("upgrade", (request, downstream, head) => {
  const upstream = connect({ port: appPort, host: "127.0.0.1", noDelay: true });
  let text = `${request.method} ${request.url} HTTP/1.1\r\n`;
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    text += `${request.rawHeaders[index]}: ${request.rawHeaders[index + 1]}\r\n`;
  }
  upstream.write(`${text}\r\n`);
  upstream.write(head);
  upstream.pipe(downstream).pipe(upstream);
  upstream.on("error", () => downstream.destroy());
  downstream.on("error", () => upstream.destroy());
});

server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.listen(Number(process.env["PORT"]), "127.0.0.1", () => console.log("listening"));
