/** Calls whose container dies in the middle of its work, on an endpoint that lets them run again. */
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Gateway, startUp } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** Reads the whole body and notes the run; dies at the first run of each path, and answers the body's hash later. */
const APP = `
const { createHash } = require("node:crypto");
const { mkdirSync, readdirSync, writeFileSync } = require("node:fs");
require("node:http").createServer(async (request, response) => {
  const hash = createHash("sha256");
  for await (const part of request) hash.update(part);
  const runs = process.env.RUNS + request.url;
  mkdirSync(runs, { recursive: true });
  writeFileSync(runs + "/" + process.pid + "-" + Date.now(), "");
  if (readdirSync(runs).length === 1) process.exit(1);
  response.end(hash.digest("hex"));
}).listen(process.env.PORT, "127.0.0.1");
`;

let gateway: Gateway;
let runs: string;
beforeAll(async () => {
  runs = temporaryDirectory();
  const app = { web_server: ["node", "-e", APP], env: { RUNS: runs } };
  const retries = { max_retries: 2, initial_delay: 0.1 };
  gateway = await startUp([
    { function: "again", ...app, retries },
    { function: "once", ...app },
  ]);
});
afterAll(async () => {
  await gateway.stop();
});

const runsOf = (path: string): number =>
  existsSync(join(runs, path)) ? readdirSync(join(runs, path)).length : 0;

test.each([
  ["a small body", 1_000],
  ["a body that streams", 5_000_000],
])("%s reaches the second run whole", async (_, bytes) => {
  const body = randomBytes(bytes);
  const path = `/${bytes}`;
  const answer = await send(gateway.address("again"), path, { method: "POST", body });
  expect([answer.status, answer.text]).toEqual([
    200,
    createHash("sha256").update(body).digest("hex"),
  ]);
  expect(runsOf(path)).toBe(2);
});

test("a call under a key runs again too, and its response is the key's", async () => {
  const ask = async () =>
    await send(gateway.address("again"), "/keyed", {
      method: "POST",
      body: "question",
      headers: { "idempotency-key": "order-7" },
    });
  const [first, second] = [await ask(), await ask()];
  expect([first.status, second.status]).toEqual([200, 200]);
  expect(second.text).toBe(first.text);
  expect(runsOf("/keyed")).toBe(2);
});

test("an endpoint without retries runs a call once", async () => {
  const answer = await send(gateway.address("once"), "/once", { method: "POST", body: "x" });
  expect(answer.status).toBe(502);
  expect(runsOf("/once")).toBe(1);
});
