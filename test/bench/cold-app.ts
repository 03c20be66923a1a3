/** An app that tells how long it took itself to listen: from the start of its process, in milliseconds. */
import { createServer } from "node:http";

const server = createServer((_, response) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ pid: process.pid, listensAfterMs }));
});
let listensAfterMs = 0;
server.listen(Number(process.env["PORT"]), "127.0.0.1", () => {
  listensAfterMs = performance.now();
});
