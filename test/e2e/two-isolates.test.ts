/**
 * How soon another isolate knows: what is revoked or taken at one Worker, asked at a second one that shares
 * its objects and none of its memory.
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type Told, writeDeployable } from "../support/deployable.ts";
import { startCommand } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { startTwoIsolates, type TwoIsolates } from "../support/two-isolates.ts";

/** What docs/tokens.md and docs/deployments.md promise. */
const EVERYWHERE_WITHIN_MS = 5_000;
/** Between two questions; the measured times are as coarse. */
const ASK_EVERY_MS = 25;
const GIVE_UP_MS = 15_000;

let gateway: TwoIsolates;
beforeAll(async () => {
  gateway = await startTwoIsolates("tests");
});
afterAll(async () => await gateway.stop());

async function serve(text: string): Promise<{ process: ManagedProcess; other: Address }> {
  const directory = join(temporaryDirectory(), "app");
  writeDeployable(directory, "shared", text, { web: { requires_proxy_auth: true } });
  const managed = startCommand(["serve"], { cwd: directory, env: gateway.env });
  const [url] = await managed.waitForOutput(/^http:\S+$/m);
  return { process: managed, other: { port: gateway.otherPort, host: new URL(url).host } };
}

async function command(...args: string[]): Promise<string> {
  const managed = startCommand(args, { env: gateway.env });
  const { code } = await managed.exited;
  expect({ code, stderr: managed.stderr }).toMatchObject({ code: 0 });
  return managed.stdout;
}

async function createToken(): Promise<Record<string, string>> {
  const [id = "", secret = ""] = (await command("proxy-token", "create")).split("\n");
  return { "modal-key": id, "modal-secret": secret };
}

/** Asks until the answer is as it should be, keeping the isolate's memory warm; tells how long that took. */
async function until(isSo: () => Promise<boolean>): Promise<number> {
  const beganAt = performance.now();
  while (!(await isSo())) {
    if (performance.now() - beganAt > GIVE_UP_MS) throw new Error("it never came about");
    await delay(ASK_EVERY_MS);
  }
  return performance.now() - beganAt;
}

test("a token is good at once, and revoked within 5 s, where another isolate asks", async () => {
  const { process: managed, other } = await serve("locked");
  const status = async (headers: Record<string, string>) =>
    (await send(other, "/", { headers, timeoutMs: 60_000 })).status;
  expect(await status({})).toBe(401);
  const headers = await createToken();
  // The isolate has just learnt the workspace's tokens, without this one.
  expect(await status(headers)).toBe(200);
  await command("proxy-token", "revoke", headers["modal-key"] as string);
  const tookMs = await until(async () => (await status(headers)) === 401);
  console.log(`revoked for another isolate after ${Math.round(tookMs)} ms`);
  expect(tookMs).toBeLessThan(EVERYWHERE_WITHIN_MS);
  await managed.stop();
});

test("a name that a newer serve takes is its own within 5 s, where another isolate asks", async () => {
  const older = await serve("older");
  const headers = await createToken();
  const text = async () =>
    ((await send(older.other, "/", { headers, timeoutMs: 60_000 })).json() as Told).text;
  await until(async () => (await text()) === "older");
  const newer = await serve("newer");
  const tookMs = await until(async () => (await text()) === "newer");
  console.log(`taken for another isolate after ${Math.round(tookMs)} ms`);
  expect(tookMs).toBeLessThan(EVERYWHERE_WITHIN_MS);
  await Promise.all([newer.process.stop(), older.process.stop()]);
});
