/** The link's WebSocket over real sockets: whole messages however the bytes come, and every way to end. */
import { connect, createServer, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LinkSocket } from "../../../origin-gpu/link/link-socket.ts";
import { SocketReads } from "../../../origin-gpu/websocket/socket-reads.ts";
import { KEEPALIVE_INTERVAL_MS, KEEPALIVE_TIMEOUT_MS } from "../../../routing/wire/limits.ts";

let server: Server;
let gateway: Socket;
let agent: Socket;
let reads: SocketReads;

beforeEach(async () => {
  server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  reads = new SocketReads();
  agent = connect({ port, host: "127.0.0.1", onread: reads.onread });
  reads.belongTo(agent);
  [gateway] = (await accepted) as [Socket];
  gateway.on("error", () => undefined);
});
afterEach(() => {
  vi.useRealTimers();
  agent.destroy();
  gateway.destroy();
  server.close();
});

interface Heard {
  messages: Buffer[];
  closed: { code: number; reason: string }[];
  drains: number;
  socket: LinkSocket;
}

function link(head: Buffer = Buffer.alloc(0), randomMask?: () => Uint8Array): Heard {
  const heard: Omit<Heard, "socket"> = { messages: [], closed: [], drains: 0 };
  const socket = new LinkSocket(
    agent,
    head,
    reads,
    {
      onMessage: (message) => heard.messages.push(Buffer.from(message)),
      onDrain: () => {
        heard.drains += 1;
      },
      onClose: (code, reason) => heard.closed.push({ code, reason }),
    },
    randomMask,
  );
  return Object.assign(heard, { socket });
}

/** A frame as a server sends it: unmasked. */
function serverFrame(opcode: number, payload: Uint8Array, final = true): Buffer {
  const { length } = payload;
  const first = (final ? 0x80 : 0) | opcode;
  if (length < 126) return Buffer.concat([Buffer.from([first, length]), payload]);
  if (length < 65_536) {
    const header = Buffer.from([first, 126, 0, 0]);
    header.writeUInt16BE(length, 2);
    return Buffer.concat([header, payload]);
  }
  const header = Buffer.alloc(10);
  header[0] = first;
  header[1] = 127;
  header.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([header, payload]);
}

/** Takes the frames that the agent sent, unmasked. */
function clientFrames(bytes: Buffer): { opcode: number; mask: string; payload: Buffer }[] {
  const frames: { opcode: number; mask: string; payload: Buffer }[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const opcode = (bytes[offset] as number) & 0x0f;
    const short = (bytes[offset + 1] as number) & 0x7f;
    expect((bytes[offset + 1] as number) & 0x80).toBe(0x80);
    const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
    const length =
      extended === 0
        ? short
        : extended === 2
          ? bytes.readUInt16BE(offset + 2)
          : Number(bytes.readBigUInt64BE(offset + 2));
    const at = offset + 2 + extended;
    const mask = bytes.subarray(at, at + 4);
    const payload = Buffer.from(bytes.subarray(at + 4, at + 4 + length));
    for (let index = 0; index < length; index += 1) {
      payload[index] = (payload[index] as number) ^ (mask[index % 4] as number);
    }
    frames.push({ opcode, mask: mask.toString("hex"), payload });
    offset = at + 4 + length;
  }
  return frames;
}

/** Collects what the gateway's end receives until there are that many bytes. */
async function received(bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  while (length < bytes) {
    const [chunk] = (await once(gateway, "data")) as [Buffer];
    chunks.push(chunk);
    length += chunk.length;
  }
  return Buffer.concat(chunks);
}

async function until(condition: () => boolean): Promise<void> {
  await vi.waitFor(() => expect(condition()).toBe(true), { timeout: 5000, interval: 1 });
}

const BINARY = 2;
const SIZES = [0, 1, 125, 126, 65_535, 65_536, 300_000];

