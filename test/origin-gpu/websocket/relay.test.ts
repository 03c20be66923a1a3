import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";

import { applyMask, FrameReader, OPCODE } from "../../../origin-gpu/websocket/frames.ts";
import { relay, type RelayEnd, type RelayOptions } from "../../../origin-gpu/websocket/relay.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { closePayload, maskedFrame, unmaskedFrame } from "../../support/websocket-frames.ts";

const LIMIT = 100_000;

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const undo of cleanUp.splice(0)) undo();
});

/** A server's end of a WebSocket: the gateway's or the app's. */
class Far {
  readonly socket: Socket;
  readonly frames: string[] = [];
  /** How the connection ended from here: FIN, reset, or closed by ourselves. */
  ended: "end" | "reset" | undefined;
  readonly #changed = new Set<() => void>();

  constructor(socket: Socket) {
    this.socket = socket;
    const reader = new FrameReader();
    let frame = {
      opcode: 0,
      key: Buffer.alloc(4) as Uint8Array,
      payload: Buffer.alloc(0),
      left: 0,
    };
    const whole = (): void => {
      const { opcode, payload } = frame;
      const shown =
        payload.length > 200
          ? `${payload.length} bytes`
          : opcode === OPCODE.close && payload.length >= 2
            ? `${payload.readUInt16BE()} ${payload.toString("utf8", 2)}`
            : payload.toString();
      this.frames.push(`${opcode}: ${shown}`);
    };
    socket.on("data", (chunk: Buffer) => {
      reader.read(chunk, {
        onHead: (head) => {
          const key = head.maskingKey;
          if (key === undefined) throw new Error("a client must mask");
          frame = { opcode: head.opcode, key, payload: Buffer.alloc(0), left: head.length };
          if (head.length === 0) whole();
        },
        onPayload: (bytes) => {
          applyMask(bytes, frame.key, frame.payload.length);
          frame.payload = Buffer.concat([frame.payload, bytes]);
          frame.left -= bytes.length;
          if (frame.left === 0) whole();
        },
      });
      this.#notify();
    });
    socket.once("end", () => {
      this.ended ??= "end";
      this.#notify();
    });
    socket.on("error", () => {
      this.ended ??= "reset";
      this.#notify();
    });
  }

  send(opcode: number, payload: string | Uint8Array = ""): void {
    this.socket.write(unmaskedFrame({ opcode, payload }));
  }

  close(code: number, reason: string): void {
    this.send(OPCODE.close, closePayload(code, reason));
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        const changed = (): void => {
          this.#changed.delete(changed);
          resolve();
        };
        this.#changed.add(changed);
      });
    }
  }

  async untilFrames(count: number): Promise<string[]> {
    await this.until(() => this.frames.length >= count);
    return this.frames;
  }

  async untilEnded(): Promise<string | undefined> {
    await this.until(() => this.ended !== undefined);
    return this.ended;
  }

  #notify(): void {
    for (const changed of this.#changed) changed();
  }
}

/** A connected pair: what a handshake would give, and the far end of it. */
async function pair(path?: string): Promise<{ near: Socket; far: Far }> {
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true });
  if (path === undefined) server.listen(0, "127.0.0.1");
  else server.listen(path);
  await once(server, "listening");
  const address = server.address();
  const near =
    typeof address === "string"
      ? connect({ path: address, allowHalfOpen: true })
      : connect({ port: address?.port ?? 0, host: "127.0.0.1", allowHalfOpen: true });
  near.on("error", () => undefined);
  const [[far]] = (await Promise.all([once(server, "connection"), once(near, "connect")])) as [
    [Socket],
    unknown,
  ];
  server.close();
  cleanUp.push(() => {
    near.destroy();
    far.destroy();
  });
  return { near, far: new Far(far) };
}

async function start(options: Partial<RelayOptions> = {}, heads: { app?: Uint8Array } = {}) {
  const [gateway, app] = await Promise.all([pair(), pair()]);
  const end = (near: Socket, head: Uint8Array = new Uint8Array(0)): RelayEnd => ({
    socket: near,
    head,
  });
  const relayed = relay({
    gateway: end(gateway.near),
    app: end(app.near, heads.app),
    maxMessageBytes: LIMIT,
    ...options,
  });
  return {
    relayed,
    gateway: gateway.far,
    app: app.far,
    near: { gateway: gateway.near, app: app.near },
  };
}

test("messages pass both ways, masked and in order", async () => {
  const { gateway, app } = await start();
  for (let number = 0; number < 50; number += 1) {
    gateway.send(OPCODE.text, `to the app ${number}`);
    app.send(OPCODE.binary, `to the client ${number}`);
  }
  const expected = (kind: number, words: string) =>
    Array.from({ length: 50 }, (_, number) => `${kind}: ${words} ${number}`);
  expect(await app.untilFrames(50)).toEqual(expected(1, "to the app"));
  expect(await gateway.untilFrames(50)).toEqual(expected(2, "to the client"));
});

