/** kill -9 under load: everything is back by itself, no request hangs, nothing is left behind. */
import { readdirSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";

import { DETACHED_MS } from "../../routing/wire/limits.ts";
import { ARE_ALL_REQUESTS } from "../support/e2e-way.ts";
import { type Gateway, startUp, upstream, webServer } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { isAlive, openDescriptors, processTree, untilGone } from "../support/processes.ts";
import { startSteadyLoad } from "../support/steady-load.ts";

const REQUESTS_PER_SECOND = 100;
const NO_RATE_LIMIT = ["--rate-limit", "0"];
/** New connections wait at most 5 s for a workerd that restarts; an answer follows at once. */
const NO_REQUEST_LONGER_THAN_MS = 8_000;
const BACK_WITHIN_MS = 2_000;

/** Asks again and again until `ask` succeeds; returns when that was, on the clock of `performance.now`. */
async function whenItWorks(ask: () => Promise<boolean>, withinMs = 20_000): Promise<number> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    if (await ask().catch(() => false)) return performance.now();
    if (performance.now() > deadline) throw new Error(`not back within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const healthy = (gateway: Gateway) => async () =>
  (await send(gateway.base, "/api/v1/health", { timeoutMs: 5_000 })).status === 200;
const answering = (gateway: Gateway) => async () =>
  (await send(gateway.address(), "/json", { timeoutMs: 5_000 })).status === 200;

test("workerd alone is killed: the gateway starts it again and the box is back within 2 s", async () => {
  const gateway = await startUp([webServer()], { flags: NO_RATE_LIMIT });
  onTestFinished(async () => await gateway.stop());
  await whenItWorks(answering(gateway));
  const load = startSteadyLoad(
    gateway.address(),
    "/json",
    REQUESTS_PER_SECOND,
    NO_REQUEST_LONGER_THAN_MS,
  );
  await whenItWorks(async () => await Promise.resolve(load.outcomes.length > REQUESTS_PER_SECOND));
  const files = readdirSync(gateway.stateDirectory).toSorted();
  const killed = gateway.workerdPid;
  process.kill(killed, "SIGKILL");
  await untilGone(killed);

  const healthyAt = await whenItWorks(healthy(gateway));
  const answeredAt = await whenItWorks(answering(gateway));
  expect(answeredAt - healthyAt).toBeLessThan(BACK_WITHIN_MS);
  const asked = load.outcomes.length;
  await whenItWorks(async () => await Promise.resolve(load.outcomes.length > asked + 200));
  await load.stop();

  expect(load.outcomes.filter(({ result }) => result === "TimeoutError")).toEqual([]);
  expect(load.outcomes.slice(-100).every(({ result }) => result === 200)).toBe(true);
  expect(gateway.workerdPid).not.toBe(killed);
  expect(readdirSync(gateway.stateDirectory).toSorted()).toEqual(files);
  // The load is over: what its connections held has been given back.
  await whenItWorks(async () => await Promise.resolve(openDescriptors(gateway.process.pid) < 100));
});

test("the command is killed: a new start finds everything, ends what was left and is back within 2 s", async () => {
  const first = await startUp([webServer()], { flags: NO_RATE_LIMIT });
  await whenItWorks(answering(first));
  const load = startSteadyLoad(
    first.address(),
    "/json",
    REQUESTS_PER_SECOND,
    NO_REQUEST_LONGER_THAN_MS,
  );
  await whenItWorks(async () => await Promise.resolve(load.outcomes.length > REQUESTS_PER_SECOND));
  const processes = processTree(first.process.pid);
  await first.process.kill();

  const second = await startUp([webServer()], {
    port: first.port,
    stateDirectory: first.stateDirectory,
    flags: NO_RATE_LIMIT,
  });
  onTestFinished(async () => await second.stop());
  const healthyAt = await whenItWorks(healthy(second));
  const answeredAt = await whenItWorks(answering(second));
  expect(answeredAt - healthyAt).toBeLessThan(BACK_WITHIN_MS);
  const asked = load.outcomes.length;
  await whenItWorks(async () => await Promise.resolve(load.outcomes.length > asked + 200));
  await load.stop();

  expect(load.outcomes.filter(({ result }) => result === "TimeoutError")).toEqual([]);
  expect(load.outcomes.slice(-100).every(({ result }) => result === 200)).toBe(true);
  expect(processes.filter(isAlive)).toEqual([]);
});

test("workerd dies: an app is told that its client has left when nobody can come back", async () => {
  const left = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const app = createServer((request, response) => {
    if (request.url !== "/silent") {
      response.end();
      return;
    }
    begun.resolve();
    response.once("close", left.resolve);
  });
  await new Promise<void>((resolve) => {
    app.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => void app.close());
  const gateway = await startUp([upstream((app.address() as AddressInfo).port)]);
  onTestFinished(async () => await gateway.stop());
  const lost = send(gateway.address(), "/silent").catch(() => undefined);
  await begun.promise;
  process.kill(gateway.workerdPid, "SIGKILL");
  await lost;
  await whenItWorks(answering(gateway));
  const backAt = performance.now();
  await left.promise;
  // Where a Worker may have outlived the object, it may attach again: then the call runs for 30 s without anybody.
  expect(performance.now() - backAt).toBeLessThan(ARE_ALL_REQUESTS ? DETACHED_MS + 5_000 : 5_000);
});
