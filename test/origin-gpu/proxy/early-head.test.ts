/** An app is asked before the first byte of its request's body is there, and gets each body whole. */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import { RequestBody } from "../../../origin-gpu/calls/request-body.ts";
import { AppConnections } from "../../../origin-gpu/proxy/app-connections.ts";

let server: Server;
let connections: AppConnections;
/** Settles when the app has a head. */
let asked: PromiseWithResolvers<IncomingMessage>;

beforeEach(async () => {
  asked = Promise.withResolvers();
  server = createServer((request, response) => {
    asked.resolve(request);
    const chunks: Buffer[] = [];
    if (request.url === "/refuses") response.writeHead(401).end("no");
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => response.end(Buffer.concat(chunks)));
    request.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  connections = new AppConnections({ origin: `http://127.0.0.1:${port}` });
});
afterEach(async () => {
  await connections.close();
  server.closeAllConnections();
  server.close();
});

/** Sends a POST; resolves with status and body of the app's response, or the code of the call's failure. */
async function send(target: string, body: RequestBody, framing: readonly string[]) {
  const ended = Promise.withResolvers<string>();
  let response = "";
  const call = {
    head: { method: "POST", target, headers: ["host", "app", ...framing] },
    isDurable: false,
    body,
    start: () => undefined,
    withdraw: () => undefined,
    respond: ({ status }: { status: number }) => {
      response = `${status} `;
    },
    append: (bytes: Uint8Array) => {
      response += Buffer.from(bytes).toString();
    },
    complete: () => ended.resolve(response),
    fail: ({ code, detail }: { code: string; detail: string }) =>
      ended.resolve(`${code}: ${detail}`),
  };
  connections.send({
    call: call as unknown as Call,
    waited: { queue: 0, start: 0 },
    limits: { timeoutMs: 10_000, maxDurationMs: 10_000 },
  });
  return await ended.promise;
}

const bytes = (text: string): Uint8Array => Buffer.from(text);

function pending(): RequestBody {
  return new RequestBody(undefined, new Uint8Array(0), false);
}

test.each([
  ["chunked", []],
  ["with a length", ["content-length", "11"]],
])("an app answers before the first byte of a body, %s", async (_, framing) => {
  expect(await send("/refuses", pending(), framing)).toBe("401 no");
});

test.each([
  ["chunked", [], ["hello ", "world"]],
  ["with a length", ["content-length", "11"], ["hello ", "world"]],
  ["chunked, in one piece", [], ["hello world"]],
  ["chunked, and empty", [], []],
])("a body that comes after its head is whole: %s", async (_, framing, pieces) => {
  const body = pending();
  const response = send("/echo", body, framing);
  const { headers } = await asked.promise;
  expect(headers["content-length"]).toBe(framing[1]);
  for (const piece of pieces) body.push(bytes(piece), false);
  body.push(new Uint8Array(0), true);
  expect(await response).toBe(`200 ${pieces.join("")}`);
});
