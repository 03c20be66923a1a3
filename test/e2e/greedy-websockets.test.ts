/** A token that opens WebSockets as fast as it can is alone with it. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Gateway, ROOT, startCommand, startUp } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { ClientSocket } from "../support/websocket-client.ts";

/** Answers requests, and sends each message of a WebSocket back. */
const APP = join(ROOT, "test/bench/app.ts");
const MOST = 3;

const opened: ClientSocket[] = [];
let gateway: Gateway;
beforeAll(async () => {
  gateway = await startUp(
    [{ function: "private", web_server: ["node", APP], max_inputs: 20, requires_proxy_auth: true }],
    { flags: ["--rate-limit", "0"] },
  );
});
afterAll(async () => {
  for (const socket of opened) socket.reset();
  await gateway.stop();
});

async function tokenOf(...flags: string[]): Promise<string> {
  const args = ["proxy-token", "create", ...flags, "--state", gateway.stateDirectory];
  const command = startCommand(args);
  expect((await command.exited).code).toBe(0);
  return command.stdout.trim().split("\n").join(".");
}

/** The status of a handshake; a socket that opens stays open. */
async function open(key: string): Promise<number> {
  const headers = [`Authorization: Bearer ${key}`];
  const socket = await ClientSocket.connect(gateway.address("private"), "/", headers);
  if (socket.response.status === 101) opened.push(socket);
  return socket.response.status;
}

test("a token has as many WebSockets as it may, others open theirs, and one that closes makes room", async () => {
  const key = await tokenOf("--concurrent", String(MOST));
  const other = await tokenOf();
  // The first request starts the app.
  const headers = { authorization: `Bearer ${other}` };
  expect((await send(gateway.address("private"), "/", { headers })).status).toBe(200);
  for (let count = 0; count < MOST - 1; count += 1) expect(await open(key)).toBe(101);
  const statuses = await Promise.all(Array.from({ length: 10 }, async () => await open(key)));
  expect(statuses.toSorted((one, another) => one - another)).toEqual([
    101,
    ...Array.from({ length: 9 }, () => 429),
  ]);
  expect(await open(key)).toBe(429);
  expect(await open(other)).toBe(101);
  opened[0]?.reset();
  await expect.poll(async () => await open(key), { timeout: 20_000 }).toBe(101);
  expect(await open(key)).toBe(429);
});

test("a token's rate holds for the sockets that it opens", async () => {
  const key = await tokenOf("--rate-limit", "0.01/300");
  const statuses: number[] = [];
  for (let count = 0; count < 5; count += 1) statuses.push(await open(key));
  expect(statuses).toEqual([101, 101, 101, 429, 429]);
});
