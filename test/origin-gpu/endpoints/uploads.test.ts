/** Uploads to a real app while the box's room for bodies runs out. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { BodySpools } from "../../../origin-gpu/calls/body-spool.ts";
import { RequestBody } from "../../../origin-gpu/calls/request-body.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { endpointConfig } from "../containers/endpoint.ts";
import { endpointOf, open, PATIENCE, StandInCall } from "./stand-in-call.ts";

const PART = Buffer.alloc(10_000, 1);

/** An endpoint whose bodies have room for one part and a half. Its app counts bytes, and holds /held. */
async function uploads(maxRetries: number) {
  let received = 0;
  let free: (() => void) | undefined;
  const server = createServer((request, response) => {
    if (request.url === "/held") free = () => response.end();
    request.on("data", ({ length }: Buffer) => (received += length));
    request.on("end", () => request.url === "/upload" && response.end(`${received}`));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const settings = endpointConfig({
    kind: { type: "upstream", url: `http://127.0.0.1:${port}` },
    retries: { maxRetries, initialDelay: 1, backoffCoefficient: 1, maxDelay: 60 },
  });
  const bodies = await BodySpools.open({ directory: temporaryDirectory(), limitBytes: 20_000 });
  const { endpoint } = endpointOf(settings, { bodies });
  const body = new RequestBody(undefined, PART, false);
  const call = new StandInCall("/upload", { method: "POST", body });
  return {
    body,
    call,
    begin: () => open(endpoint, settings, call),
    hold: async () => {
      open(endpoint, settings, new StandInCall("/held"));
      await expect.poll(() => free, PATIENCE).toBeDefined();
      return free as () => void;
    },
    read: async () => await expect.poll(() => received, PATIENCE).toBe(PART.length),
  };
}

test.each([0, 1])("one that the app reads goes on, with max_retries = %d", async (maxRetries) => {
  const { body, call, begin, read } = await uploads(maxRetries);
  begin();
  await read();
  for (const isLast of [false, false, true]) body.push(PART, isLast);
  expect([await call.outcome, call.text]).toEqual([200, `${PART.length * 4}`]);
});

test("one that waited goes on once the app reads it", async () => {
  const { body, call, begin, hold, read } = await uploads(0);
  const free = await hold();
  begin();
  free();
  await read();
  for (const isLast of [false, false, true]) body.push(PART, isLast);
  expect([await call.outcome, call.text]).toEqual([200, `${PART.length * 4}`]);
});
