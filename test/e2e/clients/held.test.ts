/**
 * Silence of more than five minutes, after which many servers, clients and proxies give an exchange up: an answer is held
 * that long, and a stream may pause that long, on the way by Caddy, the front, workerd and the agent.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, test } from "vitest";

import { type Gateway, startUp, upstream } from "../../support/harness.ts";
import { open, readAll } from "../../support/http-client.ts";
import { type NameServer, startNameServer } from "../../support/name-server.ts";
import { type Pebble, startPebble } from "../../support/pebble.ts";
import { freePort } from "../../support/temporary.ts";

const SILENT_MS = 310_000;
const TIMEOUT_S = 400;
const BASE = "gw.test";
const VALIDITY_S = 3_600;

let names: NameServer;
let pebble: Pebble;
let app: Server;
let postern: Gateway;
let httpsPort: number;
beforeAll(async () => {
  app = createServer((incoming, response) => {
    if (incoming.url === "/stream") response.write("one ");
    void delay(SILENT_MS).then(() => response.end("answer"));
  });
  await new Promise<void>((resolve) => {
    app.listen(0, "127.0.0.1", resolve);
  });
  const httpPort = await freePort();
  httpsPort = await freePort();
  names = await startNameServer([BASE, `*.${BASE}`]);
  const { address: nameServer } = names;
  pebble = await startPebble({ httpPort, httpsPort, nameServer, validityS: VALIDITY_S });
  const { port } = app.address() as AddressInfo;
  const tls = ["--tls", "--host", "127.0.0.1", "--http-port", String(httpPort)];
  const acme = ["--acme-ca", pebble.url, "--acme-ca-root", pebble.rootFile];
  postern = await startUp([upstream(port, { timeout: TIMEOUT_S, request_timeout: false })], {
    domain: `${BASE}:${httpsPort}`,
    flags: [...tls, ...acme, "--front", "always"],
  });
});
afterAll(async () => {
  await postern.stop();
  app.closeAllConnections();
  app.close();
  await pebble.stop();
  await names.stop();
});

/** By the gateway's own port, where the front stands. */
async function askFront(path: string): Promise<IncomingMessage> {
  return await open(postern.address(), path, { timeoutMs: TIMEOUT_S * 1_000 });
}

/** By Caddy, which asks at the front. */
async function askCaddy(path: string): Promise<IncomingMessage> {
  const { host } = postern.address();
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request({
    host: "127.0.0.1",
    port: httpsPort,
    servername: host.replace(/:\d+$/, ""),
    ca: pebble.issuedRoot,
    agent: false,
    path,
    headers: { host },
  })
    .on("response", resolve)
    .on("error", reject)
    .end();
  return await promise;
}

test.concurrent.for(
  [
    { what: "an answer", path: "/answer", text: "answer" },
    { what: "the rest of a stream", path: "/stream", text: "one answer" },
  ].flatMap((exchange) => [
    { ...exchange, way: "the front", ask: askFront },
    { ...exchange, way: "Caddy and the front", ask: askCaddy },
  ]),
)(
  "$what that comes after 310 s arrives by $way",
  { timeout: TIMEOUT_S * 1_000 },
  async ({ path, text, ask }, { expect }) => {
    const startedAt = performance.now();
    const response = await ask(path);
    expect(response.statusCode).toBe(200);
    expect((await readAll(response)).toString()).toBe(text);
    expect(performance.now() - startedAt).toBeGreaterThan(SILENT_MS);
  },
);
