import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { LoopbackProxy } from "../../../origin-gpu/apps/loopback-proxy.ts";
import { headerValues, RawConnection } from "../../support/raw-http.ts";

/** A stand-in for the gateway, and the proxy of an endpoint at it. */
async function start(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  onUpgrade?: (request: IncomingMessage, socket: Socket) => void,
) {
  const requests: IncomingMessage[] = [];
  const gateway = createServer({ maxHeaderSize: 200_000 }, (request, response) => {
    requests.push(request);
    answer(request, response);
  });
  gateway.on("upgrade", (request, socket: Socket, first) => {
    socket.unshift(first);
    requests.push(request);
    onUpgrade?.(request, socket);
  });
  await new Promise<void>((resolve) => {
    gateway.listen(0, "127.0.0.1", resolve);
  });
  const host = `local--shop-web.localhost:${(gateway.address() as AddressInfo).port}`;
  const proxy = await LoopbackProxy.open(new URL(`http://${host}`));
  onTestFinished(() => {
    void proxy.close();
    gateway.closeAllConnections();
    gateway.close();
  });
  const authority = new URL(proxy.url).host;
  const connection = await RawConnection.connect(Number(new URL(proxy.url).port));
  onTestFinished(() => void connection.socket.destroy());
  return { host, proxy, authority, requests, connection };
}

/** Resolves when this text has come at the end of what came. */
async function received(connection: RawConnection, ending: string): Promise<void> {
  let came = "";
  while (!came.trimEnd().endsWith(ending)) {
    const bytes = await connection.nextBytes();
    if (bytes.length === 0) throw new Error(`the connection ended after ${came}`);
    came += bytes.toString();
  }
}

test("a request reaches the endpoint under the endpoint's Host, and is else as it was sent", async () => {
  const bodies: Promise<string>[] = [];
  const { host, authority, requests, connection } = await start((request, response) => {
    bodies.push(text(request));
    const lines = ["Set-Cookie", "a=1", "Set-Cookie", "b=2", "Location", "/x?__postern_call=t"];
    response.writeHead(303, "See Other", lines).end("moved");
  });
  const cookie = "c".repeat(60_000);
  for (const framing of [
    "Content-Length: 4\r\n\r\nbody",
    "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
  ]) {
    connection.socket.write(
      `POST /a%2Fb?q=%20 HTTP/1.1\r\nHost: ${authority}\r\nX-Twice: 1\r\nx-twice: 2\r\nCookie: ${cookie}\r\n${framing}`,
    );
    // The second comes on the connection of the first.
    const response = await connection.response();
    expect(response).toMatchObject({ status: 303, ending: "complete", body: Buffer.from("moved") });
    expect(headerValues(response, "set-cookie")).toEqual(["a=1", "b=2"]);
    expect(headerValues(response, "location")).toEqual(["/x?__postern_call=t"]);
  }
  for (const { method, url, rawHeaders } of requests) {
    expect(`${method} ${url}`).toBe("POST /a%2Fb?q=%20");
    const sent = rawHeaders.slice(0, 8);
    expect(sent).toEqual(["Host", host, "X-Twice", "1", "x-twice", "2", "Cookie", cookie]);
  }
  expect(await Promise.all(bodies)).toEqual(["body", "body"]);
});

test.each([
  ["the Host of a stranger's page whose name was rebound", 421, () => "Host: evil.example:80"],
  ["the endpoint's own Host", 421, () => "Host: local--shop-web.localhost"],
  ["two Hosts", 421, (own: string) => `Host: ${own}\r\nHost: ${own}`],
  ["a browser", 403, (own: string) => `Host: ${own}\r\nSec-Fetch-Site: cross-site`],
])("%s is refused, and nothing reaches the gateway", async (_what, status, lines) => {
  const { authority, requests, connection } = await start((_request, response) => response.end());
  const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  for (const more of ["", upgrade]) {
    const other =
      more === "" ? connection : await RawConnection.connect(Number(authority.split(":")[1]));
    other.socket.write(`GET / HTTP/1.1\r\n${lines(authority)}\r\n${more}\r\n`);
    expect((await other.response()).status).toBe(status);
    other.socket.destroy();
  }
  expect(requests).toEqual([]);
});

test("a response streams, and a client that leaves is gone at the gateway too", async () => {
  const left = Promise.withResolvers<void>();
  const { authority, connection } = await start((request, response) => {
    response.write("first");
    request.once("close", left.resolve);
  });
  connection.socket.write(`GET / HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  await received(connection, "first");
  connection.socket.destroy();
  await left.promise;
});

test("what the gateway breaks off breaks off, and never ends cleanly", async () => {
  const { authority, connection } = await start((request, response) => {
    if (request.url === "/") response.write("first", () => response.destroy());
    else response.destroy();
  });
  connection.socket.write(`GET / HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  expect((await connection.response()).ending).toBe("cut");
  const other = await RawConnection.connect(Number(authority.split(":")[1]));
  other.socket.write(`GET /head HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  await expect(other.response()).rejects.toThrow("connection closed after 0 bytes");
});

test("a response that comes before its upload has ended arrives whole", async () => {
  const { authority, connection } = await start((_request, response) => {
    response.writeHead(401, { connection: "close" }).end("no");
  });
  connection.socket.write(
    `POST / HTTP/1.1\r\nHost: ${authority}\r\nContent-Length: 1000000\r\n\r\nbegin`,
  );
  expect(await connection.response()).toMatchObject({ status: 401, ending: "complete" });
});

test("a WebSocket's bytes pass both ways", async () => {
  const { host, authority, requests, connection } = await start(
    (_request, response) => response.end(),
    (_request, socket) => {
      socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
      );
      socket.on("data", (bytes) => socket.write(`echo ${bytes.toString()}`));
      socket.on("error", () => undefined);
    },
  );
  connection.socket.write(
    `GET /ws HTTP/1.1\r\nHost: ${authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly`,
  );
  await received(connection, "echo early");
  expect(requests[0]?.headers.host).toBe(host);
  connection.socket.write("later");
  await received(connection, "echo later");
});
