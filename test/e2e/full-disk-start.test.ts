/**
 * Agents that start on a full disk: they connect, serve what needs no disk, and say what they could not write. Room is
 * all that they need to go on.
 */
import { once } from "node:events";
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";

import { ownAccess } from "../../cli/access.ts";
import {
  type Gateway,
  startCommand,
  startGateway,
  startServe,
  upstream,
  webServer,
  WORKSPACE,
} from "../support/harness.ts";
import { type Address, type Answer, readAll, send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { mountSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const NO_DISK = "needs the right to mount a tmpfs";
const DISK_KIB = 4 * 1024;
const MAX_INPUTS = 8;
/** Records that may fit into the last page of the journal. */
const MOST_RECORDS = 50;

let gateway: Gateway;
let disk: SmallDisk | undefined;
const agents: ManagedProcess[] = [];
let app: Server;
/** Requests for /held, which are answered when the test says so. */
const held: ServerResponse[] = [];
/** What the app has received, in order. */
const received: string[] = [];

beforeAll(async () => {
  gateway = await startGateway({ flags: ["--rate-limit", "0"] });
  app = createServer((request, response) => {
    void readAll(request).then((body) => {
      received.push(`${request.url} ${body.toString()}`);
      if (request.url === "/held") held.push(response);
      else response.end(`got ${body.length}`);
    });
  });
  app.listen(0, "127.0.0.1");
  await once(app, "listening");
});
afterEach(async () => {
  for (const agent of agents.splice(0)) {
    agent.killTree();
    await agent.exited;
  }
  disk?.unmount();
  disk = undefined;
});
afterAll(async () => {
  app.close();
  await gateway.stop();
});

/** Takes all the room that there is. @returns makes it free again */
function fill({ path }: SmallDisk): () => void {
  const { bavail, bsize } = statfsSync(path);
  const filler = join(path, "filler");
  writeFileSync(filler, Buffer.alloc(bavail * bsize));
  expect(statfsSync(path).bavail).toBe(0);
  return () => rmSync(filler);
}

async function startOrigin({ path }: SmallDisk): Promise<ManagedProcess> {
  const { tokenId, tokenSecret } = ownAccess(gateway.stateDirectory);
  const box = startCommand(["origin", "--name", "gpu-1", "--state", join(path, "state")], {
    env: {
      POSTERN_URL: `http://localhost:${gateway.port}`,
      POSTERN_TOKEN_ID: tokenId,
      POSTERN_TOKEN_SECRET: tokenSecret,
    },
  });
  agents.push(box);
  await box.waitForErrorOutput(/gpu-1 is connected/);
  return box;
}

/** Deploys an app that needs no code. */
async function deploy(name: string): Promise<Address> {
  const directory = join(temporaryDirectory(), name);
  mkdirSync(directory);
  const { port } = app.address() as AddressInfo;
  const endpoint = [upstream(port, { max_inputs: MAX_INPUTS })];
  writeFileSync(join(directory, "postern.toml"), stringify({ app: name, endpoint }));
  const deploying = startCommand(["deploy", "--state", gateway.stateDirectory], { cwd: directory });
  expect([(await deploying.exited).code, deploying.stderr]).toEqual([0, expect.anything()]);
  return { port: gateway.port, host: `${WORKSPACE}--${name}-web.localhost:${gateway.port}` };
}

async function post(address: Address, path: string, headers = {}): Promise<Answer> {
  return await send(address, path, { method: "POST", body: path, headers, timeoutMs: 60_000 });
}

test("a box that was killed starts, serves what is deployed, and finishes its calls when there is room", async (context) => {
  disk = mountSmallDisk(DISK_KIB);
  if (disk === undefined) return context.skip(NO_DISK);
  const box = await startOrigin(disk);
  const address = await deploy("shop");
  expect((await post(address, "/plain")).text).toBe("got 6");
  const keyed = { "idempotency-key": "ran" };
  const running = Array.from({ length: MAX_INPUTS }, (_, index) =>
    post(address, "/held", { "idempotency-key": `held-${index}` }).catch(() => undefined),
  );
  await expect.poll(() => held.length).toBe(MAX_INPUTS);
  const accepted = await post(address, "/waits", { prefer: "respond-async" });
  expect(accepted.status).toBe(202);
  const { pathname, search } = new URL((accepted.json() as { result_url: string }).result_url);

  const free = fill(disk);
  // The journal's last page may have room for some records.
  for (let count = 0; count < MOST_RECORDS; count += 1) {
    const refused = await post(address, "/full", { prefer: "respond-async" });
    if (refused.status === 503) break;
  }
  expect((await post(address, "/full", keyed)).status).toBe(503);
  await box.kill();
  for (const response of held.splice(0)) response.destroy();

  const again = await startOrigin(disk);
  await Promise.all(running);
  expect((await post(address, "/plain")).text).toBe("got 6");
  const refused = await post(address, "/full", keyed);
  expect(refused.json()).toMatchObject({ status: 503, code: "no_origin" });
  const other = await deploy("other");
  expect((await post(other, "/plain")).text).toBe("got 6");
  expect(again.stderr).toMatch(/durable calls cannot be recorded: .*ENOSPC/);
  expect(again.stderr).toMatch(/which code this box has run is not recorded: .*ENOSPC/);
  expect(again.stderr).not.toMatch(/a fault that nothing handled|\n\s+at /);
  expect(again.stderr.split("\n").length).toBeLessThan(20);

  free();
  await expect.poll(async () => (await post(address, "/plain", keyed)).status).toBe(200);
  const waited = await send(address, pathname + search, { timeoutMs: 20_000 });
  expect(waited.text).toBe("got 6");
  for (let index = 0; index < MAX_INPUTS; index += 1) {
    const lost = await post(address, "/held", { "idempotency-key": `held-${index}` });
    expect(lost.json()).toMatchObject({ code: "call_lost" });
  }
  expect(received.filter((line) => line.startsWith("/held"))).toHaveLength(MAX_INPUTS);
  expect(received.filter((line) => line.startsWith("/waits"))).toHaveLength(1);
}, 120_000);

test("an agent that finds a full disk at its first start runs its app's container", async (context) => {
  disk = mountSmallDisk(DISK_KIB);
  if (disk === undefined) return context.skip(NO_DISK);
  const free = fill(disk);
  const agent = await startServe(gateway, [webServer()], gateway.port, { TMPDIR: disk.path });
  agents.push(agent);
  const address = gateway.address("web", "-dev");
  expect((await send(address, "/json")).status).toBe(200);
  const key = { "idempotency-key": "one" };
  const refused = await send(address, "/json", { method: "POST", body: "{}", headers: key });
  expect(refused.json()).toMatchObject({ status: 503, code: "no_origin" });
  expect(agent.stderr).toContain("ENOSPC");
  expect(agent.stderr).not.toMatch(/a fault that nothing handled|\n\s+at /);
  free();
  await expect
    .poll(
      async () =>
        (await send(address, "/json", { method: "POST", body: "{}", headers: key })).status,
    )
    .toBe(200);
}, 60_000);
