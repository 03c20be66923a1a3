/**
 * The plain server of the end-to-end tests: node:http, no framework, no ASGI, on $PORT. It answers the
 * same paths as fastapi_app.py wherever they make sense for it, and some that ASGI has no words for.
 */
import { createHash, randomBytes } from "node:crypto";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";

const BLOCK = randomBytes(1024 * 1024);

type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => Promise<void>;

/** One row per path; the first whose pattern matches answers. */
const ROUTES: readonly (readonly [RegExp, Handler])[] = [
  [/^\/json$/, json],
  [/^\/upload$/, upload],
  [/^\/download$/, download],
  [/^\/events$/, serverSentEvents],
  [/^\/seen\//, seen],
  [/^\/status\/(\d+)$/, status],
  [/^\/encoded$/, encoded],
  [/^\/cookies$/, cookies],
  [/^\/raw-headers\/?$/, rawHeaders],
  [/^\/trailers$/, trailers],
];

async function json(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await read(request);
  const value: unknown =
    request.method === "POST"
      ? { received: JSON.parse(body.toString("utf8")) as unknown }
      : { hello: "world", snowman: "☃" };
  response.setHeader("content-type", "application/json").end(JSON.stringify(value));
}

async function upload(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of request) {
    hash.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
  }
  response
    .setHeader("content-type", "application/json")
    .end(JSON.stringify({ bytes, sha256: hash.digest("hex") }));
}

async function download(
  _request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const size = Number(url.searchParams.get("size"));
  if (url.searchParams.get("length") !== "false") response.setHeader("content-length", size);
  for (let start = 0; start < size && !response.destroyed; start += BLOCK.length) {
    if (!response.write(BLOCK.subarray(0, Math.min(BLOCK.length, size - start)))) {
      await settled(response, "drain");
    }
  }
  response.end();
}

async function serverSentEvents(
  _request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const count = Number(url.searchParams.get("count"));
  const intervalMs = Number(url.searchParams.get("interval_ms") ?? 0);
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
  for (let number = 0; number < count && !response.destroyed; number++) {
    if (!response.write(`data: ${number}\n\n`)) await settled(response, "drain");
    if (intervalMs > 0) await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
  response.end();
}

async function seen(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await read(request);
  const headers: string[][] = [];
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    headers.push(request.rawHeaders.slice(index, index + 2));
  }
  const target = request.url ?? "";
  const mark = target.indexOf("?");
  response.writeHead(200, {
    "content-type": "application/json",
    "x-method": request.method ?? "",
  });
  response.end(
    JSON.stringify({
      method: request.method,
      url: `${String(request.headers["x-forwarded-proto"])}://${request.headers.host ?? ""}${target}`,
      client: request.headers["x-forwarded-for"],
      raw_path: mark === -1 ? target : target.slice(0, mark),
      query: mark === -1 ? "" : target.slice(mark + 1),
      headers,
      body: body.toString("latin1"),
    }),
  );
}

async function status(
  _request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  await Promise.resolve();
  response.writeHead(Number(url.pathname.split("/").at(-1)), { etag: '"v1"' }).end();
}

async function encoded(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const body = await read(request);
  response.writeHead(200, {
    "content-encoding": url.searchParams.get("encoding") ?? "",
    "x-request-encoding": request.headers["content-encoding"] ?? "",
  });
  response.end(body);
}

async function cookies(_request: IncomingMessage, response: ServerResponse): Promise<void> {
  await Promise.resolve();
  response.setHeader("set-cookie", ["one=1; Path=/", "two=2; HttpOnly"]).end("two");
}

async function rawHeaders(_request: IncomingMessage, response: ServerResponse): Promise<void> {
  await Promise.resolve();
  // node:http writes values as Latin-1: UTF-8 bytes go out as the characters that stand for them.
  response.setHeader("x-utf8", Buffer.from("grüße", "utf8").toString("latin1"));
  // A body that is text would make it write the headers in the text's encoding.
  response.setHeader("x-latin1", "grüße").end(Buffer.from("ok"));
}

async function trailers(_request: IncomingMessage, response: ServerResponse): Promise<void> {
  await Promise.resolve();
  response.writeHead(200, { trailer: "x-checksum" });
  response.write("body");
  response.addTrailers({ "x-checksum": "42" });
  response.end();
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Waits for an event, or for the response's end when its client leaves first. */
async function settled(response: ServerResponse, event: string): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      response.off(event, done).off("close", done);
      resolve();
    };
    response.once(event, done).once("close", done);
  });
}

const server = createServer((request, response) => {
  const url = new URL(request.url ?? "/", "http://app.invalid");
  const handler = ROUTES.find(([pattern]) => pattern.test(url.pathname))?.[1];
  if (handler === undefined) {
    response.writeHead(404).end("no such path\n");
    return;
  }
  // A client that leaves breaks its own request and nothing else.
  handler(request, response, url).catch(() => response.destroy());
});
process.once("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
server.listen(Number(process.env["PORT"]), "127.0.0.1", () => {
  console.log(`listening on ${JSON.stringify(server.address())}`);
});
