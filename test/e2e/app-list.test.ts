/** `postern app list`: what containers and waiting requests are at, as the boxes say it when they are asked. */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Gateway, startCommand, startUp, upstream } from "../support/harness.ts";
import { send } from "../support/http-client.ts";

interface Listed {
  readonly containers: {
    readonly ready: number;
    readonly starting: number;
    readonly failed: number;
  };
  readonly waiting: number;
  readonly last_error: string;
}

const held: ServerResponse[] = [];
let app: Server;
let postern: Gateway;

beforeAll(async () => {
  app = createServer((_, response) => held.push(response));
  await new Promise<void>((resolve) => {
    app.listen(0, "127.0.0.1", resolve);
  });
  const port = (app.address() as AddressInfo).port;
  postern = await startUp([
    upstream(port, { function: "web", max_inputs: 1 }),
    { function: "broken", web_server: ["sh", "-c", "exit 7"] },
  ]);
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

test("a container that failed is counted beside one that is ready, and its reason stands there", async () => {
  await expect
    .poll(async () => (await listed()).containers, SLOW)
    .toEqual({ ready: 1, starting: 0, asleep: 0, draining: 0, failed: 1 });
  expect((await listed()).last_error).toMatch(/: broken: ended with code 7 before it was ready/);
  expect(await appList()).toMatch(/ 1 ready, 1 failed +0 .*: broken: /);
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
