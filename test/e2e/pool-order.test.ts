/** Many clients at one pool of several containers: never too many at one of them, none lost, and each in its turn. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { APPS, type Gateway, startUp, upstream } from "../support/harness.ts";
import { send } from "../support/http-client.ts";

const CLIENTS = 500;
const CONTAINERS = 4;
const MAX_INPUTS = 8;
const PLACES = CONTAINERS * MAX_INPUTS;

interface Begun {
  readonly path: string;
  readonly container: string;
  /** Requests that its container had, with it. */
  readonly held: number;
}

/** The requests that reached a container, in their order, and those that wait for leave. */
const begun: Begun[] = [];
const waiting: (() => void)[] = [];
let keeper: Server;
let gateway: Gateway;
beforeAll(async () => {
  keeper = createServer((request, response) => {
    if (request.method === "GET") {
      response.end("fence");
      return;
    }
    const query = new URL(request.url ?? "", "http://keeper.invalid").searchParams;
    const [path = "", container = "", held] = ["path", "container", "held"].map(
      (name) => query.get(name) ?? "",
    );
    begun.push({ path, container, held: Number(held) });
    waiting.push(() => response.end());
  });
  keeper.listen(0, "127.0.0.1");
  await once(keeper, "listening");
  const { port } = keeper.address() as AddressInfo;
  const pool = {
    function: "pool",
    web_server: ["node", `${APPS}/counted-server.ts`],
    env: { KEEPER: `http://127.0.0.1:${port}` },
    max_inputs: MAX_INPUTS,
    min_containers: CONTAINERS,
    max_containers: CONTAINERS,
  };
  gateway = await startUp([pool, upstream(port, { function: "fence" })], {
    flags: ["--rate-limit", "0"],
  });
});
afterAll(async () => {
  await gateway.stop();
  keeper.closeAllConnections();
  keeper.close();
});

/** Lets the request end that has waited longest for leave. */
function letOneEnd(): void {
  waiting.shift()?.();
}

test(`${CLIENTS} clients on ${CONTAINERS} containers with max_inputs = ${MAX_INPUTS} begin in their order, all once`, async () => {
  const answers: Promise<string>[] = [];
  for (let number = 0; number < CLIENTS; number += 1) {
    const path = `/${number}`;
    const options = { timeoutMs: 110_000 };
    const sent = send(gateway.address("pool"), path, options);
    answers.push(sent.then(({ status, text }) => `${status} ${text}`));
    // Another request's answer says that this one has arrived.
    await send(gateway.address("fence"), "/");
  }
  await expect.poll(() => begun.length, { timeout: 60_000 }).toBe(PLACES);
  const containers = new Set(begun.map(({ container }) => container));
  expect(containers.size).toBe(CONTAINERS);

  // Each that ends makes room for one, so that the order is known.
  for (let count = PLACES + 1; count <= CLIENTS; count += 1) {
    letOneEnd();
    await expect.poll(() => begun.length, { interval: 1, timeout: 10_000 }).toBe(count);
  }
  while (waiting.length > 0) letOneEnd();
  const paths = answers.map((_, number) => `/${number}`);
  expect(await Promise.all(answers)).toEqual(paths.map((path) => `200 answer to ${path}`));
  expect(begun.map(({ path }) => path).slice(PLACES)).toEqual(paths.slice(PLACES));
  expect(new Set(begun.map(({ path }) => path))).toEqual(new Set(paths));
  expect(Math.max(...begun.map(({ held }) => held))).toBe(MAX_INPUTS);
}, 180_000);
