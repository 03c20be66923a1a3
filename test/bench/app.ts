/**
 * The app under measurement: as little as node:http can do, so that what stands before it is what is
 * seen. `/` a small answer, `/wait?MS` the time that it took the app, after about as many milliseconds,
 * `/stream` a chunk now and one 10 ms later, `/chunks?INTERVAL_MS` a chunk each interval until the client
 * leaves, `/idle` an answer when no such stream is open, `/bulk?SIZE` bytes, `/sink` swallows a body, and
 * any Upgrade is a WebSocket echo for messages below 126 bytes.
 */
import { createHash } from "node:crypto";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { Socket } from "node:net";

import { framedChunk, sharedClockUs } from "./chunks.ts";
import { Pacer } from "./pacer.ts";

const BLOCK = Buffer.alloc(256 * 1024, "postern ");
const HELLO = Buffer.from("Hello from the app under measurement.\n");
/** RFC 6455, 1.3: what both sides append to the key. */
const WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** An open `/chunks`, and the number of its next chunk. */
interface ChunkStream {
  readonly socket: Socket;
  sequence: number;
}

const pacers = new Map<number, Pacer<ChunkStream>>();
let openStreams = 0;
const waitForIdle = new Set<ServerResponse>();

/** One timer for all streams, only while there are some: it would be most of what an idle app does. */
let timer: NodeJS.Timeout | undefined;

function advance(): void {
  const nowMs = performance.now();
  for (const pacer of pacers.values()) pacer.advance(nowMs, writeChunk);
}

function writeChunk(stream: ChunkStream): void {
  // Past node:http, whose three writes for a chunk would be the largest part of what the app does.
  stream.socket.write(framedChunk(stream.sequence++, sharedClockUs()), "latin1");
}

function answerIfIdle(): void {
  if (openStreams > 0) return;
  clearInterval(timer);
  timer = undefined;
  pacers.clear();
  for (const response of waitForIdle) response.end(HELLO);
  waitForIdle.clear();
}

function openStream({ socket }: IncomingMessage, response: ServerResponse, intervalMs: number) {
  response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
  openStreams++;
  timer ??= setInterval(advance, 1);
  const pacer = pacers.get(intervalMs) ?? new Pacer<ChunkStream>(intervalMs, performance.now());
  pacers.set(intervalMs, pacer);
  const remove = pacer.add({ socket, sequence: 0 });
  response.once("close", () => {
    remove();
    openStreams--;
    answerIfIdle();
  });
}

const server = createServer((request, response) => {
  const [path, query] = (request.url ?? "/").split("?");
  if (path === "/bulk") {
    let left = Number(query);
    response.writeHead(200, { "content-length": left });
    const fill = () => {
      while (left > 0) {
        const block = BLOCK.subarray(0, Math.min(left, BLOCK.length));
        left -= block.length;
        if (!response.write(block)) {
          response.once("drain", fill);
          return;
        }
      }
      response.end();
    };
    fill();
  } else if (path === "/stream") {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: first\n\n");
    setTimeout(() => response.end("data: last\n\n"), 10);
  } else if (path === "/wait") {
    const began = performance.now();
    setTimeout(() => response.end((performance.now() - began).toFixed(3)), Number(query));
  } else if (path === "/chunks") {
    openStream(request, response, Number(query));
  } else if (path === "/idle") {
    waitForIdle.add(response);
    answerIfIdle();
  } else if (path === "/sink") {
    request.resume().once("end", () => response.end(HELLO));
  } else {
    response.writeHead(200, { "content-type": "text/plain", "content-length": HELLO.length });
    response.end(HELLO);
  }
});

server.on("upgrade", (request, socket, head) => {
  const key = request.headers["sec-websocket-key"] ?? "";
  const accept = createHash("sha1")
    .update(key + WEBSOCKET_GUID)
    .digest("base64");
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  let pending: Buffer = head;
  const echo = (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    // Two header bytes, four of mask, then the payload; lengths from 126 on are never sent here.
    while (pending.length >= 2) {
      const length = (pending[1] ?? 0) & 0x7f;
      if (pending.length < 6 + length) return;
      const frame = Buffer.alloc(2 + length);
      frame[0] = pending[0] ?? 0;
      frame[1] = length;
      for (let index = 0; index < length; index++) {
        frame[2 + index] = (pending[6 + index] ?? 0) ^ (pending[2 + (index & 3)] ?? 0);
      }
      socket.write(frame);
      pending = pending.subarray(6 + length);
    }
  };
  socket.on("data", echo).on("error", () => socket.destroy());
});

// Nothing of the server's own housekeeping during a measurement.
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.listen(Number(process.env["PORT"]), "127.0.0.1", () => console.log("listening"));