describe("what comes in", () => {
  test("messages of every size, in one piece or byte by byte, are whole and in order", async () => {
    const heard = link();
    const sent = SIZES.map((size, index) => Buffer.alloc(size, index + 1));
    gateway.write(Buffer.concat(sent.map((message) => serverFrame(BINARY, message))));
    await until(() => heard.messages.length === SIZES.length);
    expect(heard.messages.map((message, index) => message.equals(sent[index] as Buffer))).toEqual(
      SIZES.map(() => true),
    );
    for (const byte of serverFrame(BINARY, Buffer.from("slowly"))) {
      gateway.write(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => heard.messages.length === SIZES.length + 1);
    expect(heard.messages.at(-1)?.toString()).toBe("slowly");
  });

  test("what came with the handshake comes first", async () => {
    const heard = link(serverFrame(BINARY, Buffer.from("first")));
    gateway.write(serverFrame(BINARY, Buffer.from("second")));
    await until(() => heard.messages.length === 2);
    expect(heard.messages.map(String)).toEqual(["first", "second"]);
  });

  test("a message in fragments is one, with a ping in between answered", async () => {
    const heard = link();
    gateway.write(serverFrame(BINARY, Buffer.from("a"), false));
    gateway.write(serverFrame(9, Buffer.from("hi")));
    gateway.write(serverFrame(0, Buffer.from("b"), false));
    gateway.write(serverFrame(0, Buffer.from("c")));
    const [pong] = clientFrames(await received(8));
    expect([pong?.opcode, pong?.payload.toString()]).toEqual([10, "hi"]);
    await until(() => heard.messages.length === 1);
    expect(heard.messages.map(String)).toEqual(["abc"]);
  });

  test("keepalive's answers are no messages", async () => {
    const heard = link();
    gateway.write(serverFrame(1, Buffer.from("pong")));
    gateway.write(serverFrame(BINARY, Buffer.from("x")));
    await until(() => heard.messages.length === 1);
    expect(heard.messages.map(String)).toEqual(["x"]);
  });
});

describe("what goes out", () => {
  test.each([
    ["with the zero mask", undefined, "00000000"],
    ["with a random mask", () => Uint8Array.of(1, 2, 3, 4), "01020304"],
  ])("segments are one binary message, %s", async (_, randomMask, mask) => {
    const { socket } = link(undefined, randomMask);
    for (const size of [10, 130, 70_000]) {
      const payload = Buffer.alloc(size, 7);
      socket.send([payload.subarray(0, 3), payload.subarray(3)]);
      const extended = size < 126 ? 0 : size < 65_536 ? 2 : 8;
      const [frame] = clientFrames(await received(6 + extended + size));
      expect([frame?.opcode, frame?.mask]).toEqual([BINARY, mask]);
      expect(frame?.payload.equals(payload)).toBe(true);
    }
  });

  test("a reader that does not read is congestion, and its end is told", async () => {
    const heard = link();
    gateway.pause();
    expect(heard.socket.congested).toBe(false);
    const chunk = new Uint8Array(256 * 1024);
    for (let count = 0; count < 200 && !heard.socket.congested; count += 1) {
      heard.socket.send([chunk]);
    }
    expect(heard.socket.congested).toBe(true);
    gateway.on("data", () => undefined);
    await until(() => heard.drains > 0);
    expect(heard.socket.congested).toBe(false);
  });
});

describe("how it ends", () => {
  test("the gateway's close is answered and told with its code and reason", async () => {
    const heard = link();
    const reason = Buffer.from("the same agent dialled anew");
    gateway.write(serverFrame(8, Buffer.concat([Buffer.from([0x0f, 0xa0]), reason])));
    const [answer] = clientFrames(await received(6 + 2 + reason.length));
    expect([answer?.opcode, answer?.payload.readUInt16BE(0)]).toEqual([8, 4000]);
    expect(heard.closed).toEqual([{ code: 4000, reason: String(reason) }]);
  });

  test("our own close carries code and reason, once", async () => {
    const heard = link();
    heard.socket.close(4002, "bad frame");
    heard.socket.close(1000, "again");
    heard.socket.send([Uint8Array.of(1)]);
    const frames = clientFrames(await received(6 + 2 + 9));
    expect(frames.map(({ opcode, payload }) => [opcode, payload.subarray(2).toString()])).toEqual([
      [8, "bad frame"],
    ]);
    expect(heard.closed).toEqual([{ code: 4002, reason: "bad frame" }]);
  });

  test("a connection that just ends is 1006, once", async () => {
    const heard = link();
    gateway.resetAndDestroy();
    await until(() => heard.closed.length > 0);
    expect(heard.closed).toEqual([{ code: 1006, reason: "the connection ended" }]);
  });

  test("a half-closed connection has ended", async () => {
    const heard = link();
    gateway.end();
    await until(() => heard.closed.length > 0);
    expect(heard.closed.map(({ code }) => code)).toEqual([1006]);
  });

  test.each([
    ["is masked", Buffer.from([0x82, 0x81, 0, 0, 0, 0, 1])],
    ["claims 65 MiB", Buffer.from([0x82, 127, 0, 0, 0, 0, 4, 0x10, 0, 0])],
  ])("a frame that %s is refused with 1002", async (_, frame) => {
    const heard = link();
    gateway.write(frame);
    await until(() => heard.closed.length > 0);
    expect([heard.closed.map(({ code }) => code), heard.messages]).toEqual([[1002], []]);
  });
});

describe("keepalive", () => {
  test("asks again and again, and gives up 10 s after the last word", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date"] });
    const heard = link();
    vi.advanceTimersByTime(KEEPALIVE_INTERVAL_MS);
    const [ping] = clientFrames(await received(10));
    expect([ping?.opcode, ping?.payload.toString()]).toEqual([1, "ping"]);
    const pong = serverFrame(1, Buffer.from("pong"));
    gateway.write(pong);
    while (agent.bytesRead < pong.length) await new Promise((resolve) => setImmediate(resolve));
    vi.advanceTimersByTime(KEEPALIVE_TIMEOUT_MS);
    expect(heard.closed).toEqual([]);
    vi.advanceTimersByTime(KEEPALIVE_INTERVAL_MS);
    expect(heard.closed.map(({ code }) => code)).toEqual([1006]);
  });

  test("takes no gateway for gone because its own process did not run for a while", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date"] });
    const heard = link();
    for (const _ of ["once", "and again"]) {
      vi.setSystemTime(Date.now() + 2 * KEEPALIVE_TIMEOUT_MS);
      vi.advanceTimersByTime(KEEPALIVE_INTERVAL_MS);
      expect(heard.closed).toEqual([]);
      const before = agent.bytesRead;
      gateway.write(serverFrame(1, Buffer.from("pong")));
      while (agent.bytesRead === before) await new Promise((resolve) => setImmediate(resolve));
    }
  });
});
