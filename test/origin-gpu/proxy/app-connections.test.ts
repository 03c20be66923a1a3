/** Requests over connections that an app ends: which of them go out again. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import { RequestBody } from "../../../origin-gpu/calls/request-body.ts";
import { AppConnections } from "../../../origin-gpu/proxy/app-connections.ts";

let server: Server;
let connections: AppConnections;
/** Targets of the requests that the app began to work on, in their order. */
let begun: string[];
let bodies: Buffer[];
/** How the app ends a connection in the middle of its work. */
let end: (socket: Socket) => void;
/** Of the app's responses. */
let headersOfApp: Record<string, string>;
let drainAsked: number;
let uses: number[];
let headersOfResponse: readonly string[];

beforeEach(async () => {
  begun = [];
  headersOfApp = {};
  drainAsked = 0;
  uses = [];
  bodies = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    begun.push(`${request.method} ${request.url}`);
    bodies.push(await buffer(request));
    if (request.url === "/dies" && begun.filter((one) => one.endsWith("/dies")).length === 1) {
      end(request.socket);
    } else response.writeHead(200, headersOfApp).end("done");
  };
  server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  connections = new AppConnections(
    { origin: `http://127.0.0.1:${port}` },
    { onDrainAsked: () => (drainAsked += 1), onUse: (use) => void uses.push(use) },
  );
});
afterEach(async () => {
  await connections.close();
  server.closeAllConnections();
  server.close();
});

interface CallTraits {
  readonly key?: string;
  readonly isDurable?: boolean;
}

/** A connection broke: what the endpoint does. */
type OnBroke = (again: () => void, fail: () => void) => void;

/** Sends a call to the app; resolves with its status or the code of its failure. */
async function send(
  method: string,
  target: string,
  traits: CallTraits = {},
  broke?: OnBroke,
  refused?: () => Promise<void>,
) {
  const { promise, resolve } = Promise.withResolvers<number | string>();
  let status = 0;
  const { key, isDurable = false } = traits;
  const body = new RequestBody(undefined, new Uint8Array(method === "POST" ? 12_000 : 0), true);
  const call = {
    head: { method, target, headers: ["host", "app"], ...(key !== undefined && { key }) },
    isDurable,
    body,
    start: () => undefined,
    withdraw: () => undefined,
    append: () => undefined,
    respond: (head: { status: number; headers: readonly string[] }) => {
      status = head.status;
      headersOfResponse = head.headers;
    },
    complete: () => resolve(status),
    fail: ({ code }: { code: string }) => resolve(code),
  };
  const proxied = {
    call: call as unknown as Call,
    waited: { queue: 0, start: 0 },
    limits: { timeoutMs: 10_000, maxDurationMs: 10_000 },
  };
  const again = (): void => connections.send(proxied);
  connections.send(
    proxied,
    refused,
    broke && (async (fail) => await Promise.resolve().then(() => broke(again, fail))),
  );
  return await promise;
}

const reset = (socket: Socket): void => void socket.resetAndDestroy();
const close = (socket: Socket): void => void socket.destroy();

test.each([
  ["a keyed POST whose connection is reset", reset, "POST", { key: "k" }],
  ["a keyed GET whose connection is reset", reset, "GET", { key: "k" }],
  ["a keyed GET whose connection is closed", close, "GET", { key: "k" }],
  ["a durable GET whose connection is closed", close, "GET", { isDurable: true }],
  ["a POST whose connection is reset", reset, "POST", {}],
  ["a POST whose connection is closed", close, "POST", {}],
] as const)("%s runs once: the app may have worked on it", async (_, ending, method, traits) => {
  end = ending;
  expect(await send("GET", "/warm")).toBe(200);
  expect(await send(method, "/dies", traits)).toBe("origin_error");
  expect(begun).toEqual(["GET /warm", `${method} /dies`]);
});

test("a GET without a key goes out again when its kept connection ends", async () => {
  end = close;
  expect(await send("GET", "/warm")).toBe(200);
  expect(await send("GET", "/dies")).toBe(200);
  expect(begun).toEqual(["GET /warm", "GET /dies", "GET /dies"]);
});

