/** The endpoint's own limits of time: what the client and the app see when they are reached. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Gateway, startUp, upstream } from "../support/harness.ts";
import { open, send } from "../support/http-client.ts";
import { RawConnection } from "../support/raw-http.ts";

let app: Server;
let postern: Gateway;
const left: string[] = [];

function* flood(): Generator<Buffer> {
  for (;;) yield Buffer.alloc(65_536);
}

beforeAll(async () => {
  // /silent never answers; /endless begins and never ends; /flood sends without an end.
  app = createServer((request, response) => {
    const path = request.url ?? "";
    response.on("close", () => left.push(path));
    if (path === "/endless") response.write("one ");
    if (path === "/flood") Readable.from(flood()).pipe(response);
  });
  await new Promise<void>((resolve) => {
    app.listen(0, "127.0.0.1", resolve);
  });
  const { port } = app.address() as AddressInfo;
  postern = await startUp([upstream(port, { timeout: 1, max_duration: 2 })], {
    env: { POSTERN_DEBUG: "calls" },
  });
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

test("a client that stops sending within timeout is told so, and the app is not blamed", async () => {
  const { port, host } = postern.address();
  const connection = await RawConnection.connect(port);
  const head = `POST /silent?stalled HTTP/1.1\r\nHost: ${host}\r\nAccept: application/json\r\n`;
  connection.send(`${head}Content-Length: 100000\r\n\r\nthe beginning`);
  const { status, body } = await connection.response();
  expect(status).toBe(502);
  expect(JSON.parse(body.toString())).toMatchObject({
    code: "upload_interrupted",
    detail: "the client sent no more for 1 s",
  });
  await expect.poll(() => left).toContain("/silent?stalled");
  connection.reset();
});

test("a client that stops reading ends as its own call, not as the app's timeout", async () => {
  const { port, host } = postern.address();
  const connection = await RawConnection.connect(port);
  connection.send(`GET /flood HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  expect((await connection.head()).status).toBe(200);
  connection.socket.pause();
  await expect.poll(() => left, { timeout: 15_000 }).toContain("/flood");
  await postern.process.waitForErrorOutput(/the client did not take the response within 2 s/);
  connection.reset();
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
