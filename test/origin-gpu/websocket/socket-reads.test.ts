/** A socket that is read into one buffer: nothing is lost between events and reads, and its end is noticed. */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SocketReads } from "../../../origin-gpu/websocket/socket-reads.ts";

let server: Server;
let peer: Socket;
let socket: Socket;
let reads: SocketReads;

beforeEach(async () => {
  server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const accepted = once(server, "connection");
  reads = new SocketReads();
  socket = connect({ port, host: "127.0.0.1", onread: reads.onread });
  reads.belongTo(socket);
  [peer] = (await accepted) as [Socket];
});
afterEach(() => {
  socket.destroy();
  peer.destroy();
  server.close();
});

/** Resolves when so many bytes have been read from the socket, wherever they went. */
async function read(bytes: number): Promise<void> {
  while (socket.bytesRead < bytes) await new Promise((resolve) => setImmediate(resolve));
}

test("bytes are events, then wait, and then are read, in order", async () => {
  const heard: string[] = [];
  const onData = (bytes: Buffer): void => void heard.push(`event ${String(bytes)}`);
  socket.on("data", onData);
  peer.write("one");
  await read(3);
  socket.off("data", onData).pause();
  socket.push("buffered ");
  peer.write("two");
  reads.start((bytes) => void heard.push(`read ${String(bytes)}`));
  await read(6);
  peer.write("three");
  await read(11);
  expect(heard).toEqual(["event one", "read buffered ", "read two", "read three"]);
});

test("all reads lie in one buffer", async () => {
  const buffers = new Set<ArrayBufferLike>();
  let sum = 0;
  reads.start((bytes) => {
    buffers.add(bytes.buffer);
    for (const byte of bytes) sum += byte;
  });
  for (let index = 1; index <= 3; index += 1) {
    peer.write(Buffer.alloc(500_000, index));
    await read(500_000 * index);
  }
  expect([buffers.size, sum]).toEqual([1, 3_000_000]);
});

test("the end is an event", async () => {
  reads.start(() => undefined);
  peer.end("last words");
  await once(socket, "end");
  expect(socket.bytesRead).toBe(10);
});
