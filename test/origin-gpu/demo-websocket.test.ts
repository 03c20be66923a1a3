/**
 * The demo's chat over a WebSocket: with the built-in client, and frame by frame (RFC 6455).
 */
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Demo, startDemo } from "./demo-process.ts";

let demo: Demo;

beforeAll(async () => {
  demo = await startDemo({ DEMO_TOKEN_MS: "2" });
});
afterAll(() => demo.kill());

interface Message {
  type: "token" | "done" | "interrupted" | "error";
  text?: string;
  finish_reason?: string;
  usage?: { completion_tokens: number };
  error?: { param: string };
}

/** A client that hands out the messages in the order of their arrival. */
async function openChat() {
  const socket = new WebSocket(`${demo.url.replace("http", "ws")}/ws`);
  const messages: Message[] = [];
  let wake = () => {};
  socket.addEventListener("message", ({ data }) => {
    messages.push(JSON.parse(String(data)) as Message);
    wake();
  });
  await new Promise((resolve) => socket.addEventListener("open", resolve, { once: true }));
  const next = async (): Promise<Message> => {
    while (messages.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return messages.shift()!;
  };
  const untilEnd = async () => {
    let text = "";
    let message = await next();
    for (; message.type === "token"; message = await next()) text += message.text;
    return { text, end: message };
  };
  return { socket, next, untilEnd };
}

const endless = (content: string) =>
  JSON.stringify({ messages: [{ role: "user", content }], ignore_eos: true, max_tokens: 100_000 });

describe("the chat", () => {
  test("plain text is a prompt; its answer comes token by token and ends with its usage", async () => {
    const { socket, untilEnd } = await openChat();
    socket.send("Tell me about the Dormouse");
    const { text, end } = await untilEnd();
    expect(text).toMatch(/Dormouse/);
    expect(end).toMatchObject({ type: "done", usage: { prompt_tokens: 5 } });
    socket.close();
  });

  test("the body of a chat completion is understood, with its limits", async () => {
    const { socket, untilEnd } = await openChat();
    socket.send(JSON.stringify({ messages: [{ role: "user", content: "Queen" }], max_tokens: 5 }));
    const { end } = await untilEnd();
    expect(end).toMatchObject({ finish_reason: "length", usage: { completion_tokens: 5 } });
    socket.close();
  });

  test("a new message interrupts the answer to the last", async () => {
    const { socket, next, untilEnd } = await openChat();
    socket.send(endless("Queen"));
    expect((await next()).type).toBe("token");
    socket.send("Tell me about the Gryphon");
    expect((await untilEnd()).end.type).toBe("interrupted");
    const second = await untilEnd();
    expect(second.text).toMatch(/Gryphon/);
    expect(second.end.type).toBe("done");
    socket.close();
  });

  test("a bad message is answered with an error, and the chat goes on", async () => {
    const { socket, next, untilEnd } = await openChat();
    socket.send("{");
    expect((await next()).type).toBe("error");
    socket.send('{"messages": [{"role": "user", "content": "x"}], "max_tokens": 0}');
    expect(await next()).toMatchObject({ type: "error", error: { param: "max_tokens" } });
    socket.send("hello");
    expect((await untilEnd()).end.type).toBe("done");
    socket.close();
  });

  test("a client that leaves ends the work", async () => {
    const { socket, next } = await openChat();
    socket.send(endless("Queen"));
    await next();
    const noticed = demo.logged(/^client left after \d+ tokens$/);
    socket.close();
    await noticed;
  });
});

const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** A client's frame: masked unless told otherwise. */
function frame(
  opcode: number,
  payload: string | Buffer,
  { final = true, masked = true } = {},
): Buffer {
  const bytes = Buffer.from(payload);
  const mask = Buffer.from([1, 2, 3, 4]);
  const bit = masked ? 0x80 : 0;
  const header =
    bytes.length < 126 ? [bit | bytes.length] : [bit | 126, bytes.length >> 8, bytes.length & 0xff];
  const body = masked ? bytes.map((byte, index) => byte ^ mask[index % 4]!) : bytes;
  return Buffer.concat([
    Buffer.from([(final ? 0x80 : 0) | opcode, ...header]),
    masked ? mask : Buffer.alloc(0),
    body,
  ]);
}

const HANDSHAKE = [
  "GET /ws HTTP/1.1",
  "Host: localhost",
  "Upgrade: WebSocket",
  "Connection: keep-alive, Upgrade",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version: 13",
];

/** Sends raw bytes and collects what comes back until the server closes. */
function exchange(lines: readonly string[], ...frames: Buffer[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(Number(new URL(demo.url).port), "127.0.0.1");
    const received: Buffer[] = [];
    socket.on("data", (bytes) => received.push(bytes));
    socket.on("error", reject);
    socket.on("end", () => {
      socket.end();
      resolve(Buffer.concat(received));
    });
    socket.write(Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), ...frames]));
  });
}

