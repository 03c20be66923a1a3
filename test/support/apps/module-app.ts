/** The app in TypeScript of the end-to-end tests. It answers the paths of http-suite.ts by ASGI's events. */
import { createHash } from "node:crypto";
import { setTimeout } from "node:timers/promises";

import type {
  Application,
  HttpScope,
  Receive,
  Send,
  SentHeader,
} from "../../../origin-gpu/module/asgi.d.ts";

const BLOCK = Buffer.alloc(1024 * 1024, "0123456789");

interface Exchange {
  readonly scope: HttpScope;
  readonly query: URLSearchParams;
  readonly receive: Receive;
  readonly send: Send;
}

type Handler = (exchange: Exchange) => Promise<void>;

/** One row per path; the first whose pattern matches answers. */
const ROUTES: readonly (readonly [RegExp, Handler])[] = [
  [/^\/json$/, json],
  [/^\/upload$/, upload],
  [/^\/download$/, download],
  [/^\/events$/, serverSentEvents],
  [/^\/seen\//, seen],
  [/^\/status\/\d+$/, status],
  [/^\/encoded$/, encoded],
  [/^\/cookies$/, cookies],
  [/^\/raw-headers\/$/, rawHeaders],
  [/^\/leave$/, leave],
];

const app: Application = async (scope, receive, send) => {
  if (scope.type !== "http") throw new Error(`${scope.type} is not served`);
  const handler = ROUTES.find(([pattern]) => pattern.test(scope.path))?.[1] ?? missing;
  await handler({ scope, query: new URLSearchParams(scope.query_string), receive, send });
};

export default app;

async function json({ scope, receive, send }: Exchange): Promise<void> {
  const value: unknown =
    scope.method === "POST"
      ? { received: JSON.parse((await read(receive)).toString("utf8")) as unknown }
      : { hello: "world", snowman: "☃" };
  await answer(send, JSON.stringify(value), { headers: [["content-type", "application/json"]] });
}

async function upload({ receive, send }: Exchange): Promise<void> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of bodyOf(receive)) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  await answer(send, JSON.stringify({ bytes, sha256: hash.digest("hex") }));
}

async function download({ query, send }: Exchange): Promise<void> {
  const size = Number(query.get("size"));
  const headers = query.get("length") === "false" ? [] : [["content-length", `${size}`] as const];
  await send({ type: "http.response.start", status: 200, headers });
  for (let start = 0; start < size; start += BLOCK.length) {
    const body = BLOCK.subarray(0, Math.min(BLOCK.length, size - start));
    await send({ type: "http.response.body", body, more_body: true });
  }
  await send({ type: "http.response.body" });
}

async function serverSentEvents({ query, send }: Exchange): Promise<void> {
  const headers = [["content-type", "text/event-stream"]] as const;
  await send({ type: "http.response.start", status: 200, headers });
  for (let number = 0; number < Number(query.get("count")); number += 1) {
    await send({ type: "http.response.body", body: `data: ${number}\n\n`, more_body: true });
    await setTimeout(Number(query.get("interval_ms")));
  }
  await send({ type: "http.response.body" });
}

async function seen({ scope, receive, send }: Exchange): Promise<void> {
  const { method, scheme, headers, raw_path, query_string: query, client } = scope;
  const host = headers.find(([name]) => name === "host")?.[1] ?? "";
  const url = `${scheme}://${host}${raw_path}${query === "" ? "" : `?${query}`}`;
  const body = (await read(receive)).toString("latin1");
  const request = { method, url, client: client[0], raw_path, query, headers, body };
  await answer(send, JSON.stringify(request), { headers: [["x-method", method]] });
}

async function status({ scope, send }: Exchange): Promise<void> {
  await answer(send, "", {
    status: Number(scope.path.split("/").at(-1)),
    headers: [["etag", '"v1"']],
  });
}

async function encoded({ scope, query, receive, send }: Exchange): Promise<void> {
  const sent = scope.headers.find(([name]) => name === "content-encoding")?.[1] ?? "";
  const headers = [
    ["content-encoding", query.get("encoding") ?? ""],
    ["x-request-encoding", sent],
  ] as const;
  await answer(send, await read(receive), { headers });
}

async function cookies({ send }: Exchange): Promise<void> {
  const headers = [
    ["set-cookie", "one=1; Path=/"],
    ["set-cookie", "two=2; HttpOnly"],
  ] as const;
  await answer(send, "two", { headers });
}

async function rawHeaders({ send }: Exchange): Promise<void> {
  const headers = [
    ["x-utf8", Buffer.from("grüße")],
    ["x-latin1", "grüße"],
  ] as const;
  await answer(send, "ok", { headers });
}

/** Prints when its client has left. */
async function leave({ receive }: Exchange): Promise<void> {
  await receive();
  console.log("leave begins");
  console.log(`leave ends with ${(await receive()).type}`);
}

async function missing({ send }: Exchange): Promise<void> {
  await answer(send, "no such path\n", { status: 404 });
}

async function answer(
  send: Send,
  body: string | Uint8Array,
  { status = 200, headers = [] }: { status?: number; headers?: readonly SentHeader[] } = {},
): Promise<void> {
  await send({ type: "http.response.start", status, headers });
  await send({ type: "http.response.body", body });
}

async function* bodyOf(receive: Receive): AsyncGenerator<Uint8Array> {
  for (;;) {
    const event = await receive();
    if (event.type !== "http.request") throw new Error("the client left");
    yield event.body;
    if (!event.more_body) return;
  }
}

async function read(receive: Receive): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bodyOf(receive)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
