import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";

import {
  type Handshake,
  handshake,
  HandshakeError,
  type HandshakeOptions,
} from "../../../origin-gpu/websocket/handshake.ts";
import { freePort, temporaryDirectory } from "../../support/temporary.ts";

const NONCE = Buffer.from("the sample nonce");
/** RFC 6455, 1.3, for exactly these 16 bytes. */
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const servers: Server[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(
    servers.splice(0).map(async (server) => {
      server.close();
      await once(server, "close");
    }),
  );
});

/** A server that answers each request with these bytes; resolves with the request's head. */
async function answering(answer: string, path?: string) {
  const { promise: request, resolve } = Promise.withResolvers<string>();
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    let head = "";
    socket.on("data", (chunk: Buffer) => {
      head += chunk.toString("latin1");
      if (!head.includes("\r\n\r\n")) return;
      resolve(head);
      socket.write(answer, "latin1");
    });
  });
  servers.push(server);
  if (path === undefined) server.listen(0, "127.0.0.1");
  else server.listen(path);
  await once(server, "listening");
  const port = path === undefined ? (server.address() as AddressInfo).port : 1;
  return { request, url: new URL(`http://127.0.0.1:${port}`) };
}

async function ask(server: URL, more: Partial<HandshakeOptions> = {}): Promise<Handshake> {
  const options = { server, target: "/socket", nonce: NONCE, timeoutMs: 5000, ...more };
  const answer = await handshake(options);
  if (answer.kind === "open") sockets.push(answer.socket);
  return answer;
}

async function failure(asked: Promise<Handshake>): Promise<string> {
  const error = await asked.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof HandshakeError ? error.code : `no HandshakeError: ${String(error)}`;
}

function switching(...lines: string[]): string {
  const usual = ["Upgrade: websocket", "Connection: Upgrade"];
  return `HTTP/1.1 101 Switching Protocols\r\n${[...usual, ...lines].join("\r\n")}\r\n\r\n`;
}

test("the nonce and the accept of the RFC's example belong together", () => {
  const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const text = NONCE.toString("base64") + guid;
  expect(createHash("sha1").update(text).digest("base64")).toBe(ACCEPT);
});

test("an accepted handshake gives the socket, the raw headers and what came behind the head", async () => {
  const lines = [`Sec-WebSocket-Accept: ${ACCEPT}`, "Sec-WebSocket-Protocol: chat", "X-Mixed: One"];
  const server = await answering(`${switching(...lines)}\x81\x02hi`);
  const answer = await ask(server.url);
  if (answer.kind !== "open") throw new Error("refused");
  expect(answer.head.toString("latin1")).toBe("\x81\x02hi");
  expect(answer.rawHeaders.slice(-4)).toEqual(["Sec-WebSocket-Protocol", "chat", "X-Mixed", "One"]);
  answer.socket.write("passes");
  const [received] = (await once(sockets[0] as Socket, "data")) as [Buffer];
  expect(received.toString()).toBe("passes");
});

test("the target goes out as it is, with the caller's headers and the handshake's own", async () => {
  const server = await answering(switching(`Sec-WebSocket-Accept: ${ACCEPT}`));
  const headers = [
    ["Host", "public.example"],
    ["sec-websocket-protocol", "chat, superchat"],
    ["x-utf8", "grüße"],
    ["x-utf8", "twice"],
    // Another hop's handshake.
    ["sec-websocket-key", "x"],
    ["Sec-WebSocket-Extensions", "permessage-deflate"],
    ["sec-websocket-version", "8"],
    ["connection", "keep-alive, Upgrade"],
    ["upgrade", "WebSocket"],
    ["content-length", "5"],
  ].flat();
  await ask(server.url, { target: "/a/../b%2Fc?d=//e", headers });
  const lines = (await server.request).trimEnd().split("\r\n");
  expect(lines).toEqual([
    "GET /a/../b%2Fc?d=//e HTTP/1.1",
    "Host: public.example",
    "sec-websocket-protocol: chat, superchat",
    `x-utf8: ${Buffer.from("grüße").toString("latin1")}`,
    "x-utf8: twice",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${NONCE.toString("base64")}`,
  ]);
});

test("without a Host of the caller's, the server's own is sent", async () => {
  const server = await answering(switching(`Sec-WebSocket-Accept: ${ACCEPT}`));
  await ask(server.url);
  expect(await server.request).toContain(`\r\nHost: ${server.url.host}\r\n`);
});

test("an app on a Unix socket is reached", async () => {
  const socketPath = join(temporaryDirectory(), "app.sock");
  const server = await answering(switching(`Sec-WebSocket-Accept: ${ACCEPT}`), socketPath);
  const answer = await ask(server.url, { socketPath });
  expect(answer.kind).toBe("open");
});

test("a refusal is an answer: status, headers, body", async () => {
  const server = await answering(
    "HTTP/1.1 403 Forbidden\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 9\r\n\r\nnot today",
  );
  const answer = await ask(server.url);
  if (answer.kind !== "refused") throw new Error("accepted");
  expect(answer.status).toBe(403);
  expect(answer.rawHeaders.slice(0, 4)).toEqual(["Set-Cookie", "a=1", "Set-Cookie", "b=2"]);
  expect(Buffer.concat(await answer.body.toArray()).toString()).toBe("not today");
});

test("a 200 to the handshake is a refusal as well", async () => {
  const http = createHttpServer((_request, response) => response.end("a page"));
  servers.push(http);
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  const answer = await ask(new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}`));
  if (answer.kind !== "refused") throw new Error("accepted");
  expect(answer.status).toBe(200);
  expect(Buffer.concat(await answer.body.toArray()).toString()).toBe("a page");
});

