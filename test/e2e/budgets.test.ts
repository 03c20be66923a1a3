/** Budgets of tokens as clients meet them: exact, whatever happens to the gateway. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Gateway, startCommand, startUp, upstream } from "../support/harness.ts";
import { type Answer, send } from "../support/http-client.ts";

/** Requests that the app has got, by the token's name in their path. */
const got = new Map<string, number>();
/** Ends the responses to `/held`. */
const releases: (() => void)[] = [];
let app: Server;
let gateway: Gateway;
beforeAll(async () => {
  app = createServer((request, response) => {
    const path = request.url ?? "";
    got.set(path, (got.get(path) ?? 0) + 1);
    if (path === "/held") releases.push(() => response.end("done"));
    else response.end("ok");
  });
  app.listen(0, "127.0.0.1");
  await once(app, "listening");
  const { port } = app.address() as AddressInfo;
  const endpoint = upstream(port, { function: "private", requires_proxy_auth: true });
  gateway = await startUp([endpoint], { flags: ["--rate-limit", "0"] });
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

const LANES = 8;

/** Sends requests on some lanes, each as fast as it is answered; undefined stands for one that broke. */
async function flood(
  path: string,
  headers: Record<string, string>,
  isOver: (answers: readonly (Answer | undefined)[]) => boolean,
): Promise<(Answer | undefined)[]> {
  const answers: (Answer | undefined)[] = [];
  const lane = async () => {
    while (!isOver(answers)) {
      const sent = send(gateway.address("private"), path, { headers, timeoutMs: 30_000 });
      answers.push(await sent.catch(() => undefined));
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return answers;
}

const passedOf = (answers: readonly (Answer | undefined)[]) =>
  answers.filter((answer) => answer?.status === 200).length;
const refusedOf = (answers: readonly (Answer | undefined)[]) =>
  answers.filter((answer) => answer?.status === 429);

const isFailure = (answer: Answer | undefined) => ![200, 429].includes(answer?.status ?? 0);

/** Sends one request. */
async function one(path: string, headers: Record<string, string>): Promise<Answer> {
  return await send(gateway.address("private"), path, { headers, timeoutMs: 60_000 });
}

/** Resolves when the box serves again. */
async function untilBack(headers: Record<string, string>): Promise<void> {
  const status = async () => (await one("/back", headers).catch(() => undefined))?.status;
  await expect.poll(status, { timeout: 20_000 }).toBe(200);
}

test("what was admitted before workerd was killed is counted after it", async () => {
  const budget = 500;
  const headers = await tokenOf("--budget", `${budget}req/day`);
  const unlimited = await tokenOf();
  let killed = 0;
  const before = await flood("/killed", headers, (answers) => {
    if (passedOf(answers) >= 150 && killed === 0) {
      killed = gateway.workerdPid;
      process.kill(killed, "SIGKILL");
    }
    // Where no request was under way at the kill, none fails: new connections wait for the next workerd.
    return answers.some(isFailure) || refusedOf(answers).length > 0;
  });
  await untilBack(unlimited);
  const after = await flood("/killed", headers, (answers) => refusedOf(answers).length >= LANES);
  // Each request that reached the app was charged. Those that did not failed, or were on lease at the kill.
  const reached = got.get("/killed") ?? 0;
  const failed = [...before, ...after].filter(isFailure).length;
  expect(reached).toBeLessThanOrEqual(budget);
  expect(reached).toBeGreaterThanOrEqual(budget - budget / 100 - failed);
  const [refused] = refusedOf(after);
  expect(refused?.json()).toMatchObject({ code: "budget_spent" });
  expect(Number(refused?.headers["retry-after"])).toBeLessThanOrEqual(86_400);
});

interface UsageRow {
  readonly endpoint: string;
  readonly requests: number;
  readonly container_seconds: number;
  readonly refused: number;
}

/** The rows of `postern usage` of one token. */
async function usageOf(headers: Record<string, string>): Promise<UsageRow[]> {
  const flags = ["--token", headers["modal-key"] ?? "", "--json"];
  const command = startCommand(["usage", ...flags, "--state", gateway.stateDirectory]);
  expect((await command.exited).code).toBe(0);
  return JSON.parse(command.stdout) as UsageRow[];
}

test("a call is charged while it runs, and its token's next one refused, before and after a kill", async () => {
  const headers = await tokenOf("--budget", "2s/day");
  const unlimited = await tokenOf();
  const held = one("/held", headers);
  const refused = async () => (await one("/next", headers)).status;
  // The agent has reported the call's first seconds, and the gateway looked.
  await expect.poll(refused, { timeout: 30_000, interval: 200 }).toBe(429);
  expect((await one("/next", headers)).json()).toMatchObject({
    code: "budget_spent",
    detail: "this token has 2 seconds of containers a day, until midnight UTC",
  });
  expect((await one("/other", unlimited)).status).toBe(200);
  // It goes on to its end.
  expect(releases).toHaveLength(1);
  releases[0]?.();
  expect((await held).text).toBe("done");
  process.kill(gateway.workerdPid, "SIGKILL");
  await untilBack(unlimited);
  expect((await one("/next", headers)).status).toBe(429);
  // Each request that reached the app is in the list, and none twice.
  const requests = async () => (await usageOf(headers)).map((row) => row.requests);
  await expect.poll(requests, { timeout: 20_000 }).toEqual([1 + (got.get("/next") ?? 0)]);
  const [row] = await usageOf(headers);
  expect(row?.endpoint).toBe("main/e2e/private");
  expect(row?.container_seconds).toBeGreaterThanOrEqual(2);
});

test("requests that a limit refuses are in the list, by their tokens", async () => {
  const headers = await tokenOf("--budget", "2req/day");
  const rated = await tokenOf("--rate-limit", "0.001/1000");
  const statuses = async (whose: Record<string, string>) => {
    const all: number[] = [];
    for (let count = 0; count < 5; count += 1) all.push((await one("/counted", whose)).status);
    return all;
  };
  expect(await statuses(headers)).toEqual([200, 200, 429, 429, 429]);
  expect(await statuses(rated)).toEqual([200, 429, 429, 429, 429]);
  const counted = async (whose: Record<string, string>) =>
    (await usageOf(whose)).map(({ requests, refused }) => [requests, refused]);
  await expect.poll(async () => await counted(headers), { timeout: 20_000 }).toEqual([[2, 3]]);
  await expect.poll(async () => await counted(rated), { timeout: 20_000 }).toEqual([[1, 4]]);
});

test("a token with a limit has so many calls at a time, and a place again when one is over", async () => {
  const headers = await tokenOf("--concurrent", "2");
  const other = await tokenOf("--concurrent", "2");
  const before = releases.length;
  const held = [one("/held", headers), one("/held", headers)];
  await expect.poll(() => releases.length, { timeout: 20_000 }).toBe(before + 2);
  const refused = await one("/third", headers);
  expect(refused.status).toBe(429);
  expect(refused.headers["retry-after"]).toBe("1");
  expect(refused.json()).toMatchObject({
    code: "rate_limited",
    detail: "this token may have 2 calls at a time on each box",
  });
  expect(got.has("/third")).toBe(false);
  expect((await one("/third", other)).status).toBe(200);
  releases[before]?.();
  await expect
    .poll(async () => (await one("/fourth", headers)).status, { timeout: 20_000 })
    .toBe(200);
  for (const release of releases.slice(before)) release();
  expect((await Promise.all(held)).map(({ text }) => text)).toEqual(["done", "done"]);
});
