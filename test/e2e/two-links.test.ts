/** A box with two links to its gateway: each of them carries everything, and either one is enough. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Readable } from "node:stream";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { applyMask, FrameReader, OPCODE } from "../../origin-gpu/websocket/frames.ts";
import { startBox } from "../support/box.ts";
import { CallClient } from "../support/call-client.ts";
import { type CuttableProxy, startCuttableProxy, type Which } from "../support/cuttable-proxy.ts";
import { APPS, type Gateway, startGateway, upstream } from "../support/harness.ts";
import { digest, events, open, send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { DOWNLOAD_BLOCK_BYTES, Stages, downloadBlock } from "../support/stages.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { ClientSocket } from "../support/websocket-client.ts";
import { maskedFrame, unmaskedFrame } from "../support/websocket-frames.ts";

const LINKS = [0, 1] as const;
const MIB = 1024 * 1024;
/** So many that none of the links is without its share, but for one run in a million. */
const MANY = 20;
const EVENTS = 300;
const ONE_EVENT = "/events?count=1";

const link =
  (number: number): Which =>
  (line) =>
    line.startsWith(`GET /_postern/link/${number} `);

let stages: Stages;
let echo: Server;
let gateway: Gateway;
let proxy: CuttableProxy;
let agent: ManagedProcess;
beforeAll(async () => {
  stages = await Stages.start();
  echo = createServer().on("upgrade", echoMessages).listen(0, "127.0.0.1");
  gateway = await startGateway({
    flags: ["--request-timeout", "1", "--rate-limit", "0"],
  });
  proxy = await startCuttableProxy(gateway.port);
  const place = { gateway, stateDirectory: temporaryDirectory(), throughPort: proxy.port };
  agent = await startBox({ ...place, links: LINKS.length }, [
    {
      function: "work",
      web_server: ["node", `${APPS}/staged-server.ts`],
      env: { STAGES: stages.url },
      max_inputs: 100,
    },
    upstream((echo.address() as AddressInfo).port, { function: "echo" }),
  ]);
});
afterAll(async () => {
  await agent.stop();
  await proxy.close();
  await gateway.stop();
  echo.close();
  await stages.close();
});

beforeEach(bothLinks);
afterEach(() => proxy.refuse());

/** Answers each text with itself until it is closed. */
function echoMessages(request: IncomingMessage, socket: Socket): void {
  const accept = createHash("sha1")
    .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64");
  socket.on("error", () => undefined);
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  let opcode = 0;
  let key: Uint8Array | undefined;
  const reader = new FrameReader();
  socket.on("data", (chunk: Buffer) => {
    reader.read(chunk, {
      onHead: (head) => {
        ({ opcode, maskingKey: key } = head);
      },
      onPayload: (piece) => {
        const payload = Buffer.from(piece);
        if (key !== undefined) applyMask(payload, key, 0);
        const frame = unmaskedFrame({ opcode, payload });
        if (opcode === OPCODE.close) socket.end(frame);
        else socket.write(frame);
      },
    });
  });
}

/** Cuts a link and keeps it away until links are allowed again. */
function takeAway(number: number): void {
  proxy.refuse(link(number));
  expect(proxy.cut(link(number))).toBe(1);
}

/** Resolves when both links are dialled. */
async function bothLinks(): Promise<void> {
  proxy.refuse();
  await expect
    .poll(() => LINKS.map((number) => proxy.passing(link(number))), { timeout: 10_000 })
    .toEqual([1, 1]);
}

async function receive(count: number): Promise<number[]> {
  const response = await open(gateway.address("work"), `/events?count=${count}`, {
    timeoutMs: 60_000,
  });
  const received: number[] = [];
  for await (const event of events(response)) received.push(Number(event));
  return received;
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, number) => number);