test("response headers may have 60 KiB", async () => {
  const large = `X-Large: ${"*".repeat(60 * 1024)}`;
  const server = await answering(switching(`Sec-WebSocket-Accept: ${ACCEPT}`, large));
  expect((await ask(server.url)).kind).toBe("open");
});

test.each([
  ["no Accept", switching()],
  ["another Accept", switching("Sec-WebSocket-Accept: AAAA")],
  ["two Accepts", switching(`Sec-WebSocket-Accept: ${ACCEPT}`, "Sec-WebSocket-Accept: AAAA")],
  [
    "an extension that nobody offered",
    switching(`Sec-WebSocket-Accept: ${ACCEPT}`, "Sec-WebSocket-Extensions: permessage-deflate"),
  ],
  [
    "another protocol",
    `HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`,
  ],
  ["no upgrade at all", "HTTP/1.1 101 x\r\n\r\n"],
  ["no HTTP", "SSH-2.0-OpenSSH_9.6\r\n\r\n"],
])("a 101 with %s is invalid", async (_what, bytes) => {
  const server = await answering(bytes);
  expect(await failure(ask(server.url))).toBe("invalid");
});

test("nobody listening is unreachable", async () => {
  expect(await failure(ask(new URL(`http://127.0.0.1:${await freePort()}`)))).toBe("unreachable");
});

test("a server that hangs up before its head is unreachable", async () => {
  const server = createServer((socket) => socket.end("HTTP/1.1 101").resume());
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  expect(await failure(ask(url))).toBe("unreachable");
});

test("a server that says nothing is given up after the time, and its connection ended", async () => {
  const server = await answering("");
  expect(await failure(ask(server.url, { timeoutMs: 50 }))).toBe("timeout");
  const far = sockets[0] as Socket;
  if (!far.destroyed) await once(far, "close");
});

test("a signal gives up a handshake under way, and one that has not begun", async () => {
  const server = await answering("");
  const controller = new AbortController();
  const asked = failure(ask(server.url, { signal: controller.signal }));
  await server.request;
  controller.abort();
  expect(await asked).toBe("aborted");
  expect(await failure(ask(server.url, { signal: controller.signal }))).toBe("aborted");
});

test("a signal after the handshake leaves the socket alone", async () => {
  const server = await answering(switching(`Sec-WebSocket-Accept: ${ACCEPT}`));
  const controller = new AbortController();
  const answer = await ask(server.url, { signal: controller.signal });
  controller.abort();
  if (answer.kind !== "open") throw new Error("refused");
  expect(answer.socket.destroyed).toBe(false);
});

test("a reset between the handshake and whoever takes the socket ends no process", async () => {
  const server = await answering(switching(`Sec-WebSocket-Accept: ${ACCEPT}`));
  const answer = await ask(server.url);
  if (answer.kind !== "open") throw new Error("refused");
  (sockets[0] as Socket).resetAndDestroy();
  await new Promise((resolve) => answer.socket.once("close", resolve));
});
