/**
 * A person alone, in a real browser, at an endpoint whose GPU is declared. A start that no call waits for is given up after
 * 10 s, and each page ends its call: the page's own requests alone keep the start going.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";

import { startChromium } from "../support/chromium.ts";
import { APPS, type Gateway, startUp } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { commandLine, processTree } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const SERVER = "slow-start-server.ts";
/** The start takes longer than one that nobody waits for may. */
const START_MS = 15_000;
const SOON = { timeout: 30_000 };

/** When it is there, the server listens. */
const ready = join(temporaryDirectory(), "ready");

let postern: Gateway;
let browser: Browser;
beforeAll(async () => {
  writeFileSync(ready, "");
  [postern, browser] = await Promise.all([
    startUp(
      [
        {
          function: "web",
          web_server: ["node", join(APPS, SERVER)],
          env: { READY: ready },
          gpus: 1,
          max_inputs: 100,
          scaledown_window: 2,
        },
      ],
      { env: { POSTERN_GPUS: "H100:80GiB" } },
    ),
    startChromium(),
  ]);
});
afterAll(async () => {
  await browser.close();
  await postern.stop();
});

/** The processes of the endpoint's container. */
function servers(): number[] {
  return processTree(postern.process.pid).filter((pid) => commandLine(pid).includes(SERVER));
}

test("a lone visitor sees the page that waits, whose start goes on, and then the app", async () => {
  const address = postern.address();
  expect((await send(address, "/first")).status).toBe(200);
  rmSync(ready);
  await expect.poll(servers, SOON).toEqual([]);

  const page = await browser.newPage();
  const statuses: number[] = [];
  page.on("response", (response) => {
    if (new URL(response.url()).pathname === "/page") statuses.push(response.status());
  });
  const openedAt = performance.now();
  await page.goto(`http://${address.host}/page`);
  expect(await page.title()).toMatch(/ is starting$/);
  expect(await page.textContent("body")).toContain("It should answer in about ");
  const started = servers();
  expect(started).not.toEqual([]);
  await expect
    .poll(() => performance.now() - openedAt, { timeout: 2 * START_MS })
    .toBeGreaterThan(START_MS);
  expect(servers()).toEqual(started);
  writeFileSync(ready, "");

  await expect.poll(async () => await page.title(), SOON).toBe("the app");
  const counts = (await send(address, "/counts")).json();
  // The requests that were shown the page have ended with it.
  expect(counts).toMatchObject({ "/page": 1 });
  expect(servers()).toEqual(started);
  // It has asked again every few seconds.
  expect(statuses.slice(0, -1).every((status) => status === 503)).toBe(true);
  expect(statuses.length).toBeGreaterThan(START_MS / 5_000);
  expect(statuses.at(-1)).toBe(200);
});