/** The frames after the handshake's answer: opcode and payload of each. */
async function frames(...sent: Buffer[]): Promise<{ opcode: number; payload: Buffer }[]> {
  const answer = await exchange(HANDSHAKE, ...sent);
  let rest = answer.subarray(answer.indexOf("\r\n\r\n") + 4);
  const all = [];
  while (rest.length > 0) {
    const short = rest[1]!;
    const [at, length] = short < 126 ? [2, short] : [4, rest.readUInt16BE(2)];
    all.push({ opcode: rest[0]! & 0x0f, payload: rest.subarray(at, at + length) });
    rest = rest.subarray(at + length);
  }
  return all;
}

async function closeCode(...sent: Buffer[]): Promise<number> {
  const last = (await frames(...sent)).at(-1);
  expect(last?.opcode).toBe(OPCODE.close);
  return last!.payload.readUInt16BE(0);
}

const goodbye = frame(OPCODE.close, Buffer.from([0x03, 0xe8]));

describe("the protocol", () => {
  test("the handshake's accept value is that of RFC 6455, 1.3", async () => {
    const answer = (await exchange(HANDSHAKE, goodbye)).toString("latin1");
    expect(answer).toMatch(/^HTTP\/1.1 101 /);
    expect(answer).toContain("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  });

  test.each([
    ["without a key", HANDSHAKE.filter((line) => !line.includes("Key")), /^HTTP\/1.1 400 /],
    ["with a short key", HANDSHAKE.with(4, "Sec-WebSocket-Key: aGVsbG8="), /^HTTP\/1.1 400 /],
    [
      "of another version",
      HANDSHAKE.with(5, "Sec-WebSocket-Version: 8"),
      /^HTTP\/1.1 426 [^]*Sec-WebSocket-Version: 13\r\n/,
    ],
    ["at another path", HANDSHAKE.with(0, "GET /elsewhere HTTP/1.1"), /^HTTP\/1.1 404 /],
  ])("a handshake %s is refused", async (_name, lines, answer) => {
    expect((await exchange(lines)).toString("latin1")).toMatch(answer);
  });

  test("a message may come in fragments, even between the bytes of a letter, with a ping among them", async () => {
    const bytes = Buffer.from("{“");
    const answer = await frames(
      frame(OPCODE.text, bytes.subarray(0, 2), { final: false }),
      frame(OPCODE.ping, "still there?"),
      frame(OPCODE.continuation, bytes.subarray(2)),
      goodbye,
    );
    expect(answer.map(({ opcode }) => opcode)).toEqual([OPCODE.pong, OPCODE.text, OPCODE.close]);
    expect(answer[0]?.payload.toString()).toBe("still there?");
    expect(JSON.parse(String(answer[1]?.payload))).toMatchObject({ type: "error" });
  });

  test("a close is answered with its code, an empty one with an empty one", async () => {
    expect(await closeCode(frame(OPCODE.close, Buffer.from([0x0f, 0xa0, 0x6f, 0x6b])))).toBe(4000);
    expect(await frames(frame(OPCODE.close, ""))).toEqual([
      { opcode: OPCODE.close, payload: Buffer.alloc(0) },
    ]);
  });

  test.each([
    ["no mask", 1002, [frame(OPCODE.text, "hello", { masked: false })]],
    ["a reserved opcode", 1002, [frame(3, "")]],
    ["a reserved bit", 1002, [frame(OPCODE.text | 0x40, "")]],
    ["a ping in fragments", 1002, [frame(OPCODE.ping, "", { final: false })]],
    ["a ping of 126 bytes", 1002, [frame(OPCODE.ping, "x".repeat(126))]],
    ["a continuation of nothing", 1002, [frame(OPCODE.continuation, "x")]],
    [
      "a text within a text",
      1002,
      [frame(OPCODE.text, "a", { final: false }), frame(OPCODE.text, "b")],
    ],
    ["a close of one byte", 1002, [frame(OPCODE.close, "x")]],
    ["a close with code 1005", 1002, [frame(OPCODE.close, Buffer.from([0x03, 0xed]))]],
    [
      "a close reason that is not UTF-8",
      1007,
      [frame(OPCODE.close, Buffer.from([0x03, 0xe8, 0xff]))],
    ],
    ["a text that is not UTF-8", 1007, [frame(OPCODE.text, Buffer.from([0x61, 0xff]))]],
    ["a binary message", 1003, [frame(OPCODE.binary, "x")]],
    ["a frame that announces 4 GiB", 1009, [Buffer.from([0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0])]],
    [
      "fragments of over 64 KiB together",
      1009,
      [
        frame(OPCODE.text, "x".repeat(60_000), { final: false }),
        frame(OPCODE.continuation, "x".repeat(6000)),
      ],
    ],
  ])("%s closes with %i", async (_name, code, sent) => {
    expect(await closeCode(...sent)).toBe(code);
  });
});
