/** A flood at one workspace's endpoints is that workspace's own: another one on the same gateway goes on. */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";

import { deriveGatewayKeys } from "../../auth/keys.ts";
import { firstApiToken } from "../../auth/tokens.ts";
import { type Gateway, startCommand, startGateway } from "../support/harness.ts";
import { type Address, open, send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { RawConnection } from "../support/raw-http.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { ClientSocket } from "../support/websocket-client.ts";

const GREEDY = "greedy";
const NEIGHBOUR = "neighbour";
/** Room for some hundreds of connections. */
const DESCRIPTORS = 2_000;
const AT_A_TIME = 8;
const REFUSALS = 3 * AT_A_TIME;
const SLOW = { timeout: 60_000 };

/** Requests that the app has and does not answer; the clients that wait for theirs to arrive there. */
let unanswered = 0;
const arrivals = new Map<string, () => void>();
const app = createServer((request, response) => {
  if (request.url === "/quick") {
    response.end("quick");
  } else if (request.url === "/stream") {
    response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
  } else {
    unanswered += 1;
    arrivals.get(String(request.headers["x-number"]))?.();
    response.once("close", () => (unanswered -= 1));
  }
});
/** Greets each WebSocket. */
app.on("upgrade", ({ headers }, socket) => {
  const accept = createHash("sha1")
    .update(`${headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64");
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${accept}\r\n\r\n\x81\x05hello`,
    "latin1",
  );
  socket.on("error", () => socket.destroy()).resume();
});
beforeAll(async () => {
  await new Promise<void>((resolve) => {
    app.listen(0, "127.0.0.1", resolve);
  });
});
afterAll(() => {
  app.closeAllConnections();
  app.close();
});

/** Serves the app in a workspace of its own, with one endpoint that has room and one that has none. */
async function serveIn(gateway: Gateway, workspace: string): Promise<ManagedProcess> {
  const keys = await deriveGatewayKeys(
    readFileSync(join(gateway.stateDirectory, "key"), "utf8").trim(),
  );
  const { id, secret } = await firstApiToken(keys, workspace);
  const place = `http://127.0.0.1:${(app.address() as AddressInfo).port}`;
  const endpoint = [
    { function: "narrow", upstream: place, max_inputs: 1 },
    { function: "web", upstream: place, max_inputs: 2_000 },
  ];
  const file = join(temporaryDirectory(), "postern.toml");
  writeFileSync(file, stringify({ workspace, app: "e2e", endpoint }));
  const env = {
    POSTERN_URL: `http://localhost:${gateway.port}`,
    POSTERN_TOKEN_ID: id,
    POSTERN_TOKEN_SECRET: secret,
  };
  const box = startCommand(["serve", file], { env });
  await box.waitForOutput(new RegExp(`http://${workspace}--e2e-web-dev\\.localhost`));
  return box;
}

interface Opened {
  readonly destroy: () => void;
}

/** Connections of a flood, which end with the test. */
function flooded(): Opened[] {
  const opened: Opened[] = [];
  onTestFinished(() => opened.forEach(({ destroy }) => destroy()));
  return opened;
}

/** One greedy client; resolves with its status, or with 0 once the app has its request and does not answer. */
type Client = (address: Address, opened: Opened[]) => Promise<number>;

let number = 0;

async function askForEver(
  request: string,
  { port, host }: Address,
  opened: Opened[],
): Promise<number> {
  const connection = await RawConnection.connect(port);
  opened.push({ destroy: () => connection.reset() });
  number += 1;
  const own = `${number}`;
  const arrived = new Promise<number>((resolve) => arrivals.set(own, () => resolve(0)));
  connection.send(request.replace("\r\n\r\n", `\r\nHost: ${host}\r\nX-Number: ${own}\r\n\r\n`));
  // A flood is over before, and then its connections break.
  const answered = connection.head(5 * SLOW.timeout).then(
    ({ status }) => status,
    () => -1,
  );
  return await Promise.race([answered, arrived]);
}

const CLIENTS: Readonly<Record<string, Client>> = {
  requests: async (address, opened) => await askForEver("GET / HTTP/1.1\r\n\r\n", address, opened),
  "slow bodies": async (address, opened) =>
    await askForEver("POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nx", address, opened),
  streams: async (address, opened) => {
    const response = await open(address, "/stream", { timeoutMs: 2 * SLOW.timeout });
    opened.push({ destroy: () => response.destroy() });
    response.on("error", () => undefined);
    return response.statusCode === 200 ? 0 : (response.statusCode ?? -1);
  },
  WebSockets: async (address, opened) => {
    const socket = await ClientSocket.connect(address, "/");
    opened.push({ destroy: () => socket.reset() });
    return socket.response.status === 101 ? 0 : socket.response.status;
  },
};

/** Floods until some are refused; returns their statuses. */
async function flood(client: Client, address: Address, opened: Opened[]): Promise<Set<number>> {
  const refused: number[] = [];
  while (refused.length < REFUSALS && opened.length < DESCRIPTORS) {
    const statuses = await Promise.all(
      Array.from({ length: AT_A_TIME }, async () => await client(address, opened)),
    );
    refused.push(...statuses.filter((status) => status !== 0));
  }
  return new Set(refused);
}

async function isGreeted(address: Address): Promise<boolean> {
  const socket = await ClientSocket.connect(address, "/");
  const greeted = socket.response.status === 101 && (await socket.awaitMessage("hello"));
  socket.reset();
  return greeted;
}

describe.each([["never"], ["always"]])("with --front %s", (front) => {
  let gateway: Gateway;
  let boxes: ManagedProcess[];
  const at = (workspace: string, name = "web"): Address => ({
    port: gateway.port,
    host: `${workspace}--e2e-${name}-dev.localhost:${gateway.port}`,
  });
  const quick = async (workspace: string): Promise<number> =>
    (await send(at(workspace), "/quick", { timeoutMs: SLOW.timeout })).status;

  beforeAll(async () => {
    gateway = await startGateway({
      descriptors: DESCRIPTORS,
      flags: ["--rate-limit", "0", "--front", front],
    });
    boxes = [await serveIn(gateway, GREEDY), await serveIn(gateway, NEIGHBOUR)];
  }, 120_000);
  afterAll(async () => {
    for (const box of boxes) await box.stop();
    await gateway.stop();
  });

  async function expectNeighbourServed(): Promise<void> {
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async () => await quick(NEIGHBOUR)),
    );
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(await isGreeted(at(NEIGHBOUR))).toBe(true);
    const stream = await open(at(NEIGHBOUR), "/stream");
    expect(stream.statusCode).toBe(200);
    stream.destroy();
  }

  test("requests that wait in a queue at one workspace leave another one its own", async () => {
    const opened = flooded();
    const statuses: number[] = [];
    const refused = () => statuses.filter((status) => status === 503).length;
    const client = CLIENTS["requests"] as Client;
    while (refused() < REFUSALS && opened.length < DESCRIPTORS) {
      // Most of them hear nothing: the endpoint takes one at a time.
      const asked = client(at(GREEDY, "narrow"), opened);
      void asked.then((status) => statuses.push(status));
      await quick(NEIGHBOUR);
    }
    expect(refused()).toBe(REFUSALS);
    await expectNeighbourServed();
    for (const one of opened) one.destroy();
    await expect.poll(async () => await quick(GREEDY), SLOW).toBe(200);
    await expect.poll(() => unanswered, SLOW).toBe(0);
  }, 180_000);

  test.each(Object.entries(CLIENTS))(
    "a flood of %s at one workspace leaves another one its own",
    async (_what, client) => {
      const opened = flooded();
      const { workerdPid } = gateway;
      expect(await flood(client, at(GREEDY), opened)).toEqual(new Set([503]));
      await expectNeighbourServed();
      for (const one of opened) one.destroy();
      await expect.poll(async () => await quick(GREEDY), SLOW).toBe(200);
      await expect.poll(async () => await isGreeted(at(GREEDY)), SLOW).toBe(true);
      await expect.poll(() => unanswered, SLOW).toBe(0);
      expect(gateway.workerdPid).toBe(workerdPid);
    },
    180_000,
  );
});
