/** Behind a proxy that the operator trusts, apps see the client; behind any other, the proxy. */
import { expect, onTestFinished, test } from "vitest";
import { type RawOrigin, startRawOrigin } from "../support/apps/raw-origin.ts";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { startGateway, startServe, startUp, upstream } from "../support/harness.ts";
import { exchange, headerValues, RawConnection } from "../support/raw-http.ts";

async function forwardedAt(origin: RawOrigin, flags: readonly string[]): Promise<string[]> {
  const postern = await startUp([upstream(origin.port)], { flags });
  try {
    const { host } = postern.address();
    const fields = "X-Forwarded-For: 1.1.1.1, 192.0.2.7\r\nX-Forwarded-Proto: https\r\n";
    const request = `GET /head HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`;
    const { body } = await exchange(postern.port, request);
    const head = Buffer.from(body.toString(), "base64").toString("latin1").toLowerCase();
    return head.split("\r\n").filter((line) => line.startsWith("x-forwarded-"));
  } finally {
    await postern.stop();
  }
}

test("--trusted-proxies decides whose word on the client counts", async () => {
  const origin = await startRawOrigin();
  try {
    expect(await forwardedAt(origin, ["--trusted-proxies", "127.0.0.1,::1"])).toEqual([
      "x-forwarded-for: 192.0.2.7",
      "x-forwarded-proto: https",
    ]);
    expect(await forwardedAt(origin, [])).toEqual([
      "x-forwarded-for: 127.0.0.1",
      "x-forwarded-proto: http",
    ]);
  } finally {
    await origin.close();
  }
});

test("requests of one client that wait leave room for other clients, and for boxes", async () => {
  let waiting = 0;
  const app = createServer((request, response) => {
    if (request.url !== "/slow") {
      response.end();
      return;
    }
    waiting += 1;
    response.once("close", () => (waiting -= 1));
  });
  await new Promise<void>((resolve) => {
    app.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => void app.close());
  // Room for 104 requests that wait, for half of them to one client, and for three quarters to one workspace.
  const gateway = await startGateway({
    descriptors: 600,
    flags: ["--trusted-proxies", "127.0.0.1"],
  });
  onTestFinished(async () => await gateway.stop());
  const ofOne = 52;
  const ofOneWorkspace = 78;
  const endpoint = upstream((app.address() as AddressInfo).port);
  const agent = await startServe(gateway, [endpoint]);
  onTestFinished(() => agent.killTree());
  const { host } = gateway.address("web", "-dev");
  const ask = async (path: string, client: string): Promise<RawConnection> => {
    const connection = await RawConnection.connect(gateway.port);
    connection.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nX-Forwarded-For: ${client}\r\n\r\n`);
    return connection;
  };
  const crowd = await Promise.all(
    Array.from({ length: ofOne }, async () => await ask("/slow", "2001:db8::1")),
  );
  await expect.poll(() => waiting, { timeout: 60_000 }).toBe(ofOne);
  // The whole network of an IPv6 client is one client.
  const refusal = async () => await (await ask("/quick", "2001:db8::2")).response();
  await expect.poll(async () => (await refusal()).status).toBe(429);
  const refused = await refusal();
  expect(JSON.parse(refused.body.toString())).toMatchObject({ code: "rate_limited" });
  expect(headerValues(refused, "retry-after")).toEqual(["1"]);
  expect((await (await ask("/quick", "192.0.2.1")).response()).status).toBe(200);

  const others = await Promise.all(
    Array.from({ length: ofOneWorkspace - ofOne }, async () => await ask("/slow", "192.0.2.1")),
  );
  const full = async () => await (await ask("/quick", "192.0.2.2")).response();
  await expect.poll(async () => (await full()).status, { timeout: 60_000 }).toBe(503);
  expect(JSON.parse((await full()).body.toString())).toMatchObject({ code: "unavailable" });
  const second = await startServe(gateway, [{ ...endpoint, function: "other" }]);
  onTestFinished(() => second.killTree());
  expect((await full()).status).toBe(503);

  for (const connection of [...crowd, ...others]) connection.reset();
  await expect.poll(async () => (await refusal()).status, { timeout: 60_000 }).toBe(200);
});
