/**
 * HTTPS by `postern gateway --tls`: the real Caddy in front, certificates on demand by Pebble, and domains that BIND
 * proves over HTTPS. Everything is on loopback.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { writeFileSync } from "node:fs";
import { createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { connect, type PeerCertificate, type TLSSocket } from "node:tls";
import { stringify } from "smol-toml";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { WebSocketServer } from "ws";

import type { ApiDomain } from "../../api/domains.ts";
import { OPCODE } from "../../origin-gpu/websocket/frames.ts";
import { startCommand, upstream, WORKSPACE } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { type NameServer, startNameServer } from "../support/name-server.ts";
import { type Pebble, startPebble } from "../support/pebble.ts";
import { commandLine, type ManagedProcess, processTree } from "../support/processes.ts";
import { headerValues } from "../support/raw-http.ts";
import { freePort, temporaryDirectory } from "../support/temporary.ts";
import { ClientSocket } from "../support/websocket-client.ts";
import { maskedFrame } from "../support/websocket-frames.ts";

const BASE = "gw.test";
const APEX = "example.test";
const LAPSING = "lapsing.test";
const WILDCARD = "*.shop.test";
const EXACT = "api.shop.test";

/** Caddy renews in the last third. */
const VALIDITY_S = 15;

const SLOW = { timeout: 60_000 };

/** Longer than each limit on a silent connection that Caddy and workerd have. */
const HELD_MS = 20_000;

const directory = temporaryDirectory();
const stateDirectory = join(temporaryDirectory(), "state");
const proofs = new Map<string, string[]>();

let names: NameServer;
let pebble: Pebble;
let app: Server;
let gateway: ManagedProcess;
let box: ManagedProcess;
let httpsPort: number;
let httpPort: number;

/** What the app does at each path; a test replaces them. */
const paths = new Map<string, (request: IncomingMessage, response: ServerResponse) => void>();

async function startApp(): Promise<number> {
  app = createServer((incoming, response) => {
    const handler = paths.get(incoming.url ?? "");
    if (handler !== undefined) return handler(incoming, response);
    const { host, "x-forwarded-for": client, "x-forwarded-proto": scheme } = incoming.headers;
    const encoding = incoming.headers["accept-encoding"];
    response.setHeader("server", "the-app");
    response.end(
      JSON.stringify({ host, client, scheme, encoding, name: incoming.headers["x-endpoint"] }),
    );
  });
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: 1_000,
    closeTimeout: 5_000,
    handleProtocols: () => "chat",
  });
  app.on("upgrade", (incoming, duplex, head) => {
    sockets.handleUpgrade(incoming, duplex, head, (socket) => {
      socket.on("message", (data: Buffer) => {
        const echo = `${incoming.headers.host}: ${String(data)}`;
        socket.send(echo, { binary: false }, () => undefined);
      });
    });
  });
  await new Promise<void>((resolve) => {
    app.listen(0, "127.0.0.1", resolve);
  });
  return (app.address() as AddressInfo).port;
}

beforeAll(async () => {
  [httpsPort, httpPort] = [await freePort(), await freePort()];
  const hosts = [BASE, APEX, LAPSING, "unproved.test"];
  names = await startNameServer([...hosts, `*.${BASE}`, WILDCARD, "*.unproved.test"]);
  pebble = await startPebble({
    httpPort,
    httpsPort,
    nameServer: names.address,
    validityS: VALIDITY_S,
  });
  const own = ["--port", "0", "--state", stateDirectory, "--dns-over-https", names.url];
  const tls = ["--tls", "--base-domain", `${BASE}:${httpsPort}`, "--http-port", String(httpPort)];
  const acme = ["--acme-ca", pebble.url, "--acme-ca-root", pebble.rootFile];
  const email = ["--acme-email", "operator@example.test"];
  gateway = startCommand([...own, ...tls, "--host", "127.0.0.1", ...acme, ...email], {
    isFaulty: true,
    // Asked about every second, and lapsed after three without a proof.
    env: { POSTERN_WORKSPACE: WORKSPACE, POSTERN_DOMAIN_TIMES: "1/3" },
  });
  await gateway.waitForOutput(new RegExp(`^https://${BASE}:${httpsPort}$`, "m"));
  box = startCommand(["origin", "--name", "gpu-1", "--state", stateDirectory]);
  await box.waitForErrorOutput(/gpu-1 is connected/);
  const port = await startApp();
  for (const domain of [APEX, LAPSING, WILDCARD]) await prove(domain);
  const endpoint = [
    upstream(port, {
      function: "apex",
      custom_domains: [APEX, LAPSING],
      request_timeout: false,
    }),
    upstream(port, { function: "wild", custom_domains: [WILDCARD] }),
    upstream(port, { function: "exact", custom_domains: [EXACT], requires_proxy_auth: true }),
  ];
  writeFileSync(join(directory, "postern.toml"), stringify({ app: "shop", endpoint }));
  await postern("deploy");
});
afterAll(async () => {
  await box.stop();
  await gateway.stop();
  app.closeAllConnections();
  app.close();
  await pebble.stop();
  await names.stop();
});

