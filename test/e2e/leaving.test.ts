/** A client that has gone must not keep a GPU busy: the app's own disconnect event comes within 1 s. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { ARE_ALL_REQUESTS } from "../support/e2e-way.ts";
import { type CuttableProxy, startCuttableProxy } from "../support/cuttable-proxy.ts";
import { APPS, type Gateway, startGateway, startServe } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { RawConnection } from "../support/raw-http.ts";
import { ensureVenv } from "../support/venv.ts";

/** It is a second, and another one where the machine does other things. */
const NOTICED_WITHIN_MS = 2_000;

/** Without a client a call ends after 30 s in any case. */
const LINK_BACK_WITHIN_MS = 15_000;

const LEAVE = {
  FIN: (connection: RawConnection) => connection.finish(),
  RST: (connection: RawConnection) => connection.reset(),
};

let gateway: Gateway;

/** Where the app answers. */
function address(): Address {
  return gateway.address("web", "-dev");
}

/** How many links the gateway has seen end. */
function lostLinks(): number {
  return gateway.process.stderr.match(/"link\.state","workspace".*"to":"closed"/g)?.length ?? 0;
}

/** How long after the client left the app heard of it; fails when it never did. */
async function noticedAfterMs(
  path: string,
  leave: (connection: RawConnection) => void | Promise<void>,
  body?: string,
): Promise<number> {
  const key = randomUUID();
  const { port, host } = address();
  const connection = await RawConnection.connect(port);
  const method = body === undefined ? "GET" : "POST";
  const rest = body === undefined ? "" : `Content-Length: ${body.length}\r\n`;
  connection.send(`${method} ${path}?${key} HTTP/1.1\r\nHost: ${host}\r\n${rest}\r\n${body ?? ""}`);
  expect((await send(address(), `/arrivals/${key}`)).json()).toEqual({ started: true });
  const leftAtMs = Date.now();
  await leave(connection);
  const departure = (await send(address(), `/departures/${key}`)).json();
  connection.socket.destroy();
  expect(departure).toMatchObject({ left: true });
  return (departure as { at_ms: number }).at_ms - leftAtMs;
}

describe.each([
  ["calls pass by memory", false, "auto"],
  ["calls pass by requests", true, "auto"],
  ["the TCP front stands before workerd", false, "always"],
])("where %s,", (_way, manyIsolates, front) => {
  let agent: ManagedProcess;
  let proxy: CuttableProxy;
  beforeAll(async () => {
    gateway = await startGateway({
      isFaulty: true,
      manyIsolates,
      flags: ["--log", "json", "--front", front],
    });
    const app = { asgi: "fastapi_app:app", directory: APPS, python: await ensureVenv() };
    proxy = await startCuttableProxy(gateway.port);
    agent = await startServe(gateway, [{ function: "web", ...app, max_inputs: 100 }], proxy.port);
    await send(address(), "/json", { timeoutMs: 60_000 });
  });
  afterAll(async () => {
    await agent.stop();
    await proxy.close();
    await gateway.stop();
  });

  test.each([
    ["before the headers", "FIN", "/silent/headers"],
    ["before the headers", "RST", "/silent/headers"],
    ["in a silent stream", "FIN", "/silent/stream"],
    ["in a silent stream", "RST", "/silent/stream"],
  ] as const)(
    "a client that leaves %s by %s is noticed by the app at once",
    async (_when, how, path) => {
      expect(await noticedAfterMs(path, LEAVE[how])).toBeLessThan(NOTICED_WITHIN_MS);
      expect(await noticedAfterMs(path, LEAVE[how], "body")).toBeLessThan(NOTICED_WITHIN_MS);
    },
  );

  test.each(["FIN", "RST"] as const)(
    "the log says of a client that left by %s before the headers that it did",
    async (how) => {
      const { port, host } = address();
      const connection = await RawConnection.connect(port);
      const id = randomUUID();
      connection.send(
        `GET /silent/headers?${id} HTTP/1.1\r\nHost: ${host}\r\nX-Request-Id: ${id}\r\n\r\n`,
      );
      expect((await send(address(), `/arrivals/${id}`)).json()).toEqual({ started: true });
      LEAVE[how](connection);
      const pattern = new RegExp(`.*"status":499.*"request_id":"${id}".*`);
      const [line] = await gateway.process.waitForErrorOutput(pattern);
      expect(JSON.parse(line)).toMatchObject({ path: "/silent/headers", code: "client_closed" });
    },
  );

  test("a second request on a connection is let go as fast as a first", async () => {
    const { port, host } = address();
    const connection = await RawConnection.connect(port);
    connection.send(`GET /json HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    await connection.response();
    const key = randomUUID();
    connection.send(`GET /silent/headers?${key} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect((await send(address(), `/arrivals/${key}`)).json()).toEqual({ started: true });
    const leftAtMs = Date.now();
    connection.finish();
    const departure = (await send(address(), `/departures/${key}`)).json();
    connection.socket.destroy();
    expect(departure).toMatchObject({ left: true });
    expect((departure as { at_ms: number }).at_ms - leftAtMs).toBeLessThan(NOTICED_WITHIN_MS);
  });

  test("a client that closes its sending side at once still gets its answer", async () => {
    const { port, host } = address();
    const connection = await RawConnection.connect(port);
    connection.send(`GET /json HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    connection.finish();
    expect(await connection.response()).toMatchObject({ status: 200, ending: "complete" });
  });

  // In many isolates a client's Worker alone attaches again, and ends with its client: the agent waits DETACHED_MS.
  const away =
    manyIsolates || ARE_ALL_REQUESTS
      ? []
      : [
          ["before the headers", "/silent/headers"],
          ["in a silent stream", "/silent/stream"],
        ];
  test.each(away)(
    "a client that leaves %s while the link is cut is let go when it is back",
    async (_, path) => {
      const takesMs = await noticedAfterMs(path, async (connection) => {
        const losses = lostLinks();
        proxy.refuse(() => true);
        expect(proxy.cut()).toBeGreaterThan(0);
        await expect.poll(lostLinks).toBeGreaterThan(losses);
        connection.reset();
        connection.socket.once("close", () => proxy.refuse());
      });
      expect(takesMs).toBeLessThan(LINK_BACK_WITHIN_MS);
    },
  );

  test("fifty clients that leave together are all noticed", async () => {
    const times = await Promise.all(
      Array.from(
        { length: 50 },
        async (_, index) =>
          await noticedAfterMs("/silent/stream", index % 2 === 0 ? LEAVE.FIN : LEAVE.RST),
      ),
    );
    expect(Math.max(...times)).toBeLessThan(2 * NOTICED_WITHIN_MS);
  });
});
