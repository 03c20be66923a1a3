/**
 * A server that works on lists, one after the other, and takes WORK_MS for each however long it is. `{ n }` is answered
 * by its double, with the size of its list. GET / tells what it was asked.
 */
import { createServer, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const WORK_MS = Number(process.env["WORK_MS"] ?? 5);

interface Element {
  readonly n: number;
}

const sizes: number[] = [];
let working = Promise.resolve();

function answer(list: readonly Element[], path: string, response: ServerResponse): void {
  if (path === "/short") response.end("[]");
  else if (path === "/stream") {
    response.setHeader("content-type", "text/event-stream").write("data: x\n\n");
  } else if (path === "/statuses") {
    response.setHeader(
      "Postern-Batch-Status",
      list.map(({ n }) => (n % 2 === 0 ? 200 : 404)).join(),
    );
    response.end(JSON.stringify(list.map(({ n }) => ({ n }))));
  } else {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(list.map(({ n }) => ({ double: 2 * n, of: list.length }))));
  }
}

createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    if (request.method === "GET") {
      response.setHeader("content-type", "application/json").end(JSON.stringify(sizes));
      return;
    }
    const body = Buffer.concat(chunks).toString();
    const given = JSON.parse(body) as Element | Element[];
    const list = Array.isArray(given) ? given : [given];
    sizes.push(list.length);
    // One at a time, as a GPU does it.
    working = working.then(async () => await sleep(WORK_MS));
    void working.then(() => answer(list, request.url ?? "", response));
  });
}).listen(Number(process.env["PORT"]), "127.0.0.1");