test("what came right behind the app's 101 is relayed first", async () => {
  const first = unmaskedFrame({ opcode: OPCODE.text, payload: "first" });
  const { gateway, app } = await start({}, { app: first });
  app.send(OPCODE.text, "second");
  expect(await gateway.untilFrames(2)).toEqual(["1: first", "1: second"]);
});

test("a random mask makes the same messages", async () => {
  const [gateway, app] = await Promise.all([pair(), pair()]);
  relay({
    maxMessageBytes: LIMIT,
    gateway: { socket: gateway.near, head: new Uint8Array(0), randomMask: true },
    app: { socket: app.near, head: new Uint8Array(0), randomMask: true },
  });
  gateway.far.send(OPCODE.binary, Buffer.alloc(100_000, 7));
  gateway.far.send(OPCODE.text, "hello");
  expect(await app.far.untilFrames(2)).toEqual(["2: 100000 bytes", "1: hello"]);
});

test("a close by the client and one by the app pass with code and reason, and so does the answer", async () => {
  for (const [first, second, by] of [
    ["gateway", "app", "client"],
    ["app", "gateway", "app"],
  ] as const) {
    const ends = await start();
    ends[first].send(OPCODE.text, "12345");
    ends[first].close(4001, "going home");
    expect(await ends[second].untilFrames(2)).toEqual(["1: 12345", "8: 4001 going home"]);
    ends[second].close(4001, "farewell");
    expect(await ends[first].untilFrames(1)).toEqual(["8: 4001 farewell"]);
    ends.gateway.socket.end();
    ends.app.socket.end();
    const { bytesToApp, bytesToClient, ...summary } = await ends.relayed.closed;
    expect(summary).toEqual({ by, code: 4001, reason: "going home" });
    expect(bytesToApp + bytesToClient).toBe(5);
    expect([await ends.gateway.untilEnded(), await ends.app.untilEnded()]).toEqual(["end", "end"]);
  }
});

test("a server that ends its connection right behind its Close frame still gets the answer", async () => {
  const { relayed, gateway, app } = await start();
  app.close(1000, "done");
  app.socket.end();
  await gateway.untilFrames(1);
  gateway.close(1000, "done");
  expect(await app.untilFrames(1)).toEqual(["8: 1000 done"]);
  gateway.socket.end();
  expect(await relayed.closed).toMatchObject({ by: "app", code: 1000 });
});

test("an app that ends without a Close frame fails the client's socket behind its last message", async () => {
  const { relayed, gateway, app } = await start();
  app.send(OPCODE.text, "last words");
  app.socket.end();
  expect(await gateway.untilEnded()).toBe("end");
  expect(gateway.frames).toEqual(["1: last words", "15: "]);
  gateway.socket.end();
  expect(await app.untilEnded()).toBe("end");
  expect(await relayed.closed).toMatchObject({ by: "app", code: 1006, bytesToClient: 10 });
});

test("an app that ends inside a frame has the client's socket reset", async () => {
  const { relayed, gateway, app } = await start();
  app.socket.end(unmaskedFrame({ opcode: OPCODE.text, payload: "last words" }).subarray(0, 6));
  expect(await gateway.untilEnded()).toBe("reset");
  expect(gateway.frames).toEqual([]);
  expect(await relayed.closed).toMatchObject({ by: "app", code: 1006 });
});

test("an app that resets fails the client's socket", async () => {
  const { relayed, gateway, app } = await start();
  app.send(OPCODE.text, "received");
  await gateway.untilFrames(1);
  app.socket.resetAndDestroy();
  expect(await gateway.untilEnded()).toBe("end");
  expect(gateway.frames).toEqual(["1: received", "15: "]);
  gateway.socket.end();
  expect(await relayed.closed).toMatchObject({ by: "app", code: 1006 });
});

test("a gateway's socket that ends without a Close frame ends the app's, and a reset resets it", async () => {
  const fin = await start();
  fin.gateway.send(OPCODE.text, "last words");
  fin.gateway.socket.end();
  expect(await fin.app.untilEnded()).toBe("end");
  expect(fin.app.frames).toEqual(["1: last words"]);
  fin.app.socket.end();
  expect(await fin.relayed.closed).toMatchObject({ by: "client", code: 1006 });
  const reset = await start();
  reset.gateway.socket.resetAndDestroy();
  expect(await reset.app.untilEnded()).toBe("reset");
  expect(await reset.relayed.closed).toMatchObject({ by: "client", code: 1006 });
});

