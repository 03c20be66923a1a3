/** Two boxes share an endpoint with `buffer_containers`: the buffer starts with the first call, not with the next lease. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type Gateway, startGateway } from "../support/harness.ts";
import { open } from "../support/http-client.ts";
import { startElsewhere } from "../support/other-machine.ts";
import { commandLine, type ManagedProcess, processTree } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** Far less than the 30 s after which a lease is renewed. */
const SOON = { timeout: 10_000 };

/** Holds each request until its client leaves. */
const SERVER = `import { createServer } from "node:http";
createServer((request, response) => response.flushHeaders()).listen(process.env.PORT, "127.0.0.1");
`;

const boxes: ManagedProcess[] = [];
const leaving = new AbortController();
let gateway: Gateway;

beforeAll(async () => {
  gateway = await startGateway({ isFaulty: true });
  for (const name of ["gpu-1", "gpu-2"]) {
    const origin = startElsewhere(gateway, ["origin", "--name", name]);
    boxes.push(origin);
    await origin.waitForErrorOutput(new RegExp(`${name} is connected`));
  }
  const app = join(temporaryDirectory(), "shop");
  mkdirSync(app);
  writeFileSync(join(app, "spare.mjs"), SERVER);
  const endpoint = {
    function: "web",
    web_server: ["node", "spare.mjs"],
    boxes: ["gpu-*"],
    min_containers: 1,
    max_containers: 3,
    buffer_containers: 1,
    max_inputs: 2,
    scaledown_window: 2,
  };
  writeFileSync(join(app, "postern.toml"), stringify({ app: "shop", endpoint: [endpoint] }));
  const deployed = startElsewhere(gateway, ["deploy", join(app, "postern.toml")]);
  expect((await deployed.exited).code).toBe(0);
});

afterAll(async () => {
  leaving.abort();
  for (const managed of boxes) managed.killTree();
  await gateway.stop();
});

const servers = () =>
  boxes
    .flatMap(({ pid }) => processTree(pid))
    .filter((pid) => commandLine(pid) === "node spare.mjs").length;

test("one call at two idle boxes gets the buffer beside its container, and as long as it runs", async () => {
  await expect.poll(servers, { timeout: 60_000 }).toBe(1);
  const host = `tests--shop-web.localhost:${gateway.port}`;
  const leaves = new AbortController();
  const signal = AbortSignal.any([leaves.signal, leaving.signal]);
  const response = await open({ port: gateway.port, host }, "/", { signal });
  response.on("error", () => undefined);
  expect(response.statusCode).toBe(200);
  await expect.poll(servers, SOON).toBeGreaterThan(1);
  expect(servers()).toBeLessThanOrEqual(3);
  leaves.abort();
  await expect.poll(servers, { timeout: 60_000 }).toBe(1);
});
