import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type Gateway, startUp, webServer } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { itServesHttpFaithfully } from "../support/http-suite.ts";
import { RawConnection, headerValues } from "../support/raw-http.ts";

describe("a plain HTTP server started by its command line", () => {
  let postern: Gateway;
  beforeAll(async () => {
    postern = await startUp([webServer()]);
    await send(postern.address(), "/json", { timeoutMs: 60_000 });
  });
  afterAll(async () => await postern.stop());

  itServesHttpFaithfully(() => postern.address());

  test("trailers are dropped and the connection goes on cleanly", async () => {
    const { port, host } = postern.address();
    const connection = await RawConnection.connect(port);
    connection.send(`GET /trailers HTTP/1.1\r\nHost: ${host}\r\nTE: trailers\r\n\r\n`);
    const response = await connection.response();
    expect(response.body.toString()).toBe("body");
    expect(headerValues(response, "x-checksum")).toEqual([]);
    connection.send(`GET /json HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect((await connection.response()).status).toBe(200);
    connection.reset();
  });

  test("an upgrade to h2c is ignored, and gRPC is refused by a line that says why", async () => {
    const address = postern.address();
    const upgrade = {
      connection: "Upgrade, HTTP2-Settings",
      upgrade: "h2c",
      "http2-settings": "AA",
    };
    const served = await send(address, "/json", { headers: upgrade });
    expect([served.status, served.headers["upgrade"]]).toEqual([200, undefined]);
    const offered = {
      connection: "Upgrade",
      upgrade: "h2c, websocket",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      "sec-websocket-version": "13",
    };
    expect((await send(address, "/json", { headers: offered })).status).toBe(200);
    const headers = { "content-type": "application/grpc", te: "trailers" };
    const refused = await send(address, "/hello.Greeter/SayHello", { method: "POST", headers });
    expect(refused.status).toBe(501);
    expect(refused.json()).toMatchObject({ code: "not_supported" });
    expect(refused.text).toContain("gRPC-Web");
  });

  test("trailers of a request never become headers", async () => {
    const { port, host } = postern.address();
    const connection = await RawConnection.connect(port);
    connection.send(
      `POST /seen/trailers HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n` +
        "4\r\nbody\r\n0\r\nX-Forged: yes\r\n\r\n",
    );
    const response = await connection.response();
    const request = JSON.parse(response.body.toString()) as { body: string; headers: string[][] };
    expect(request.body).toBe("body");
    expect(request.headers.map(([name]) => name?.toLowerCase())).not.toContain("x-forged");
    connection.reset();
  });
});
