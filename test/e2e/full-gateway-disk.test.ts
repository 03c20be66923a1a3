/**
 * The gateway's disk is full: a box that dials again is let in and serves, calls of each kind are answered, and a line of
 * the log names the disk. A gateway that ends there starts again.
 */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type CuttableProxy, startCuttableProxy } from "../support/cuttable-proxy.ts";
import { APPS, type Gateway, startGateway, startServe, webServer } from "../support/harness.ts";
import { type Answer, send } from "../support/http-client.ts";
import { Notes } from "../support/notes.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { mountSmallDisk, type SmallDisk } from "../support/small-disk.ts";

let disk: SmallDisk | undefined;
let gateway: Gateway;
let proxy: CuttableProxy;
let agent: ManagedProcess;
const notes = new Notes();

const OPTIONS = { flags: ["--request-timeout", "1"] };
/** Longer than a client waits before it is redirected. */
const WORKS_FOR_MS = 1_500;

const PATIENCE = { timeout: 30_000 };

/** Notes of a link that may fit into what the databases hold. */
const MOST_NOTES = 50;

beforeAll(async () => {
  disk = mountSmallDisk(64 * 1024);
  if (disk === undefined) return;
  gateway = await startGateway({ ...OPTIONS, stateDirectory: join(disk.path, "state") });
  proxy = await startCuttableProxy(gateway.port);
  const endpoints = [
    webServer(),
    {
      function: "noting",
      web_server: ["node", join(APPS, "noting-server.ts")],
      env: { NOTES: notes.file, WORK_MS: `${WORKS_FOR_MS}` },
      max_inputs: 20,
    },
  ];
  agent = await startServe(gateway, endpoints, proxy.port);
  expect(await status()).toBe("200");
});
afterAll(async () => {
  if (disk === undefined) return;
  await agent.stop();
  await proxy.close();
  await gateway.stop();
  disk.unmount();
});

/** Status and, where it is an error, its text. */
async function status(): Promise<string> {
  const address = gateway.address("web", "-dev");
  const { status: code, text } = await send(address, "/json", { timeoutMs: 20_000 });
  return code === 200 ? "200" : `${code} ${text}`;
}

/** Cuts the box's link; the answer comes over the next one. */
async function redial(): Promise<void> {
  const dials = proxy.requestLines.length;
  expect(proxy.cut()).toBe(1);
  expect(await status()).toBe("200");
  expect(proxy.requestLines.slice(dials)).toContain("GET /_postern/link/0 HTTP/1.1");
}

/** A database may have room of its own for a note or two, so one time need not be enough. */
async function fillAndRedialUntil(full: SmallDisk, said: RegExp): Promise<void> {
  const before = gateway.process.stderr.length;
  for (let times = 0; times < MOST_NOTES; times += 1) {
    full.fill();
    await redial();
    if (said.test(gateway.process.stderr.slice(before))) return;
  }
  expect(gateway.process.stderr.slice(before)).toMatch(said);
}

test("a box that dials again is let in, with the room that was kept for it and without", async (context) => {
  if (disk === undefined) {
    context.skip("needs the right to mount a tmpfs");
    return;
  }
  await fillAndRedialUntil(disk, /the gateway's disk is full: make room on .*\/state\/reserve/);
  // The room that was given up goes to somebody else.
  await fillAndRedialUntil(disk, /noting a link of /);
  await redial();

  disk.clear();
  await redial();
  expect(agent.stderr).not.toContain("refuses this box");
});

test("calls of each kind are answered through a connected box", async (context) => {
  if (disk === undefined) {
    context.skip("needs the right to mount a tmpfs");
    return;
  }
  await fillAndRedialUntil(disk, /noting a link of /);
  await answersAllKinds("first");

  disk.clear();
});

test("a gateway that ends on a full disk starts there again, with the room that was kept for it", async (context) => {
  if (disk === undefined) {
    context.skip("needs the right to mount a tmpfs");
    return;
  }
  for (const end of ["stop", "kill"] as const) {
    // A start takes the room that is to be kept.
    await restart("stop");
    await expect.poll(status, PATIENCE).toBe("200");
    disk.fill();
    await restart(end);
    await expect.poll(status, PATIENCE).toBe("200");
    await answersAllKinds(end);
    if (end === "stop") disk.clear();
  }
  expect(gateway.process.stderr).toMatch(
    /the gateway's disk is full: make room on .*\/state\/reserve/,
  );

  // Now the room goes to somebody else.
  disk.fill();
  await expect(restart("kill")).rejects.toThrow(
    /can't write the state directory .*: no space left/,
  );
  disk.clear();
  await restart("kill");
  await expect.poll(status, PATIENCE).toBe("200");
});

/** Ends the gateway and starts it again. A polite end may give up the room that is kept. */
async function restart(end: "stop" | "kill"): Promise<void> {
  if (end === "stop") await gateway.stop();
  else gateway.process.killTree();
  await gateway.process.exited;
  const { port, stateDirectory } = gateway;
  gateway = await startGateway({ ...OPTIONS, port, stateDirectory });
}

/** Sends a call of each kind. @param key of one of them */
async function answersAllKinds(key: string): Promise<void> {
  const address = gateway.address("noting", "-dev");
  const post = async (path: string, headers: Record<string, string> = {}) =>
    await send(address, path, { method: "POST", headers, timeoutMs: 20_000 });
  const collect = async (path: string): Promise<number> =>
    await followed(await send(address, path, { timeoutMs: 20_000 }));
  const followed = async ({ status: code, headers }: Answer): Promise<number> =>
    code === 303 ? await collect(headers.location ?? "") : code;
  const ran = notes.begun.length;
  const redirected = await post("/redirected");
  expect(redirected.status).toBe(303);
  expect(await followed(redirected)).toBe(200);
  for (let times = 0; times < 2; times += 1) {
    expect(await followed(await post("/keyed", { "idempotency-key": key }))).toBe(200);
  }
  const accepted = await post("/accepted", { prefer: "respond-async" });
  expect(accepted.status).toBe(202);
  const { result_url: url } = accepted.json() as { result_url: string };
  const { pathname, search } = new URL(url);
  expect(await collect(`${pathname}${search}`)).toBe(200);
  expect(notes.begun).toHaveLength(ran + 3);
  expect(await status()).toBe("200");
}
