/**
 * OpenAI's SDKs repeat a POST twice after 408, 409, 429 and 5xx, unless they are told not to. A POST that the app may have
 * begun is not repeated where Postern answers in its place. Requests are counted at the app.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";

import { CLIENTS, installNodeLibraries, run } from "../support/clients/clients.ts";
import { type Gateway, startUp, upstream } from "../support/harness.ts";
import { ensureVenv } from "../support/venv.ts";

const SETUP_TIMEOUT_MS = 600_000;

/** How the app fails, by the query of its request. */
const FAILURES: Readonly<Record<string, (response: ServerResponse) => void>> = {
  resets: (response) => response.socket?.resetAndDestroy(),
  // Until the endpoint's timeout.
  hangs: () => undefined,
  refuses: (response) => response.writeHead(503).end(),
};

let postern: Gateway;
let python: string;
const counts = new Map<string, number>();

const app = createServer((request: IncomingMessage, response: ServerResponse) => {
  const { searchParams } = new URL(request.url ?? "", "http://app");
  const key = searchParams.get("key") ?? "";
  counts.set(key, (counts.get(key) ?? 0) + 1);
  request.resume().once("end", () => FAILURES[key.split("/")[0] ?? ""]?.(response));
});

beforeAll(async () => {
  [python] = await Promise.all([ensureVenv(), installNodeLibraries()]);
  await new Promise<void>((resolve) => {
    app.listen(0, "127.0.0.1", resolve);
  });
  postern = await startUp([upstream((app.address() as AddressInfo).port, { timeout: 2 })]);
}, SETUP_TIMEOUT_MS);
afterAll(async () => {
  await postern.stop();
  app.closeAllConnections();
  app.close();
});

const SDKS = CLIENTS.filter(({ name }) => name.startsWith("OpenAI SDK"));

test.for(
  SDKS.flatMap((sdk) => [
    { ...sdk, what: "asks once where the app resets its connection", key: "resets", status: 502 },
    { ...sdk, what: "asks once where the app does not answer in time", key: "hangs", status: 504 },
  ]),
)("the $name $what", async ({ name, command, key, status }) => {
  const counted = `${key}/${name}`;
  const url = `http://${postern.address().host}/?key=${encodeURIComponent(counted)}`;
  expect(await run(command({ python, go: "" }, url))).toMatchObject({ status });
  expect(counts.get(counted)).toBe(1);
});

test.for(SDKS)("the $name repeats a 503 of the app's own twice", async ({ name, command }) => {
  const counted = `refuses/${name}`;
  const url = `http://${postern.address().host}/?key=${encodeURIComponent(counted)}`;
  expect(await run(command({ python, go: "" }, url))).toMatchObject({ status: 503 });
  expect(counts.get(counted)).toBe(3);
});
