/** WebSockets through the gateway where the path itself is at stake: limits, breaks, pressure, leaks. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";

import { MIB } from "../../base/units.ts";
import { FrameReader, OPCODE } from "../../origin-gpu/websocket/frames.ts";
import { type Gateway, startUp, upstream } from "../support/harness.ts";
import { memoryBytes, openDescriptors, processTree } from "../support/processes.ts";
import { ClientSocket } from "../support/websocket-client.ts";
import { closePayload, maskedFrame, unmaskedFrame } from "../support/websocket-frames.ts";

const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const FLOOD_MESSAGES = 192;
/** Far less than the flood: what sockets, workerd and the agent may hold of it. */
const MAX_GROWTH_BYTES = 64 * MIB;

const STANDSTILL_MS = 1000;

const sockets = new Set<Socket>();
let app: Server;
let postern: Gateway;

beforeAll(async () => {
  app = createServer((_request, response) => response.end("no WebSocket"));
  app.on("upgrade", (request, socket: Socket) => {
    const key = request.headers["sec-websocket-key"] ?? "";
    const accept = createHash("sha1")
      .update(key + ACCEPT_GUID)
      .digest("base64");
    socket.on("error", () => undefined);
    socket.once("end", () => socket.end());
    socket.once("close", () => sockets.delete(socket));
    sockets.add(socket);
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
  });
  app.listen(0, "127.0.0.1");
  await once(app, "listening");
  const { port } = app.address() as AddressInfo;
  const small = upstream(port, { function: "small", websocket_max_message: 1024 });
  postern = await startUp([upstream(port), small]);
});
afterEach(() => {
  for (const socket of sockets) socket.destroy();
});
afterAll(async () => {
  await postern.stop();
  app.close();
});

/** A client's WebSocket and the app's end of it. */
async function opened(functionName = "web"): Promise<{ client: ClientSocket; socket: Socket }> {
  const upgraded = once(app, "upgrade") as Promise<[unknown, Socket]>;
  const client = await ClientSocket.connect(postern.address(functionName), "/");
  expect(client.response.status).toBe(101);
  return { client, socket: (await upgraded)[1] };
}

/** Opcodes and lengths of the frames that the app gets; it answers a Close frame as a server should. */
function framesOf(socket: Socket): [opcode: number, length: number][] {
  const frames: [number, number][] = [];
  const reader = new FrameReader();
  socket.on("data", (chunk: Buffer) => {
    reader.read(chunk, {
      onHead: ({ opcode, length }) => {
        frames.push([opcode, length]);
        if (opcode === OPCODE.close) socket.end(unmaskedFrame({ opcode }));
      },
      onPayload: () => undefined,
    });
  });
  return frames;
}

async function gone(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
}

const binary = (length: number, fill = 7) => ({
  opcode: OPCODE.binary,
  payload: Buffer.alloc(length, fill),
});

test("one byte over 32 MiB from the client closes it with 1009, and the app sees a break", async () => {
  const { client, socket } = await opened();
  const frames = framesOf(socket);
  await client.send(maskedFrame(binary(32 * MIB)));
  // The head says it. Where the client sends on, workerd's close becomes a reset, which may overtake the 1009.
  await client.send(maskedFrame(binary(32 * MIB + 1)).subarray(0, 1024));
  await client.ended();
  expect(client.seen.close).toMatch(/^Close 1009 /);
  await gone(socket);
  // workerd has the same limit and ends its other side without a Close frame.
  expect(frames).toEqual([[OPCODE.binary, 32 * MIB]]);
});

test("one byte over 32 MiB from the app closes both ends with 1009", async () => {
  const { client, socket } = await opened();
  const frames = framesOf(socket);
  socket.write(unmaskedFrame(binary(32 * MIB)));
  socket.write(unmaskedFrame(binary(32 * MIB + 1)));
  await client.ended();
  expect(client.seen.messages).toHaveLength(1);
  expect(client.seen.close).toMatch(/^Close 1009 /);
  await gone(socket);
  expect(frames).toEqual([[OPCODE.close, expect.any(Number)]]);
});

