/** The gateway's disk is full: a box that dials again is let in and serves, and a line of the log names the disk. */
import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type CuttableProxy, startCuttableProxy } from "../support/cuttable-proxy.ts";
import { type Gateway, startGateway, startServe, webServer } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { mountSmallDisk, type SmallDisk } from "../support/small-disk.ts";

let disk: SmallDisk | undefined;
let gateway: Gateway;
let proxy: CuttableProxy;
let agent: ManagedProcess;
let fillers = 0;

/** Notes of a link that may fit into what the databases hold. */
const MOST_NOTES = 50;

beforeAll(async () => {
  disk = mountSmallDisk(64 * 1024);
  if (disk === undefined) return;
  gateway = await startGateway({ stateDirectory: join(disk.path, "state") });
  proxy = await startCuttableProxy(gateway.port);
  agent = await startServe(gateway, [webServer()], proxy.port);
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

/** Takes all the room that there is, also where the gateway takes some of it at the same moment. */
function fill({ path }: SmallDisk): void {
  const { bavail, bsize } = statfsSync(path);
  fillers += 1;
  try {
    writeFileSync(join(path, `filler-${fillers}`), Buffer.alloc(bavail * bsize));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
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
    fill(full);
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

  for (let index = 1; index <= fillers; index += 1) rmSync(join(disk.path, `filler-${index}`));
  await redial();
  expect(agent.stderr).not.toContain("refuses this box");
});