describe.each(LINKS)("while link %i is away", (away) => {
  beforeEach(async () => {
    takeAway(away);
    // The other one is dialled, and may not have been welcomed yet.
    await expect
      .poll(async () => (await send(gateway.address("work"), ONE_EVENT)).status)
      .toBe(200);
  });

  test("every request is answered over the other one", async () => {
    const answers = await Promise.all(
      numbers(MANY).map(async () => await send(gateway.address("work"), ONE_EVENT)),
    );
    expect(answers.map(({ status }) => status)).toEqual(numbers(MANY).map(() => 200));
  });

  test("a POST with a body that streams is run once", async () => {
    const key = `streams without ${away}`;
    const client = new CallClient(gateway.address("work"), key, { body: "x".repeat(200_000) });
    expect(await client.outcome).toBe("answer");
    expect(stages.executions(key)).toEqual([200_000]);
  });

  test("WebSockets are opened over the other one", async () => {
    const seen = proxy.requestLines.length;
    const sockets = await Promise.all(numbers(MANY).map(openSocket));
    const dials = proxy.requestLines.slice(seen).filter((line) => line.includes("/dial/"));
    expect(new Set(dials.map((line) => line.split("/")[3]))).toEqual(new Set([`${1 - away}`]));
    await Promise.all(sockets.map(closeSocket));
  });
});

async function openSocket(): Promise<ClientSocket> {
  const client = await ClientSocket.connect(gateway.address("echo"), "/");
  expect(client.response.status).toBe(101);
  return client;
}

async function says(client: ClientSocket, text: string): Promise<void> {
  await client.send(maskedFrame({ opcode: OPCODE.text, payload: text }));
  expect(await client.awaitMessage(text)).toBe(true);
}

async function closeSocket(client: ClientSocket): Promise<void> {
  client.close(1000, "done");
  await client.ended();
}

/** A link that was just dialled may not have been welcomed yet, and carries nothing before. */
async function openOverBoth(): Promise<ClientSocket[]> {
  for (;;) {
    const seen = proxy.requestLines.length;
    const sockets = await Promise.all(numbers(MANY).map(openSocket));
    const dials = proxy.requestLines.slice(seen).filter((line) => line.includes("/dial/"));
    const used = new Set(dials.map((line) => line.split("/")[3]));
    if (LINKS.every((number) => used.has(`${number}`))) return sockets;
    await Promise.all(sockets.map(closeSocket));
  }
}

test("WebSockets use both links and outlive them", async () => {
  const sockets = await openOverBoth();
  for (const number of LINKS) expect(proxy.cut(link(number))).toBe(1);
  await Promise.all(sockets.map(async (client) => await says(client, "still here")));
  await Promise.all(sockets.map(closeSocket));
});

test("streams go on over the other link when theirs is cut for good, each event once and in order", async () => {
  const streams = numbers(MANY).map(async () => await receive(EVENTS));
  await receive(EVENTS / 10);
  takeAway(0);
  await receive(EVENTS / 10);
  await bothLinks();
  takeAway(1);
  for (const received of await Promise.all(streams)) expect(received).toEqual(numbers(EVENTS));
});

test("64 MiB down keep their SHA-256 through cuts of either link", async () => {
  const size = 64 * MIB;
  const hash = createHash("sha256");
  for (let start = 0; start < size; start += DOWNLOAD_BLOCK_BYTES) {
    hash.update(downloadBlock(start, size));
  }
  const response = await open(gateway.address("work"), `/download?size=${size}`, {
    timeoutMs: 60_000,
  });
  const faults = [
    () => proxy.cut(link(0)),
    () => proxy.cut(link(1)),
    () => proxy.cut(link(0)),
    () => proxy.cut(link(1)),
  ];
  const distance = size / (faults.length + 1);
  let passed = 0;
  async function* body(): AsyncGenerator<Buffer> {
    for await (const chunk of response) {
      passed += (chunk as Buffer).length;
      yield chunk as Buffer;
      if (passed > distance * (faults.length + 1 - left.length)) left.shift()?.();
    }
  }
  const left = [...faults];
  expect(await digest(Readable.from(body()))).toEqual({ bytes: size, sha256: hash.digest("hex") });
  expect(left).toEqual([]);
});

test("a kept call is run once and its answer comes over whichever link is there", async () => {
  const calls = numbers(MANY).map((number) => {
    const key = `kept-${number}`;
    stages.hold(key, "running");
    return new CallClient(gateway.address("work"), key, {
      body: "question",
      headers: { "idempotency-key": key },
    });
  });
  await stages.reached(
    calls.map(({ key }) => key),
    "running",
  );
  takeAway(0);
  await Promise.all(calls.map(({ sentOn }) => sentOn));
  await bothLinks();
  takeAway(1);
  for (const { key } of calls) stages.release(key);
  const outcomes = await Promise.all(calls.map(({ outcome }) => outcome));
  expect(outcomes).toEqual(calls.map(() => "answer"));
  expect(calls.map(({ key }) => stages.executions(key).length)).toEqual(calls.map(() => 1));
});
