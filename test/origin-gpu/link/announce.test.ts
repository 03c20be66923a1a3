/** What a link announces, over real sockets: in its first hello, in a later one, over a later connection. */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Observer } from "../../../base/observer.ts";
import type { Dial, Dialled, GatewayAddress } from "../../../origin-gpu/link/gateway-address.ts";
import { Link } from "../../../origin-gpu/link/link.ts";
import { FRAME, frame, packFrames, unpackFrames } from "../../../routing/wire/frames.ts";
import type { EndpointAnnouncement, Hello, Welcome } from "../../../routing/wire/messages.ts";

/** The gateway's end of one connection. */
class GatewayEnd {
  readonly #socket: Socket;
  readonly #hellos: Hello[] = [];
  #rest = Buffer.alloc(0);
  #heard: (() => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("error", () => undefined);
    socket.on("data", (bytes: Buffer) => this.#receive(bytes));
  }

  /** The functions of the next hello. */
  async hello(): Promise<string[]> {
    while (this.#hellos.length === 0) {
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
    return (this.#hellos.shift()?.endpoints ?? []).map((endpoint) => endpoint.function);
  }

  get unread(): number {
    return this.#hellos.length;
  }

  /** Answers with a URL that tells one welcome from another. */
  welcome(url: string): void {
    const welcome: Welcome = { version: 2, endpoints: [{ url, appToken: "" }] };
    const text = new TextEncoder().encode(JSON.stringify(welcome));
    const message = Buffer.concat(packFrames([frame(FRAME.WELCOME, 0, [text])], 0));
    this.#socket.write(Buffer.concat([Buffer.from([0x82, message.length]), message]));
  }

  cut(): void {
    this.#socket.destroy();
  }

  /** Masked by zeros, as on the way to a gateway of the same machine. */
  #receive(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= 8) {
      const short = (this.#rest[1] ?? 0) & 0x7f;
      const start = short === 126 ? 8 : 6;
      const length = short === 126 ? this.#rest.readUInt16BE(2) : short;
      if (this.#rest.length < start + length) return;
      unpackFrames(this.#rest.subarray(start, start + length), ({ type, payload }) => {
        if (type === FRAME.HELLO) this.#hellos.push(JSON.parse(Buffer.from(payload).toString()));
      });
      this.#rest = this.#rest.subarray(start + length);
      this.#heard?.();
    }
  }
}

let server: Server;
let link: Link;
let ends: GatewayEnd[];
let dialled: PromiseWithResolvers<GatewayEnd>;
let welcomes: Welcome[];
let said: string[];

beforeEach(async () => {
  ends = [];
  said = [];
  welcomes = [];
  dialled = Promise.withResolvers();
  server = createServer((socket) => {
    const end = new GatewayEnd(socket);
    ends.push(end);
    dialled.resolve(end);
    dialled = Promise.withResolvers();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  link = new Link({
    gateway: { needsMask: false, dial } as unknown as GatewayAddress,
    number: 0,
    links: 1,
    incarnation: "a".repeat(32),
    acceptor: () => ({
      onOpen: () => Promise.reject(new Error("no stream is opened")) as never,
      onAttach: () => Promise.reject(new Error("no stream is attached")) as never,
    }),
    onWelcome: (welcome) => welcomes.push(welcome),
    observer: new Observer({
      sinks: [({ name, fields }) => void (name === "notice" && said.push(String(fields["text"])))],
      now: Date.now,
    }),
    onRefused: () => undefined,
  });
});
afterEach(() => {
  vi.useRealTimers();
  link.stop();
  for (const end of ends) end.cut();
  server.close();
});

async function dial(_path: string, { reads }: Dial): Promise<Dialled> {
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("not listening");
  const socket = connect({ port: address.port, host: "127.0.0.1", onread: reads?.onread });
  reads?.belongTo(socket);
  await once(socket, "connect");
  return { kind: "open", socket, head: Buffer.alloc(0) };
}

function endpoint(name: string): EndpointAnnouncement {
  const identity = { workspace: "w", environment: "main", app: "a", function: name };
  return { ...identity, endpoint: `main/a/${name}`, settings: { timeout: 1, resultTtl: 1 } };
}

const urlIn = ({ endpoints }: Welcome) => endpoints.map((answer) => "url" in answer && answer.url);

test("a later announcement is made on the same connection, and answered apart from the first", async () => {
  const first = link.announce([endpoint("one")]);
  const connection = dialled.promise;
  link.start();
  const gateway = await connection;
  expect(await gateway.hello()).toEqual(["one"]);
  gateway.welcome("u1");
  expect(urlIn(await first)).toEqual(["u1"]);
  const second = link.announce([endpoint("one"), endpoint("two")]);
  expect(await gateway.hello()).toEqual(["one", "two"]);
  gateway.welcome("u2");
  expect(urlIn(await second)).toEqual(["u2"]);
  expect(ends).toHaveLength(1);
});

test("an announcement that overtakes an answer waits for it, and is not taken for answered by it", async () => {
  void link.announce([endpoint("one")]);
  const connection = dialled.promise;
  link.start();
  const gateway = await connection;
  expect(await gateway.hello()).toEqual(["one"]);
  const second = link.announce([endpoint("two")]);
  expect(gateway.unread).toBe(0);
  gateway.welcome("u1");
  expect(await gateway.hello()).toEqual(["two"]);
  gateway.welcome("u2");
  expect(urlIn(await second)).toEqual(["u2"]);
  expect(welcomes.map(urlIn)).toEqual([["u2"]]);
});

test("an announcement whose answer is lost with its connection is made again over the next one", async () => {
  const announced = link.announce([endpoint("one")]);
  const connection = dialled.promise;
  link.start();
  const gateway = await connection;
  expect(await gateway.hello()).toEqual(["one"]);
  const again = dialled.promise;
  gateway.cut();
  const next = await again;
  expect(await next.hello()).toEqual(["one"]);
  next.welcome("u1");
  expect(urlIn(await announced)).toEqual(["u1"]);
});

test("a link that is back says so, once", async () => {
  void link.announce([]);
  const connection = dialled.promise;
  link.start();
  const gateway = await connection;
  await gateway.hello();
  gateway.welcome("u1");
  await vi.waitFor(() => expect(welcomes).toHaveLength(1));
  const again = dialled.promise;
  gateway.cut();
  const next = await again;
  await next.hello();
  next.welcome("u1");
  await vi.waitFor(() => expect(welcomes).toHaveLength(2));
  expect(said).toEqual([
    expect.stringMatching(/^the link to the gateway is lost \(.+\); dialling again$/),
    expect.stringMatching(/^the link to the gateway is back after \d+ s$/),
  ]);
});

test("each loss is told with its own duration, however soon it follows another one", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  void link.announce([]);
  let connection = dialled.promise;
  link.start();
  let gateway = await connection;
  await gateway.hello();
  gateway.welcome("u1");
  await vi.waitFor(() => expect(welcomes).toHaveLength(1));
  vi.setSystemTime(Date.now() + 60_000);
  for (const awayS of [3, 2, 4]) {
    const told = said.length;
    connection = dialled.promise;
    gateway.cut();
    await vi.waitFor(() => expect(said).toHaveLength(told + 1));
    vi.setSystemTime(Date.now() + 1_000 * awayS);
    gateway = await connection;
    await gateway.hello();
    gateway.welcome("u1");
    await vi.waitFor(() => expect(said).toHaveLength(told + 2));
  }
  expect(said.filter((_, index) => index % 2 === 1)).toEqual([
    "the link to the gateway is back after 3 s",
    "the link to the gateway is back after 2 s",
    "the link to the gateway is back after 4 s",
  ]);
});

test("a gateway that answers keepalive and no hello is dialled again", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  void link.announce([]);
  const connection = dialled.promise;
  link.start();
  await (await connection).hello();
  const again = dialled.promise;
  vi.advanceTimersByTime(14_000);
  expect(said).toEqual([]);
  // The time of the welcome, and then that of the next try.
  vi.advanceTimersByTime(1_000);
  vi.advanceTimersByTime(15_000);
  await (await again).hello();
  expect(said).toEqual(["the link to the gateway is lost (no welcome came); dialling again"]);
});
