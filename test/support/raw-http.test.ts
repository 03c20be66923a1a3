import { afterAll, beforeAll, expect, test } from "vitest";

import { type RawOrigin, startRawOrigin } from "./apps/raw-origin.ts";
import { startCuttableProxy } from "./cuttable-proxy.ts";
import { ConnectionClosed, RawConnection, exchange, headerValues } from "./raw-http.ts";

let origin: RawOrigin;
beforeAll(async () => {
  origin = await startRawOrigin();
});
afterAll(async () => await origin.close());

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

test("a whole chunked body is complete, one without its last chunk is cut", async () => {
  const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  origin.answer("/whole", `${head}3\r\nabc\r\n0\r\n\r\n`);
  origin.answer("/cut", (socket) => void socket.end(`${head}3\r\nabc\r\n`));
  expect(await exchange(origin.port, get("/whole"))).toMatchObject({
    body: Buffer.from("abc"),
    ending: "complete",
  });
  expect(await exchange(origin.port, get("/cut"))).toMatchObject({
    body: Buffer.from("abc"),
    ending: "cut",
  });
});

test("a body shorter than its Content-Length is cut", async () => {
  origin.answer(
    "/short",
    (socket) => void socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
  );
  expect(await exchange(origin.port, get("/short"))).toMatchObject({ ending: "cut" });
});

test("header lines arrive in order, as many as were sent", async () => {
  origin.answer(
    "/lines",
    "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nX: 1\r\nset-cookie: b\r\nContent-Length: 0\r\n\r\n",
  );
  const response = await exchange(origin.port, get("/lines"));
  expect(headerValues(response, "Set-Cookie")).toEqual(["a", "b"]);
});

test("a connection that ends before a head is an error, not a response", async () => {
  origin.answer("/nothing", (socket) => void socket.end());
  await expect(exchange(origin.port, get("/nothing"))).rejects.toBeInstanceOf(ConnectionClosed);
});

test("the origin keeps the head exactly as it came", async () => {
  const request = "GET /head HTTP/1.1\r\nHOST:  a\r\nx-Odd:\tvalue \r\n\r\n";
  const response = await exchange(origin.port, request);
  expect(Buffer.from(response.body.toString(), "base64").toString("latin1")).toBe(
    request.trimEnd().concat(" "),
  );
});

test("cutting the proxy resets both of its ends and the next connection passes again", async () => {
  origin.answer("/hang", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
  const proxy = await startCuttableProxy(origin.port);
  const connection = await RawConnection.connect(proxy.port);
  connection.send(get("/hang"));
  await connection.head();
  expect(proxy.cut()).toBe(1);
  expect(await connection.ending()).toBe("reset");
  expect((await exchange(proxy.port, get("/head"))).status).toBe(200);
  await proxy.close();
});
