/** Requests that never end: they cost the gateway next to nothing, and no box its way in. */
import { expect, test } from "vitest";

import { ownAccess } from "../../cli/access.ts";
import { type CuttableProxy, startCuttableProxy } from "../support/cuttable-proxy.ts";
import { type Gateway, startGateway, startServe, webServer } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { type ManagedProcess, memoryBytes } from "../support/processes.ts";
import { RawConnection } from "../support/raw-http.ts";

const MIB = 1024 * 1024;
const REQUESTS = 2_000;
/** Of each; the last byte of its body never comes. */
const SENT_BYTES = 128 * 1024;
/** Connections for whose work the descriptors below suffice, seven of eight for clients: `cli/front/places.ts`. */
const DESCRIPTORS = 1_024;
const PLACES = Math.floor((DESCRIPTORS - 128) / 4);

let gateway: Gateway;
let proxy: CuttableProxy;
let agent: ManagedProcess;

async function start(descriptors?: number): Promise<void> {
  gateway = await startGateway(
    descriptors === undefined ? {} : { descriptors, flags: ["--front", "always"] },
  );
  proxy = await startCuttableProxy(gateway.port);
  agent = await startServe(gateway, [webServer()], proxy.port);
  await answers();
}

async function stop(): Promise<void> {
  await agent.stop();
  await proxy.close();
  await gateway.stop();
}

/** Asks the app, past the front: its places are taken. */
async function answers(): Promise<void> {
  const address = { ...gateway.address("web", "-dev"), port: gateway.workerdPort };
  const answer = await send(address, "/json", { timeoutMs: 20_000 });
  expect(answer.status).toBe(200);
}

/** Cuts the box's link, and waits until it has dialled again and serves. @param meanwhile before it may dial */
async function redial(meanwhile?: () => Promise<void>): Promise<void> {
  proxy.refuse(() => true);
  expect(proxy.cut()).toBeGreaterThan(0);
  await meanwhile?.();
  const dials = proxy.requestLines.length;
  proxy.refuse();
  await answers();
  expect(proxy.requestLines.slice(dials)).toContain("GET /_postern/link/0 HTTP/1.1");
}

async function unfinished(authorization: string, bytes = SENT_BYTES): Promise<RawConnection> {
  const connection = await RawConnection.connect(gateway.port);
  connection.send(
    `POST /api/v1/tokens HTTP/1.1\r\nHost: ${gateway.base.host}\r\n${authorization}` +
      `Content-Type: application/json\r\nContent-Length: ${bytes + 1}\r\n\r\n`,
  );
  connection.send(Buffer.alloc(bytes, " "));
  return connection;
}

test("2,000 unfinished POSTs to the API are in nobody's memory, and the box dials again", async () => {
  await start();
  const { tokenId, tokenSecret } = ownAccess(gateway.stateDirectory);
  const known = `Authorization: Bearer ${tokenId}.${tokenSecret}\r\n`;
  // What a heap takes once, it takes here.
  const first = await Promise.all(Array.from({ length: REQUESTS / 2 }, async () => unfinished("")));
  await Promise.all(first.map(async (connection) => await connection.response()));
  for (const connection of first) connection.reset();

  const before = memoryBytes([gateway.workerdPid]);
  const open = await Promise.all(
    Array.from({ length: REQUESTS }, async (_, index) => unfinished(index % 2 === 0 ? "" : known)),
  );
  const answered = await Promise.allSettled(
    open.map(async (connection) => (await connection.response("POST", 4_000)).status),
  );
  const grown = memoryBytes([gateway.workerdPid]) - before;
  const statuses = Map.groupBy(answered, (one) =>
    one.status === "fulfilled" ? one.value : "none yet",
  );
  console.log(
    `${[...statuses].map(([status, all]) => `${all.length} times ${status}`).join(", ")}; ` +
      `workerd took ${Math.round(grown / MIB)} MiB more`,
  );
  expect(statuses.get(401)).toHaveLength(REQUESTS / 2);
  // Bodies that may still come are read, in 8 MiB of a workspace: these few alone hold memory.
  const read = Math.floor((8 * MIB) / (SENT_BYTES + 1));
  expect(statuses.get("none yet")).toHaveLength(read);
  expect(statuses.get(429)).toHaveLength(REQUESTS / 2 - read);
  // Two thousand connections for a moment; with what they sent it was 0.5 GiB.
  expect(grown).toBeLessThan(128 * MIB);
  await redial();
  for (const connection of open) connection.reset();
  await stop();
});

test("a box dials again while strangers hold every connection that they can get", async () => {
  await start(DESCRIPTORS);
  const strangers: RawConnection[] = [];
  await redial(async () => {
    // A head that never ends holds its place longest.
    for (let index = 0; index < PLACES; index += 1) {
      const connection = await RawConnection.connect(gateway.port);
      connection.send(`POST /api/v1/tokens HTTP/1.1\r\nHost: ${gateway.base.host}\r\n`);
      strangers.push(connection);
    }
    const refused = await RawConnection.connect(gateway.port);
    refused.send(`GET / HTTP/1.1\r\nHost: ${gateway.base.host}\r\n\r\n`);
    expect(await refused.response()).toMatchObject({ status: 503 });
    strangers.push(refused);
  });
  for (const connection of strangers) connection.reset();
  await stop();
});
