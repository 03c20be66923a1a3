/** Sessions at a server that somebody else runs: it outlives agents and versions, and so do they. */
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type Gateway, startCommand, startGateway } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

let gateway: Gateway;
let server: Server;
let box: ManagedProcess;
const directory = join(temporaryDirectory(), "app");

async function startBox(): Promise<ManagedProcess> {
  const started = startCommand(["origin", "--name", "gpu-1", "--state", gateway.stateDirectory]);
  await started.waitForErrorOutput(/gpu-1 is connected/);
  return started;
}

async function deploy(): Promise<void> {
  const deployed = startCommand(["deploy", "--state", gateway.stateDirectory], { cwd: directory });
  expect(await deployed.exited).toEqual({ code: 0, signal: null });
}

beforeAll(async () => {
  server = createServer((_request, response) => response.end("there"));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  gateway = await startGateway();
  box = await startBox();
  const { port } = server.address() as AddressInfo;
  const ui = { function: "ui", upstream: `http://127.0.0.1:${port}` };
  const endpoint = [{ ...ui, affinity: "cookie", affinity_mode: "hard" }];
  mkdirSync(directory);
  writeFileSync(join(directory, "postern.toml"), stringify({ app: "shop", endpoint }));
  await deploy();
});
afterAll(async () => {
  await box.stop();
  await gateway.stop();
  server.close();
});

test("a cookie leads to it after the next deployment, and after the agent's restart", async () => {
  const address = { port: gateway.port, host: `tests--shop-ui.localhost:${gateway.port}` };
  const first = await send(address, "/");
  const cookie = String(first.headers["set-cookie"]).split(";", 1)[0] ?? "";
  expect([first.status, cookie]).toEqual([200, expect.stringMatching(/^postern/)]);
  const stays = async (): Promise<void> => {
    const { status, text, headers } = await send(address, "/", { headers: { cookie } });
    expect([status, text]).toEqual([200, "there"]);
    // It would get another one where its session had moved.
    expect(headers["set-cookie"]).toBeUndefined();
  };
  await stays();
  await deploy();
  await stays();
  await box.stop();
  box = await startBox();
  await stays();
});
