/**
 * An app that tells how long it took itself to listen: from the start of its process, in milliseconds. It waits for LOAD_MS
 * before.
 */
import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

const server = createServer((_, response) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ pid: process.pid, listensAfterMs }));
});
let listensAfterMs = 0;
await delay(Number(process.env["LOAD_MS"] ?? "0"));
server.listen(Number(process.env["PORT"]), "127.0.0.1", () => {
  listensAfterMs = performance.now();
});