async function postern(...args: string[]): Promise<string> {
  const managed = startCommand([...args, "--state", stateDirectory], { cwd: directory });
  const { code } = await managed.exited;
  if (code !== 0) throw new Error(`${args.join(" ")}: ${managed.stderr}`);
  return managed.stdout;
}

/** Adds a domain, sets its record in DNS, and has it verified. */
async function prove(domain: string): Promise<void> {
  const { records } = JSON.parse(await postern("domain", "add", domain, "--json")) as ApiDomain;
  for (const { name, value, purpose } of records)
    if (purpose === "proof") proofs.set(name, [value]);
  await names.setTexts(proofs);
  await postern("domain", "verify", domain);
}

/** How this client reaches a name, and whom it believes. */
function at(host: string) {
  const ca = pebble.issuedRoot;
  return { host: "127.0.0.1", port: httpsPort, servername: host, ca, agent: false } as const;
}

/** The certificate that a name is served with. Rejects where the handshake is refused or the chain is not Pebble's. */
async function certificateOf(host: string): Promise<PeerCertificate> {
  const { promise, resolve, reject } = Promise.withResolvers<PeerCertificate>();
  const socket: TLSSocket = connect(at(host), () => {
    resolve(socket.getPeerCertificate());
    socket.destroy();
  });
  socket.on("error", reject);
  return await promise;
}

async function refusalOf(host: string): Promise<string> {
  return await certificateOf(host).then(
    ({ subjectaltname }) => `served as ${String(subjectaltname)}`,
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  );
}

/** Sends a request and gives its response's head. */
async function open(
  host: string,
  path: string,
  options: { readonly headers?: Record<string, string>; readonly method?: string } = {},
  body?: AsyncIterable<Buffer>,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const headers = { ...options.headers, host: `${host}:${httpsPort}` };
  const asking = request({ ...at(host), path, ...options, headers }, resolve);
  asking.on("error", reject);
  if (body === undefined) asking.end();
  else {
    for await (const chunk of body) asking.write(chunk);
    asking.end();
  }
  return await promise;
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return text;
}

async function jsonAt(host: string, headers: Record<string, string> = {}): Promise<object> {
  return JSON.parse(await textOf(await open(host, "/", { headers }))) as object;
}

describe("a certificate is made at the first handshake", () => {
  test.each([BASE, `${WORKSPACE}--shop-apex.${BASE}`, APEX, LAPSING, "any.shop.test", EXACT])(
    "for %s, and has this name alone",
    async (host) => {
      await expect.poll(async () => await refusalOf(host), SLOW).toBe(`served as DNS:${host}`);
    },
  );

  test("and serves API, endpoints and domains, an exact name before the wildcard", async () => {
    const health = await open(BASE, "/api/v1/health");
    expect([health.statusCode, await textOf(health)]).toEqual([200, '{"status":"ok"}']);
    expect(await jsonAt(APEX)).toMatchObject({ host: `${APEX}:${httpsPort}`, scheme: "https" });
    expect(await jsonAt("any.shop.test")).toMatchObject({ host: `any.shop.test:${httpsPort}` });
    expect((await open(EXACT, "/")).statusCode).toBe(401);
  });

  test("and for no other name: the handshake is refused", async () => {
    const before = pebble.issued();
    for (const host of [
      "unproved.test",
      "a.b.shop.test",
      "shop.test",
      `nobody--x-y.${BASE}`,
      `www.${BASE}`,
      "",
    ]) {
      expect(await refusalOf(host)).toMatch(/^(?:ERR_SSL_|ECONNRESET)/);
    }
    expect(pebble.issued()).toBe(before);
  });
});

