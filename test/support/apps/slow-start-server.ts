/** A server on $PORT that listens when the file $READY is there. It counts the requests of each path that it gets. */
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

const { READY = "", PORT } = process.env;
const counts = new Map<string, number>();

const server = createServer((request, response) => {
  const path = request.url ?? "/";
  if (path === "/counts") {
    response.end(JSON.stringify(Object.fromEntries(counts)));
    return;
  }
  counts.set(path, (counts.get(path) ?? 0) + 1);
  const isStream = request.headers.accept === "text/event-stream";
  response.writeHead(200, { "content-type": isStream ? "text/event-stream" : "text/html" });
  response.end(isStream ? "data: started\n\n" : "<title>the app</title>");
});
while (!existsSync(READY)) await delay(50);
server.listen(Number(PORT), "127.0.0.1");
