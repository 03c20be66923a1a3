/** `postern app scale` on a running app: while calls run, over restarts of agent and gateway, until the next version. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type Gateway, startCommand, startGateway } from "../support/harness.ts";
import { open } from "../support/http-client.ts";
import { commandLine, type ManagedProcess, processTree } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const PATIENCE = { timeout: 30_000 };
const APP = join(temporaryDirectory(), "shop");
const WINDOW_S = 2;

/** Says which process it is, and holds each request until its client leaves. */
const SERVER = `import { createServer } from "node:http";
createServer((request, response) => {
  response.writeHead(200, { "x-process": process.pid });
  response.write("begun");
}).listen(process.env.PORT, "127.0.0.1");
`;

let gateway: Gateway;
let box: ManagedProcess;

beforeAll(async () => {
  gateway = await startGateway();
  box = await startBox();
  mkdirSync(APP);
  writeFileSync(join(APP, "server.mjs"), SERVER);
  const endpoint = [
    {
      function: "web",
      web_server: ["node", "server.mjs"],
      max_inputs: 1,
      startup_timeout: 20,
      scaledown_window: WINDOW_S,
    },
  ];
  writeFileSync(join(APP, "postern.toml"), stringify({ app: "shop", endpoint }));
  expect((await postern("deploy")).stderr).toContain("v1 of shop serves on gpu-1\n");
});
afterAll(async () => {
  await box.stop();
  await gateway.stop();
});

async function startBox(): Promise<ManagedProcess> {
  const started = startCommand(["origin", "--name", "gpu-1", "--state", gateway.stateDirectory]);
  await started.waitForErrorOutput(/gpu-1 is connected/);
  return started;
}

async function postern(...args: string[]): Promise<ManagedProcess> {
  const managed = startCommand([...args, "--state", gateway.stateDirectory], { cwd: APP });
  await managed.exited;
  return managed;
}

async function scale(...options: string[]): Promise<string> {
  const { stdout, stderr } = await postern("app", "scale", "shop", "web", ...options);
  return stdout === "" ? stderr : stdout;
}

/** The SCALED column of the app. */
async function listed(): Promise<unknown> {
  const [app] = JSON.parse((await postern("app", "list", "--json")).stdout) as {
    scaling: unknown;
  }[];
  return app?.scaling;
}

/** The containers' processes. */
function servers(): number[] {
  return processTree(box.pid).filter((pid) => commandLine(pid) === "node server.mjs");
}

async function begin(signal: AbortSignal) {
  const host = `tests--shop-web.localhost:${gateway.port}`;
  const response = await open({ port: gateway.port, host }, "/", { signal });
  expect(response.statusCode).toBe(200);
  return response;
}

test("more containers start while a call runs, which goes on", async () => {
  const leaving = new AbortController();
  const first = await begin(leaving.signal);
  let isBroken = false;
  first.on("error", () => (isBroken = true)).on("end", () => (isBroken = true));
  expect(await scale("--min", "2", "--max", "2")).toBe(
    "min_containers = 2\nmax_containers = 2\nbuffer_containers = 0\nscaledown_window = 2\n",
  );
  await expect.poll(() => servers().length, PATIENCE).toBe(2);
  const second = await begin(leaving.signal);
  expect(second.headers["x-process"]).not.toBe(first.headers["x-process"]);
  expect(isBroken).toBe(false);
  leaving.abort();
  expect(await listed()).toEqual({ web: { min_containers: 2, max_containers: 2 } });
});

test("a mistake is refused in the words of postern.toml, and an unknown function with the known ones", async () => {
  expect(await scale("--min", "3")).toBe(
    "postern: min_containers = 3: must not be more than max_containers, which is 2\n",
  );
  const { stderr } = await postern("app", "scale", "shop", "wbe", "--min", "1");
  expect(stderr).toBe("postern: app shop has no function wbe; it has web\n");
});

test("the agent starts again with the changed numbers", async () => {
  await box.stop();
  box = await startBox();
  await expect.poll(() => servers().length, PATIENCE).toBe(2);
});

test("the gateway has them after its restart, and the next change comes on top", async () => {
  const { port, stateDirectory } = gateway;
  await gateway.stop();
  gateway = await startGateway({ port, stateDirectory });
  expect(await scale("--max", "3")).toMatch(/^min_containers = 2\nmax_containers = 3\n/);
  // The box hears of this one over its new link, with what came before.
  expect(await scale("--min", "3")).toMatch(/^min_containers = 3\n/);
  await expect.poll(() => servers().length, PATIENCE).toBe(3);
});

test("fewer containers stay: those that are idle end", async () => {
  await scale("--min", "1");
  await expect.poll(() => servers().length, PATIENCE).toBe(1);
  const { stdout } = await postern("app", "history", "shop");
  expect(stdout).toMatch(/^v1 +scaled .* web: min 1\n/m);
  expect(stdout).toMatch(/^v1 +scaled .* web: min 2, max 2\nv1 +serving /m);
});

test("the next version begins with its own configuration", async () => {
  expect((await postern("deploy")).stderr).toContain("v2 of shop serves on gpu-1\n");
  expect(await listed()).toEqual({});
  await expect.poll(servers, PATIENCE).toEqual([]);
});