test("a GET whose kept connection ends later does not: the app has died over it", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  onTestFinished(() => void vi.useRealTimers());
  end = (socket) => {
    vi.advanceTimersByTime(1_001);
    close(socket);
  };
  expect(await send("GET", "/warm")).toBe(200);
  expect(await send("GET", "/dies")).toBe("origin_error");
  expect(begun).toEqual(["GET /warm", "GET /dies"]);
});

test("a GET on a fresh connection does not: no idle connection was closed", async () => {
  end = close;
  expect(await send("GET", "/dies")).toBe("origin_error");
  expect(begun).toEqual(["GET /dies"]);
});

test.each([
  ["is reset", reset],
  ["is closed", close],
] as const)("a POST whose connection %s can be run again with its body", async (_, ending) => {
  end = ending;
  expect(await send("POST", "/dies", {}, (again) => again())).toBe(200);
  expect(begun).toEqual(["POST /dies", "POST /dies"]);
  expect(bodies.map((body) => body.length)).toEqual([12_000, 12_000]);
});

test("a call that is not run again fails as if nobody had been asked", async () => {
  end = reset;
  expect(await send("POST", "/dies", {}, (_again, fail) => fail())).toBe("origin_error");
});

test("nobody is asked once a byte of the response is there", async () => {
  end = (socket) => socket.end("HTTP/1.1 200 OK\r\n");
  const refuse = (): never => {
    throw new Error("asked");
  };
  expect(await send("POST", "/dies", {}, refuse)).toBe("origin_error");
});

test.each(["close", "closeWhenIdle"] as const)(
  "after %s the app has seen nothing of a call: its endpoint is asked",
  async (closing) => {
    await connections[closing]();
    const refused = Promise.withResolvers<"refused">();
    const outcome = send("POST", "/", {}, undefined, async () => {
      refused.resolve("refused");
      await refused.promise;
    });
    expect(await Promise.race([refused.promise, outcome])).toBe("refused");
  },
);

test("connections may be closed in any order, any number of times", async () => {
  expect(await send("GET", "/warm")).toBe(200);
  await connections.closeWhenIdle();
  await connections.closeWhenIdle();
  await connections.close();
  await connections.closeWhenIdle();
  await connections.close();
});

test.each([
  ["Postern-Container", "drain", 1],
  ["postern-container", " Drain", 1],
  ["postern-container", "stay", 0],
  ["x-postern-container", "drain", 0],
])(
  "%s: %s in a response asks %i times for a drain, and no client sees it",
  async (name, value, times) => {
    headersOfApp = { [name]: value, "x-kept": "1" };
    expect(await send("GET", "/")).toBe(200);
    expect(drainAsked).toBe(times);
    expect(headersOfResponse).toContain("x-kept");
    expect(headersOfResponse).not.toContain("postern-container");
  },
);

test("the answer of a batch may ask for a drain and report a load, too", async () => {
  headersOfApp = {
    "postern-container": "drain",
    "endpoint-load-metrics": "TEXT cpu_utilization=0.25",
  };
  const request = { path: "/", headers: ["host", "app"], body: "[1]", hostHeader: undefined };
  const options = { signal: new AbortController().signal, maxBytes: 100, refuse: () => undefined };
  expect(await connections.ask(request, options)).toMatchObject({ status: 200 });
  expect([drainAsked, uses]).toEqual([1, [0.25]]);
  // Also one that is refused at its head, such as a stream.
  expect(await connections.ask(request, { ...options, refuse: () => "no" })).toHaveProperty(
    "error",
  );
  expect(drainAsked).toBe(2);
});

test.each([
  ["TEXT cpu_utilization=0.25", [0.25]],
  ['JSON {"named_metrics":{"num_requests_waiting":2}}', [1]],
  ["TEXT mem_utilization=0.9", []],
])("a load report in a response's head is read, and passed on: %s", async (report, expected) => {
  headersOfApp = { "endpoint-load-metrics": report };
  expect(await send("GET", "/")).toBe(200);
  expect(uses).toEqual(expected);
  expect(headersOfResponse).toContain(report);
});