test.each(["gateway", "app"] as const)(
  "a message that is too large from the %s closes both with 1009",
  async (from) => {
    const { relayed, gateway, app } = await start();
    const far = { gateway, app };
    far[from].send(OPCODE.binary, Buffer.alloc(LIMIT));
    far[from].send(OPCODE.binary, Buffer.alloc(LIMIT + 1));
    const name = from === "app" ? "app" : "client";
    const closed = `8: 1009 a message of the ${name} has more than ${LIMIT} bytes, its websocket_max_message`;
    const [other, own] = from === "app" ? [gateway, app] : [app, gateway];
    expect(await other.untilFrames(2)).toEqual([`2: ${LIMIT} bytes`, closed]);
    expect(await own.untilFrames(1)).toEqual([closed]);
    for (const end of [gateway, app]) end.socket.end();
    expect(await relayed.closed).toMatchObject({ by: "agent", code: 1009 });
  },
);

test("an app that masks its frames hears 1002, and its client sees a broken connection", async () => {
  const { relayed, gateway, app } = await start();
  app.send(OPCODE.text, "fine");
  app.socket.write(maskedFrame({ opcode: OPCODE.text, payload: "masked" }));
  expect(await app.untilFrames(1)).toEqual(["8: 1002 a server masked a frame"]);
  expect(await gateway.untilFrames(2)).toEqual(["1: fine", "15: "]);
  for (const end of [gateway, app]) end.socket.end();
  expect(await relayed.closed).toMatchObject({ by: "agent", code: 1002 });
});

test("the agent's own close reaches both ends", async () => {
  const { relayed, gateway, app } = await start();
  relayed.close(1001, "the container stops");
  expect(await gateway.untilFrames(1)).toEqual(["8: 1001 the container stops"]);
  expect(await app.untilFrames(1)).toEqual(["8: 1001 the container stops"]);
  for (const end of [gateway, app]) end.socket.end();
  expect(await relayed.closed).toMatchObject({ by: "agent", code: 1001 });
});

test("peers that never answer a Close frame are cut when the time is up", async () => {
  const { relayed, gateway, app } = await start({ closeTimeoutMs: 50 });
  relayed.close(1001, "");
  expect(await relayed.closed).toMatchObject({ by: "agent", code: 1001 });
  expect([await gateway.untilEnded(), await app.untilEnded()]).toEqual(["reset", "reset"]);
});

test.each(["gateway", "app"] as const)(
  "one end that does not read holds the other back: %s",
  async (slow) => {
    const { gateway, app, near } = await start({ maxMessageBytes: Number.MAX_SAFE_INTEGER });
    const [reader, writer] = slow === "app" ? [app, gateway] : [gateway, app];
    const from = slow === "app" ? near.gateway : near.app;
    reader.socket.pause();
    const message = Buffer.alloc(64 * 1024, 7);
    const total = 32 * 1024 * 1024;
    for (let sent = 0; sent < total; sent += message.length) writer.send(OPCODE.binary, message);
    await once(from, "pause");
    const held = from.bytesRead;
    expect(held).toBeLessThan(total / 2);
    reader.socket.resume();
    expect(await reader.untilFrames(total / message.length)).toHaveLength(total / message.length);
  },
);

test("an end that was gone before the relay began ends the other", async () => {
  const [gateway, app] = await Promise.all([pair(), pair()]);
  app.far.socket.resetAndDestroy();
  await new Promise((resolve) => app.near.once("close", resolve));
  const head = new Uint8Array(0);
  const relayed = relay({
    maxMessageBytes: LIMIT,
    gateway: { socket: gateway.near, head },
    app: { socket: app.near, head },
  });
  expect(await gateway.far.untilEnded()).toBe("end");
  gateway.far.socket.end();
  expect(await relayed.closed).toMatchObject({ by: "app", code: 1006 });
});

test("a FIN that was read before the relay began ends the other", async () => {
  const [gateway, app] = await Promise.all([pair(), pair()]);
  app.far.socket.end();
  app.near.resume();
  await once(app.near, "end");
  const head = unmaskedFrame({ opcode: OPCODE.text, payload: "last words" });
  relay({
    maxMessageBytes: LIMIT,
    gateway: { socket: gateway.near, head: new Uint8Array(0) },
    app: { socket: app.near, head },
  });
  expect(await gateway.far.untilEnded()).toBe("end");
  expect(gateway.far.frames).toEqual(["1: last words", "15: "]);
});

test("an app on a Unix socket is relayed and cut like any other", async () => {
  const [gateway, app] = await Promise.all([pair(), pair(join(temporaryDirectory(), "app.sock"))]);
  const head = new Uint8Array(0);
  const relayed = relay({
    maxMessageBytes: LIMIT,
    gateway: { socket: gateway.near, head },
    app: { socket: app.near, head },
  });
  gateway.far.send(OPCODE.text, "hello");
  expect(await app.far.untilFrames(1)).toEqual(["1: hello"]);
  gateway.far.socket.resetAndDestroy();
  expect(await app.far.untilEnded()).toBe("end");
  expect(await relayed.closed).toMatchObject({ by: "client", code: 1006 });
});
