/** The endpoint's own limits of time: what the client and the app see when they are reached. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Gateway, startUp, upstream } from "../support/harness.ts";
import { open, send } from "../support/http-client.ts";

let app: Server;
let postern: Gateway;
const left: string[] = [];

beforeAll(async () => {
  // /silent never answers; /endless begins and never ends.
  app = createServer((request, response) => {
    const path = request.url ?? "";
    response.on("close", () => left.push(path));
    if (path === "/endless") response.write("one ");
  });
  await new Promise<void>((resolve) => {
    app.listen(0, "127.0.0.1", resolve);
  });
  const { port } = app.address() as AddressInfo;
  postern = await startUp([upstream(port, { timeout: 1, max_duration: 1 })]);
});

afterAll(async () => {
  await postern.stop();
  app.close();
});

test("an app that does not answer within timeout is 504, sees a disconnect, and is not asked again", async () => {
  const { status, headers, body } = await send(postern.address(), "/silent", { method: "POST" });
  expect(status).toBe(504);
  expect(JSON.parse(body.toString())).toMatchObject({ code: "call_timeout" });
  expect(headers["x-should-retry"]).toBe("false");
  await expect.poll(() => left).toContain("/silent");
  expect(left.filter((path) => path === "/silent")).toHaveLength(1);
});

test("an answer that lasts longer than max_duration is cut, never ended cleanly", async () => {
  const response = await open(postern.address(), "/endless");
  const chunks: Buffer[] = [];
  const whole = (async () => {
    for await (const chunk of response) chunks.push(chunk as Buffer);
  })();
  await expect(whole).rejects.toThrow();
  expect(Buffer.concat(chunks).toString()).toBe("one ");
  await expect.poll(() => left).toContain("/endless");
});
