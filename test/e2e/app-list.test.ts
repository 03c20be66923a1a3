/** `postern app list`: what containers and waiting requests are at, as the boxes say it when they are asked. */
import { writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { APPS, type Gateway, startCommand, startUp, upstream } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { temporaryDirectory } from "../support/temporary.ts";

interface Listed {
  readonly containers: Readonly<Record<string, number>>;
  readonly waiting: number;
  readonly last_error: string;
}

/** The server that starts slowly listens when this file is there. */
const READY = join(temporaryDirectory(), "ready");
const held: ServerResponse[] = [];
let app: Server;
let postern: Gateway;

beforeAll(async () => {
  app = createServer((_, response) => held.push(response));
  await new Promise<void>((resolve) => {
    app.listen(0, "127.0.0.1", resolve);
  });
  const port = (app.address() as AddressInfo).port;
  const cards = temporaryDirectory();
  // Two that take turns on one GPU: the other one sleeps.
  const models = ["one", "two"].map((name) => ({
    function: name,
    web_server: ["node", join(APPS, "gpu-server.ts")],
    env: { CARDS: cards, NAME: name },
    gpus: 1,
    sleep: [{ post: "/sleep" }],
    wake: [{ post: "/wake" }],
    scaledown_window: 1_200,
  }));
  postern = await startUp(
    [
      ...models,
      {
        function: "slow",
        web_server: ["node", join(APPS, "slow-start-server.ts")],
        env: { READY },
        scaledown_window: 1_200,
      },
      upstream(port, { function: "web", max_inputs: 1 }),
      { function: "broken", web_server: ["sh", "-c", "exit 7"] },
    ],
    { env: { POSTERN_GPUS: "H100:80GiB" } },
  );
});

afterAll(async () => {
  await postern.stop();
  app.close();
});

async function appList(...args: string[]): Promise<string> {
  const listing = startCommand(["app", "list", ...args, "--state", postern.stateDirectory]);
  const { code } = await listing.exited;
  expect([code, listing.stderr]).toEqual([0, ""]);
  return listing.stdout;
}

async function listed(): Promise<Listed> {
  const [only] = JSON.parse(await appList("--json")) as [Listed];
  return only;
}

/** A command takes its time to start on a busy machine. */
const SLOW = { timeout: 15_000 };

test("containers are counted by what they are at, and the reason of one that failed stands there", async () => {
  for (const name of ["one", "two"]) {
    expect((await send(postern.address(name), "/", { timeoutMs: 60_000 })).status).toBe(200);
  }
  const counts = { ready: 2, starting: 1, asleep: 1, draining: 0, stuck: 0, failed: 1 };
  await expect.poll(async () => (await listed()).containers, SLOW).toEqual(counts);
  expect((await listed()).last_error).toMatch(/: broken: ended with code 7 before it was ready/);
  expect(await appList()).toMatch(/ 2 ready, 1 starting, 1 asleep, 1 failed +0 .*: broken: /);
  writeFileSync(READY, "");
  await expect
    .poll(async () => (await listed()).containers, SLOW)
    .toEqual({ ...counts, ready: 3, starting: 0 });
});

test("requests that wait for their turn are counted, and counted no more when they have had it", async () => {
  const address = postern.address("web");
  const answers = [1, 2, 3].map(async (number) => await send(address, `/${number}`));
  await expect.poll(async () => (await listed()).waiting, SLOW).toBe(2);
  const answering = setInterval(() => held.splice(0).forEach((response) => response.end()), 20);
  await Promise.all(answers);
  clearInterval(answering);
  expect((await listed()).waiting).toBe(0);
});
