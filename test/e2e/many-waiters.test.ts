/**
 * Clients that wait by the thousand at one endpoint: they take no stream, so the box's other endpoint, its operations
 * and its deployments go on as if nobody waited, and what breaks behind them costs none of them its place.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { resetOrigin, startBox } from "../support/box.ts";
import { startCuttableProxy } from "../support/cuttable-proxy.ts";
import { writeDeployable } from "../support/deployable.ts";
import {
  type EndpointTable,
  type Gateway,
  startCommand,
  startGateway,
  startUp,
  upstream,
} from "../support/harness.ts";
import { open, readAll, send } from "../support/http-client.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const MANY = 2_000;
const SOME = 200;
const LEAVING = 50;
const ASKED = 200;
/** Two cores that others share: a latency is compared with the same one before. */
const TIMES = 2;
const SPARE_MS = 2;

/** The app behind the busy endpoint, which has one place: it answers when the test says so. */
const order: string[] = [];
let release: (() => void) | undefined;
let isOpen = false;
let app: Server;
/** Of the test that runs. */
let gateway: Gateway;

function answer(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url ?? "";
  if (path.startsWith("/wait/")) {
    order.push(path);
    const go = (): void => void response.end(`answer to ${path}`);
    if (isOpen) go();
    else release = go;
  } else response.end("quick");
}

beforeAll(async () => {
  app = createServer(answer);
  app.listen(0, "127.0.0.1");
  await once(app, "listening");
});
afterAll(() => app.close());

const FLAGS = ["--rate-limit", "0", "--request-timeout", "100"];

function endpoints(): EndpointTable[] {
  const { port } = app.address() as AddressInfo;
  return [
    upstream(port, { function: "busy", max_inputs: 1, max_pending: MANY }),
    upstream(port, { function: "free", max_inputs: 10 }),
  ];
}

async function command(...args: string[]): Promise<string> {
  const managed = startCommand([...args, "--state", gateway.stateDirectory]);
  const { code } = await managed.exited;
  expect([args[0], code, managed.stderr]).toEqual([args[0], 0, managed.stderr]);
  return managed.stdout;
}

/** Requests that wait at the busy endpoint. */
async function waiting(): Promise<number> {
  const apps = JSON.parse(await command("app", "list", "--json")) as { waiting: number }[];
  return apps.reduce((sum, { waiting: count }) => sum + count, 0);
}

interface Waiter {
  readonly path: string;
  readonly answer: Promise<string>;
  leave(): void;
}

/** Waits at the busy endpoint. */
function wait(path: string): Waiter {
  const gone = new AbortController();
  const asked = open(gateway.address("busy"), path, { timeoutMs: 110_000, signal: gone.signal });
  const text = asked.then(async (response) => {
    const body = (await readAll(response)).toString();
    return `${response.statusCode} ${body}`;
  });
  return { path, answer: text.catch(() => "left"), leave: () => gone.abort() };
}

/** Takes the busy endpoint's place, and lets this many wait behind it, in their order. */
async function occupy(name: string, count: number): Promise<Waiter[]> {
  isOpen = false;
  order.length = 0;
  const waiters: Waiter[] = [];
  for (let number = 0; number <= count; number += 1) {
    waiters.push(wait(`/wait/${name}/${number}`));
    if (number === 0) await expect.poll(() => order.length).toBe(1);
    // Another request's answer says that this one has arrived: so the order of a few is known.
    else if (count <= SOME || number % 20 === 0) await send(gateway.address("free"), "/");
  }
  await expect.poll(waiting, { timeout: 60_000 }).toBe(count);
  return waiters;
}

function letGo(): void {
  isOpen = true;
  release?.();
}

/** The median time of a request to the other endpoint, in milliseconds. */
async function latencyMs(): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < ASKED; count += 1) {
    const startedAt = performance.now();
    expect((await send(gateway.address("free"), "/")).text).toBe("quick");
    times.push(performance.now() - startedAt);
  }
  return times.toSorted((a, b) => a - b)[ASKED / 2] as number;
}

test(`${MANY} waiters leave another endpoint its latency, and operations and deployments their streams`, async () => {
  gateway = await startUp(endpoints(), { flags: FLAGS });
  onTestFinished(async () => await gateway.stop());
  await latencyMs();
  const idleMs = await latencyMs();
  const waiters = await occupy("many", MANY);
  expect(await latencyMs()).toBeLessThan(TIMES * idleMs + SPARE_MS);
  expect(await command("call", "list")).toContain("busy");
  const directory = temporaryDirectory();
  writeDeployable(directory, "beside", "deployed", { web: {} });
  await command("deploy", join(directory, "postern.toml"));
  letGo();
  const answers = await Promise.all(waiters.map((waiter) => waiter.answer));
  expect(answers).toEqual(waiters.map(({ path }) => `200 answer to ${path}`));
  expect(new Set(order).size).toBe(MANY + 1);
}, 180_000);

test("a cut link and a reset object cost no waiter its place, and who leaves never reaches the app", async () => {
  gateway = await startGateway({ isFaulty: true, flags: FLAGS });
  const proxy = await startCuttableProxy(gateway.workerdPort);
  const place = { gateway, throughPort: proxy.port, stateDirectory: temporaryDirectory() };
  const agent = await startBox(place, endpoints());
  onTestFinished(async () => {
    await agent.stop();
    await proxy.close();
    await gateway.stop();
  });
  const waiters = await occupy("some", SOME);
  proxy.cut();
  await expect.poll(waiting, { timeout: 30_000 }).toBe(SOME);
  await resetOrigin(gateway);
  await expect.poll(waiting, { timeout: 30_000 }).toBe(SOME);
  const leaving = waiters.filter((_, index) => index > 0 && index <= LEAVING);
  for (const waiter of leaving) waiter.leave();
  await expect.poll(waiting, { timeout: 30_000 }).toBe(SOME - LEAVING);
  letGo();
  const staying = waiters.filter((waiter) => !leaving.includes(waiter));
  const answers = await Promise.all(staying.map((waiter) => waiter.answer));
  expect(answers).toEqual(staying.map(({ path }) => `200 answer to ${path}`));
  expect(order).toEqual(staying.map(({ path }) => path));
}, 180_000);