describe("between Caddy and the app", () => {
  test("the client's own address counts, and what it claims does not", async () => {
    const claims = { "x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "http" };
    const seen = await jsonAt(APEX, { ...claims, forwarded: "for=203.0.113.7" });
    expect(seen).toMatchObject({ client: "127.0.0.1", scheme: "https" });
  });

  test("the app sees what the client asks for, and the client what the app says, but for Caddy's name", async () => {
    expect(await jsonAt(APEX)).not.toHaveProperty("encoding");
    const { headersDistinct } = await open(APEX, "/");
    expect(headersDistinct["server"]).toEqual(["Caddy", "the-app"]);
    expect(headersDistinct).not.toHaveProperty("alt-svc");
  });

  test("HTTP/2 is spoken", async () => {
    const session = connectHttp2(`https://${APEX}:${httpsPort}`, {
      createConnection: () => connect({ ...at(APEX), ALPNProtocols: ["h2"] }),
    });
    const stream = session.request({ ":path": "/" });
    let text = "";
    for await (const chunk of stream) text += String(chunk);
    session.close();
    expect(JSON.parse(text)).toMatchObject({ host: `${APEX}:${httpsPort}` });
  });

  test.each([
    ["an event stream", { "content-type": "text/event-stream" }],
    ["a body of known length", { "content-length": "6" }],
  ])("%s arrives as it comes", async (_what, headers) => {
    const next = Promise.withResolvers<void>();
    paths.set("/stream", (_request, response) => {
      response.writeHead(200, headers).write("one");
      void next.promise.then(() => response.end("two"));
    });
    const response = await open(APEX, "/stream");
    const chunks = response[Symbol.asyncIterator]();
    expect(String((await chunks.next()).value)).toBe("one");
    next.resolve();
    expect(String((await chunks.next()).value)).toBe("two");
  });

  test("an upload reaches the app as it comes", async () => {
    const first = Promise.withResolvers<string>();
    paths.set("/upload", (incoming, response) => {
      incoming.once("data", (chunk: Buffer) => first.resolve(String(chunk)));
      incoming.on("data", () => undefined).on("end", () => response.end("all"));
    });
    async function* body(): AsyncGenerator<Buffer> {
      yield Buffer.from("one");
      expect(await first.promise).toBe("one");
      yield Buffer.from("two");
    }
    const response = await open(APEX, "/upload", { method: "POST" }, body());
    expect(await textOf(response)).toBe("all");
  });

  test("a client that leaves is noticed by the app", async () => {
    const left = Promise.withResolvers<string>();
    paths.set("/left", (_request, response) => {
      response.on("close", () => left.resolve("left"));
      response.writeHead(200, { "content-type": "text/event-stream" }).write(": hello\n\n");
    });
    const response = await open(APEX, "/left");
    response.destroy();
    expect(await left.promise).toBe("left");
  });

  test("one that leaves before the response is noticed too", async () => {
    const [came, left] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
    paths.set("/silent", (_request, response) => {
      response.on("close", () => left.resolve("left"));
      came.resolve("came");
    });
    const headers = { host: `${APEX}:${httpsPort}` };
    const asking = request({ ...at(APEX), path: "/silent", headers });
    asking.on("error", () => undefined).end();
    expect(await came.promise).toBe("came");
    asking.destroy();
    expect(await left.promise).toBe("left");
  });

  test("a WebSocket passes at a name below a wildcard", async () => {
    const host = "socket.shop.test";
    const tunnel = createTcpServer((plain) => {
      const encrypted = connect(at(host));
      plain.on("error", () => encrypted.destroy()).pipe(encrypted);
      encrypted.on("error", () => plain.destroy()).pipe(plain);
    });
    await new Promise<void>((resolve) => {
      tunnel.listen(0, "127.0.0.1", resolve);
    });
    onTestFinished(() => void tunnel.close());
    const { port } = tunnel.address() as AddressInfo;
    const address = { port, host: `${host}:${httpsPort}` };
    const socket = await ClientSocket.connect(address, "/", ["Sec-WebSocket-Protocol: chat"]);
    expect(headerValues(socket.response, "sec-websocket-protocol")).toEqual(["chat"]);
    await socket.send(
      maskedFrame({ opcode: OPCODE.text, payload: Buffer.from("is anybody there?") }),
    );
    expect(await socket.awaitMessage(`${host}:${httpsPort}: is anybody there?`)).toBe(true);
    socket.close(4000, "enough");
    await socket.ended();
    expect(socket.seen.close).toContain("4000");
  });

  test("plain HTTP is sent to HTTPS, whatever the method", async () => {
    const address = { port: httpPort, host: `${APEX}:${httpPort}` };
    const { status, headers } = await send(address, "/a?b=%2F", { method: "POST", body: "x" });
    expect([status, headers.location]).toEqual([308, `https://${APEX}:${httpsPort}/a?b=%2F`]);
  });
});

test("a Caddy that dies is started again, with the certificates that it had", async () => {
  await certificateOf(BASE);
  const caddy = processTree(gateway.pid).find((pid) => commandLine(pid).includes("caddy run"));
  process.kill(caddy as number, "SIGKILL");
  await expect.poll(async () => await refusalOf(BASE), SLOW).toBe(`served as DNS:${BASE}`);
});

test.concurrent("an answer that takes 20 s is held", async ({ expect: expected }) => {
  const held = delay(HELD_MS);
  paths.set("/held", (_request, response) => void held.then(() => response.end("held")));
  const response = await open(APEX, "/held");
  expected([response.statusCode, await textOf(response)]).toEqual([200, "held"]);
});

test.concurrent("a domain that lapses gets no further certificate, and one that does not gets it", async ({
  expect: expected,
}) => {
  const first = await certificateOf(LAPSING);
  const other = await certificateOf(APEX);
  for (const name of proofs.keys()) if (name.endsWith(LAPSING)) proofs.delete(name);
  await names.setTexts(proofs);
  // Until its certificate is renewed or ends, the handshake succeeds; then nothing is served at all.
  const seen = new Set<string>();
  await expected
    .poll(async () => {
      const certificate = await certificateOf(LAPSING).catch(() => undefined);
      if (certificate !== undefined) seen.add(certificate.serialNumber);
      const status = await open(LAPSING, "/").then(
        ({ statusCode }) => statusCode,
        () => "refused",
      );
      return [await refusalOf(LAPSING), status];
    }, SLOW)
    .toEqual([expected.stringMatching(/^(?:ERR_SSL_|ECONNRESET)/), "refused"]);
  expected([...seen].filter((serial) => serial !== first.serialNumber).length).toBeLessThanOrEqual(
    1,
  );
  await expected
    .poll(async () => (await certificateOf(APEX)).serialNumber, SLOW)
    .not.toBe(other.serialNumber);
});

test("a response that is under way is finished when the gateway ends, and then no port is open", async () => {
  const next = Promise.withResolvers<void>();
  paths.set("/last", (_request, response) => {
    response.writeHead(200).write("one");
    void next.promise.then(() => response.end("two"));
  });
  const response = await open(APEX, "/last");
  const chunks = response[Symbol.asyncIterator]();
  expect(String((await chunks.next()).value)).toBe("one");
  process.kill(gateway.pid, "SIGTERM");
  await expect.poll(async () => await refusalOf(APEX), SLOW).toBe("ECONNREFUSED");
  next.resolve();
  expect(String((await chunks.next()).value)).toBe("two");
  expect((await chunks.next()).done).toBe(true);
  expect(await gateway.exited).toEqual({ code: 0, signal: null });
});
