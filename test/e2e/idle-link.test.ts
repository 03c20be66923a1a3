/** The object of an idle link leaves memory, and nothing of a call that has ended keeps it there. */
import { setTimeout as delay } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";

import { startGateway, startServe, webServer } from "../support/harness.ts";
import { open, send } from "../support/http-client.ts";

/** The object's own work ends 12 s after its last call; workerd lets it hibernate 10 s later. */
const IDLE_MS = 30_000;

test("an idle link hibernates, whatever its last calls waited for, and serves the next one", async () => {
  const gateway = await startGateway({ isFaulty: true });
  onTestFinished(async () => await gateway.stop());
  const agent = await startServe(gateway, [webServer()]);
  onTestFinished(() => agent.killTree());
  const begun = async (): Promise<number> =>
    Number((await send(gateway.base, "/_postern/test/origins-begun")).text);
  const address = gateway.address("web", "-dev");
  expect((await send(address, "/json")).status).toBe(200);
  // The client's patience of 150 s begins, and ends with its response.
  for await (const _ of await open(address, "/download?size=3000000"));
  expect((await send(address, "/json")).status).toBe(200);
  const before = await begun();
  await delay(IDLE_MS);
  expect((await send(address, "/json")).status).toBe(200);
  expect(await begun()).toBe(before + 1);
}, 120_000);
