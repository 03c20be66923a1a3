/**
 * What any HTTP server behind Postern must look like to its clients: one list of tests for all kinds
 * of apps. The apps answer the same paths (test/support/apps); what only one of them can do is tested
 * beside the call of this suite.
 */
import { randomBytes } from "node:crypto";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { expect, test } from "vitest";

import { type Address, events, open, send } from "./http-client.ts";
import { RawConnection, exchange, headerValues } from "./raw-http.ts";

/** What `/seen/…` reports of the request that reached the app. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly client: string;
  readonly raw_path: string;
  readonly query: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

/** Registers the tests; `server` is asked when they run, after the app has started. */
export function itServesHttpFaithfully(server: () => Address): void {
  const seen = async (path: string, options: Parameters<typeof send>[2] = {}) =>
    (await send(server(), path, options)).json() as Seen;

  test("JSON goes both ways", async () => {
    const body = JSON.stringify({ n: 1.5, s: "☃" });
    const posted = await send(server(), "/json", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    expect(posted.json()).toEqual({ received: { n: 1.5, s: "☃" } });
    expect((await send(server(), "/json")).json()).toEqual({ hello: "world", snowman: "☃" });
  });

  test("the app sees the public host, the scheme and the client's address", async () => {
    const request = await seen("/seen/here?a=1");
    expect(request.url).toBe(`http://${server().host}/seen/here?a=1`);
    expect(request.client).toBe("127.0.0.1");
    const names = request.headers.map(([name]) => name.toLowerCase());
    expect(names).toContain("x-request-id");
    expect(names).toContain("traceparent");
    expect(names).toContain("postern-call-id");
    expect(names).not.toContain("x-forwarded-host");
  });

  test.each(["PUT", "PATCH", "DELETE", "OPTIONS", "POST"])(
    "%s reaches the app with its body",
    async (method) => {
      const request = await seen("/seen/method", { method, body: "text" });
      expect(request).toMatchObject({ method, body: "text" });
    },
  );

  test("HEAD has the headers of its GET and no body", async () => {
    const connection = await RawConnection.connect(server().port);
    connection.send(`HEAD /seen/head HTTP/1.1\r\nHost: ${server().host}\r\n\r\n`);
    const response = await connection.response("HEAD");
    expect(response.status).toBe(200);
    expect(headerValues(response, "x-method")).toEqual(["HEAD"]);
    // The next answer on this connection is its own: nothing of a body stood in between.
    connection.send(`GET /json HTTP/1.1\r\nHost: ${server().host}\r\n\r\n`);
    expect(JSON.parse((await connection.response()).body.toString())).toHaveProperty("hello");
    connection.reset();
  });

  test.each([204, 304])("a %i has no body and keeps its ETag", async (status) => {
    const connection = await RawConnection.connect(server().port);
    connection.send(`GET /status/${status} HTTP/1.1\r\nHost: ${server().host}\r\n\r\n`);
    const response = await connection.response();
    expect(response.status).toBe(status);
    expect(headerValues(response, "etag")).toEqual(['"v1"']);
    connection.send(`GET /json HTTP/1.1\r\nHost: ${server().host}\r\n\r\n`);
    expect((await connection.response()).status).toBe(200);
    connection.reset();
  });

  test.each([
    ["gzip", gzipSync],
    ["br", brotliCompressSync],
  ] as const)("%s bodies pass byte for byte in both directions", async (encoding, compress) => {
    const body = compress(randomBytes(300_000).toString("hex"));
    const answer = await send(server(), `/encoded?encoding=${encoding}`, {
      method: "POST",
      headers: { "content-encoding": encoding, "accept-encoding": "identity" },
      body,
    });
    expect(answer.headers["content-encoding"]).toBe(encoding);
    expect(answer.headers["x-request-encoding"]).toBe(encoding);
    expect(answer.body.equals(body)).toBe(true);
  });

  test("two Set-Cookie headers stay two", async () => {
    const { headers } = await send(server(), "/cookies");
    expect(headers["set-cookie"]).toHaveLength(2);
    expect(headers["set-cookie"]?.join()).toMatch(/one=1.*two=2/);
  });

  test("header values beyond ASCII arrive as UTF-8, whichever bytes the app sent", async () => {
    const response = await exchange(
      server().port,
      `GET /raw-headers/ HTTP/1.1\r\nHost: ${server().host}\r\n\r\n`,
    );
    for (const name of ["x-utf8", "x-latin1"]) {
      const [value = ""] = headerValues(response, name);
      expect(Buffer.from(value, "latin1").toString("utf8"), name).toBe("grüße");
    }
  });

  test("a UTF-8 header value of the client reaches the app byte for byte", async () => {
    const value = Buffer.from("grüße", "utf8").toString("latin1");
    const response = await exchange(
      server().port,
      `GET /seen/header HTTP/1.1\r\nHost: ${server().host}\r\nX-Greeting: ${value}\r\n\r\n`,
    );
    const request = JSON.parse(response.body.toString()) as Seen;
    expect(request.headers.find(([name]) => name.toLowerCase() === "x-greeting")?.[1]).toBe(value);
  });

  test.each([
    "/seen/a%2Fb/%2e%2e/c",
    "/seen/a/../b/./c",
    "/seen//double///slash",
    "/seen/%E2%98%83/%7Etilde/plus+plus",
    "/seen/semi;colon=1,2:3@4",
  ])("the path %s reaches the app as sent", async (path) => {
    expect((await seen(`${path}?q=%2F..&&x=+%20`)).raw_path).toBe(path);
    expect((await seen(`${path}?q=%2F..&&x=+%20`)).query).toBe("q=%2F..&&x=+%20");
  });

  test("events arrive one by one, not at the end", async () => {
    const response = await open(server(), "/events?count=5&interval_ms=100");
    const arrivedAtMs: number[] = [];
    const numbers: string[] = [];
    for await (const event of events(response)) {
      arrivedAtMs.push(performance.now());
      numbers.push(event);
    }
    expect(numbers).toEqual(["0", "1", "2", "3", "4"]);
    // Four gaps of 100 ms. Had anything collected events, the first would have come with the last.
    expect((arrivedAtMs.at(-1) ?? 0) - (arrivedAtMs[0] ?? 0)).toBeGreaterThan(250);
  });

  test("a download without a declared length arrives whole", async () => {
    const { body, headers } = await send(server(), "/download?size=3000000&length=false");
    expect(body).toHaveLength(3_000_000);
    expect(headers["content-length"]).toBeUndefined();
  });

  test("a declared Content-Length is kept", async () => {
    const { body, headers } = await send(server(), "/download?size=3000000");
    expect(body).toHaveLength(3_000_000);
    expect(headers["content-length"]).toBe("3000000");
  });
}
