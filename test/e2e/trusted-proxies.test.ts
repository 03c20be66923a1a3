/** Behind a proxy that the operator trusts, apps see the client; behind any other, the proxy. */
import { expect, test } from "vitest";
import { type RawOrigin, startRawOrigin } from "../support/apps/raw-origin.ts";
import { startUp, upstream } from "../support/harness.ts";
import { exchange } from "../support/raw-http.ts";

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