test.each(["client", "app"])(
  "one byte over websocket_max_message from the %s closes both ends, and the box's log says so",
  async (from) => {
    const { client, socket } = await opened("small");
    const frames = framesOf(socket);
    for (const bytes of [1023, 1024, 1025]) {
      if (from === "client") await client.send(maskedFrame(binary(bytes)));
      else socket.write(unmaskedFrame(binary(bytes)));
    }
    await client.ended();
    const reason = `a message of the ${from} has more than 1024 bytes, its websocket_max_message`;
    expect(client.seen.close).toBe(`Close 1009 "${reason}"`);
    await gone(socket);
    const passed = [1023, 1024].map((bytes) => [OPCODE.binary, bytes]);
    const close = [OPCODE.close, expect.any(Number)];
    expect(frames).toEqual(from === "client" ? [...passed, close] : [close]);
    expect(client.seen.messages).toHaveLength(from === "client" ? 0 : 2);
    await postern.process.waitForErrorOutput(
      new RegExp(`\\[small\\] postern: closed a WebSocket with 1009: ${reason}`),
    );
  },
);

test("what an app sent before it broke off arrives, and then no Close frame", async () => {
  const { client, socket } = await opened();
  for (let sent = 0; sent < 16; sent += 1) socket.write(unmaskedFrame(binary(MIB, sent)));
  socket.end();
  await client.ended();
  expect(client.seen.messages).toHaveLength(16);
  expect(client.seen.close).toBe("no Close frame");
});

test("a client that does not read holds the app back, and gets everything when it does", async () => {
  const before = memoryBytes(processTree(postern.process.pid));
  const { client, socket } = await opened();
  client.pause();
  const message = unmaskedFrame(binary(MIB));
  for (let sent = 0; sent < FLOOD_MESSAGES; sent += 1) socket.write(message);
  const held = await settled(() => socket.writableLength);
  expect(held).toBeGreaterThan((FLOOD_MESSAGES / 2) * MIB);
  const growth = memoryBytes(processTree(postern.process.pid)) - before;
  expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
  socket.write(unmaskedFrame({ opcode: OPCODE.close, payload: closePayload(1000, "done") }));
  client.resume();
  await client.ended();
  expect(client.seen.messages).toHaveLength(FLOOD_MESSAGES);
  expect(client.seen.close).toBe('Close 1000 "done"');
});

test("an app that does not read holds the client back, and gets everything when it does", async () => {
  const before = memoryBytes(processTree(postern.process.pid));
  const { client, socket } = await opened();
  socket.pause();
  const message = maskedFrame(binary(MIB));
  for (let sent = 0; sent < FLOOD_MESSAGES; sent += 1) void client.send(message);
  const held = await settled(() => client.unsentBytes);
  expect(held).toBeGreaterThan((FLOOD_MESSAGES / 2) * MIB);
  const growth = memoryBytes(processTree(postern.process.pid)) - before;
  expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
  client.close(1000, "done");
  const frames = framesOf(socket);
  socket.resume();
  while (frames.at(-1)?.[0] !== OPCODE.close) await once(socket, "data");
  expect(frames).toHaveLength(FLOOD_MESSAGES + 1);
});

test("WebSockets leave no descriptor behind, however they end", async () => {
  const descriptors = () => {
    let open = 0;
    for (const pid of processTree(postern.process.pid)) open += openDescriptors(pid);
    return open;
  };
  await endInEveryWay();
  const before = await settled(descriptors);
  const rounds = 20;
  for (let round = 0; round < rounds; round += 1) await endInEveryWay();
  // One or two belong to pooled connections that come and go by themselves.
  expect(await settled(descriptors)).toBeLessThan(before + rounds / 2);
});

async function endInEveryWay(): Promise<void> {
  const clean = await opened();
  clean.client.close(1000, "done");
  await once(clean.socket, "data");
  clean.socket.end(unmaskedFrame({ opcode: OPCODE.close, payload: closePayload(1000) }));
  const finished = await opened();
  finished.client.finish();
  const reset = await opened();
  reset.client.reset();
  const broken = await opened();
  broken.socket.end();
  const crashed = await opened();
  crashed.socket.resetAndDestroy();
  const invalid = await opened();
  await invalid.client.send(maskedFrame({ opcode: 0xf }));
  await Promise.all([clean, broken, crashed, invalid].map(({ client }) => client.ended()));
}

/** A number once it has not changed for a second: nothing tells of a standstill, so this looks. */
async function settled(read: () => number): Promise<number> {
  let value = read();
  let since = performance.now();
  while (performance.now() - since < STANDSTILL_MS) {
    await new Promise((resolve) => setTimeout(resolve, STANDSTILL_MS / 20));
    const now = read();
    if (now !== value) since = performance.now();
    value = now;
  }
  return value;
}
