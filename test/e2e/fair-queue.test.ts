/** A full pool: calls wait in turns by their tokens, and those of batch tokens for all others. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Gateway, startCommand, startUp, upstream } from "../support/harness.ts";
import { send } from "../support/http-client.ts";

const GREEDY = 20;

const begun: string[] = [];
const waiting: (() => void)[] = [];
let app: Server;
let gateway: Gateway;
beforeAll(async () => {
  app = createServer((request, response) => {
    if (request.url === "/fence") {
      response.end();
      return;
    }
    begun.push(request.url ?? "");
    waiting.push(() => response.end("done"));
  });
  app.listen(0, "127.0.0.1");
  await once(app, "listening");
  const { port } = app.address() as AddressInfo;
  gateway = await startUp([
    upstream(port, { function: "pool", max_inputs: 1, requires_proxy_auth: true }),
    upstream(port, { function: "fence" }),
  ]);
});
afterAll(async () => {
  await gateway.stop();
  app.closeAllConnections();
  app.close();
});

async function tokenOf(...flags: string[]): Promise<Record<string, string>> {
  const args = ["proxy-token", "create", ...flags, "--state", gateway.stateDirectory];
  const command = startCommand(args);
  expect((await command.exited).code).toBe(0);
  const [id = "", secret = ""] = command.stdout.split("\n");
  return { "modal-key": id, "modal-secret": secret };
}

test("one token's many calls delay another token's by one each, and a batch token's wait for both", async () => {
  const greedy = await tokenOf();
  const other = await tokenOf();
  const nightly = await tokenOf("--priority", "batch");
  const answers: Promise<number>[] = [];
  const call = async (path: string, headers: Record<string, string>): Promise<void> => {
    const sent = send(gateway.address("pool"), path, { headers, timeoutMs: 60_000 });
    answers.push(sent.then(({ status }) => status));
    // Another request's answer says that this one has arrived.
    await send(gateway.address("fence"), "/fence");
  };
  await call("/greedy-0", greedy);
  await expect.poll(() => begun, { timeout: 20_000 }).toEqual(["/greedy-0"]);
  await call("/nightly", nightly);
  for (let count = 1; count < GREEDY; count += 1) await call(`/greedy-${count}`, greedy);
  for (const count of [0, 1, 2]) await call(`/other-${count}`, other);
  const all = GREEDY + 4;
  for (let count = 2; count <= all; count += 1) {
    waiting.shift()?.();
    await expect.poll(() => begun.length, { interval: 5, timeout: 20_000 }).toBe(count);
  }
  waiting.shift()?.();
  expect(await Promise.all(answers)).toEqual(answers.map(() => 200));
  const places = [0, 1, 2].map((count) => begun.indexOf(`/other-${count}`));
  expect(places).toEqual([2, 4, 6]);
  expect(begun.at(-1)).toBe("/nightly");
  const ofGreedy = begun.filter((path) => path.startsWith("/greedy"));
  expect(ofGreedy).toEqual(Array.from({ length: GREEDY }, (_, count) => `/greedy-${count}`));
}, 120_000);
