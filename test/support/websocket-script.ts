/**
 * An app that does to its WebSocket clients whatever a case says, byte by byte, and keeps what it
 * received; and a real client (undici's) that meets it. Case `<id>` is played at path `/<id>` as soon as
 * the client has sent its first message.
 */
import { createHash } from "node:crypto";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { Agent, WebSocket } from "undici";

import { applyMask, FrameReader, OPCODE } from "../../origin-gpu/websocket/frames.ts";
import type { Address } from "./http-client.ts";
import { APP_CASES, type AppCase } from "./websocket-app-cases.ts";
import { closePayload, unmaskedFrame } from "./websocket-frames.ts";

const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
export const LAST_MESSAGE = "the last message";
const PATIENCE_MS = 15_000;

export interface ScriptedApp {
  readonly port: number;
  /** What the app will have received on the one connection with this path, once that is over. */
  ended(path: string): Promise<string>;
  close(): Promise<void>;
}

/** Starts the app on a free loopback port. */
export async function startScriptedApp(): Promise<ScriptedApp> {
  const sockets = new Set<Socket>();
  const waiting = new Map<string, (received: string) => void>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    let request = "";
    const onRequest = (chunk: Buffer): void => {
      request += chunk.toString("latin1");
      if (!request.includes("\r\n\r\n")) return;
      socket.off("data", onRequest);
      const path = request.split(" ")[1] ?? "";
      const client = APP_CASES.find(({ id }) => path.startsWith(`/${id}?`));
      const key = /^sec-websocket-key: *(\S+)/im.exec(request)?.[1] ?? "";
      const accept = createHash("sha1")
        .update(key + ACCEPT_GUID)
        .digest("base64");
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      if (client !== undefined) play(socket, client, (received) => waiting.get(path)?.(received));
    };
    socket.on("data", onRequest);
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    ended: (path) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => resolve("never ended"), PATIENCE_MS);
        waiting.set(path, (received) => {
          clearTimeout(timer);
          waiting.delete(path);
          resolve(received);
        });
      }),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

function play(socket: Socket, app: AppCase, ended: (received: string) => void): void {
  const pongs: string[] = [];
  let close = "no Close frame";
  const reader = new FrameReader();
  let opcode = 0;
  let key: Uint8Array | undefined;
  let payload: Buffer[] = [];
  let left = 0;
  const frame = (): void => {
    const bytes = Buffer.concat(payload);
    if (key !== undefined) applyMask(bytes, key, 0);
    if (opcode === OPCODE.text) void send(socket, app);
    if (opcode === OPCODE.pong) pongs.push(`pong ${bytes.length} bytes`);
    if (opcode !== OPCODE.close) return;
    close = bytes.length < 2 ? "Close without a code" : `Close ${bytes.readUInt16BE()}`;
    // Who closed first ends the connection last: the app is the server, so it ends it now (7.1.1).
    if (app.ends === "message") {
      socket.write(unmaskedFrame({ opcode: OPCODE.close, payload: closePayload(1000, "done") }));
    }
    socket.end();
  };
  socket.on("data", (chunk: Buffer) => {
    reader.read(chunk, {
      onHead: (head) => {
        ({ opcode, maskingKey: key, length: left } = head);
        payload = [];
        if (left === 0) frame();
      },
      onPayload: (bytes) => {
        payload.push(Buffer.from(bytes));
        left -= bytes.length;
        if (left === 0) frame();
      },
    });
  });
  socket.once("end", () => socket.end());
  socket.once("close", () => ended([...pongs, close].join(" | ")));
}

async function send(socket: Socket, app: AppCase): Promise<void> {
  for (const bytes of app.sends) {
    const size = app.chop ?? bytes.length;
    for (let start = 0; start < bytes.length; start += size) {
      socket.write(bytes.subarray(start, start + size));
      if (size < bytes.length) await new Promise((resolve) => setImmediate(resolve));
    }
  }
  if (app.ends === "message") {
    socket.write(unmaskedFrame({ opcode: OPCODE.text, payload: LAST_MESSAGE }));
  }
  if (app.ends === "fin") socket.end();
  if (app.ends === "reset") socket.resetAndDestroy();
}

/** Plays the client's part of a case and says what it saw. */
export async function meet(way: Address, path: string): Promise<string> {
  const dispatcher = new Agent({
    connect: {
      lookup: (_host, _options, found) => found(null, [{ address: "127.0.0.1", family: 4 }]),
    },
  });
  const socket = new WebSocket(`ws://${way.host}${path}`, { dispatcher });
  socket.binaryType = "arraybuffer";
  const messages: string[] = [];
  const { promise, resolve } = Promise.withResolvers<string>();
  const timer = setTimeout(() => resolve("never closed"), PATIENCE_MS);
  socket.addEventListener("open", () => socket.send("begin"));
  socket.addEventListener("message", ({ data }: { data: string | ArrayBuffer }) => {
    messages.push(typeof data === "string" ? describe("text", data) : describe("binary", data));
    if (data === LAST_MESSAGE) socket.close(1000, "done");
  });
  socket.addEventListener("error", () => undefined);
  socket.addEventListener("close", ({ code, reason, wasClean }) => {
    const words = OWN_WORDS.has(code) ? "" : ` ${JSON.stringify(reason)}`;
    resolve(`${wasClean ? "closed" : "broken"} ${code}${words}`);
  });
  const ending = await promise;
  clearTimeout(timer);
  await dispatcher.destroy();
  return [...messages, ending].join(" | ");
}

/** Codes whose reason is an implementation's own words. */
const OWN_WORDS: ReadonlySet<number> = new Set([1002, 1006, 1007, 1009]);

function describe(kind: string, data: string | ArrayBuffer): string {
  const bytes = Buffer.from(data as string);
  if (bytes.length <= 40) return `${kind} ${JSON.stringify(bytes.toString())}`;
  return `${kind} of ${bytes.length} bytes, ${createHash("sha256").update(bytes).digest("hex").slice(0, 12)}`;
}
