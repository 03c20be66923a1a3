import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { startFront, type Front, type FrontOptions } from "../../cli/front/front.ts";
import { RawConnection } from "../support/raw-http.ts";
import {
  startUpstream,
  type UpstreamConnection,
  type UpstreamStandIn,
} from "./upstream-stand-in.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** tcpmux: nothing listens there. */
const PORT_OF_NOBODY = 1;

async function frontBefore(
  upstream: Pick<UpstreamStandIn, "port"> | undefined,
  options: Partial<FrontOptions> = {},
): Promise<Front> {
  const front = await startFront({
    host: "127.0.0.1",
    port: 0,
    baseDomain: () => "localhost:8787",
    secret: "secret",
    upstreamPort: async () => upstream?.port ?? (await new Promise<number>(() => undefined)),
    maxConnections: 100,
    isProxy: () => true,
    isBoxCredential: async () => false,
    log: () => undefined,
    ...options,
  });
  onTestFinished(() => {
    front.reset();
    void front.close();
  });
  return front;
}

/** A client that has sent a request, and the upstream connection on which it arrived. */
async function exchange(
  request = REQUEST,
): Promise<{ client: RawConnection; server: UpstreamConnection; front: Front }> {
  const upstream = await startUpstream();
  const front = await frontBefore(upstream);
  const client = await RawConnection.connect(front.port);
  onTestFinished(() => void client.socket.destroy());
  client.send(request);
  const server = await upstream.next();
  await server.receivedText(request.slice(-4));
  return { client, server, front };
}

/** Answers the request of the next client; not before it has come, since a Worker doesn't either. */
async function answerNext(upstream: UpstreamStandIn): Promise<void> {
  const server = await upstream.next();
  await server.receivedText(REQUEST);
  server.socket.write(ANSWER);
}

describe("the announcement", () => {
  test("tells the client's address before the client's own bytes, with the secret", async () => {
    const { server } = await exchange();
    expect(server.announcement).toBe(
      "POST /_postern/connection HTTP/1.1\r\nHost: localhost:8787\r\n" +
        "postern-front-secret: secret\r\npostern-client-address: 127.0.0.1\r\ncontent-length: 0\r\n\r\n",
    );
    expect(server.received().toString()).toBe(REQUEST);
  });

  test.each([
    ["in one piece", ["HTTP/1.1 204 No Content\r\n\r\n"]],
    ["byte by byte", "HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n".split("")],
  ])("its answer never reaches the client when it comes %s", async (_, pieces) => {
    const upstream = await startUpstream(pieces);
    const front = await frontBefore(upstream);
    const client = await RawConnection.connect(front.port);
    client.send(REQUEST);
    await answerNext(upstream);
    const response = await client.response();
    expect(response).toMatchObject({ status: 200, body: Buffer.from("ok") });
    client.socket.destroy();
  });

  test("a Worker that refuses it serves nobody: 503, and the log says what it answered", async () => {
    const lines: string[] = [];
    const upstream = await startUpstream(["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"]);
    const front = await frontBefore(upstream, { log: (line) => lines.push(line) });
    const client = await RawConnection.connect(front.port);
    client.send(REQUEST);
    expect(await client.response()).toMatchObject({ status: 503, ending: "complete" });
    expect(lines).toEqual(["the Worker refused to hear of a connection: HTTP/1.1 404 Not Found"]);
  });
});

describe("bytes", () => {
  test("pass both ways unchanged, and connections are kept for further requests", async () => {
    const { client, server } = await exchange();
    const body = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 256));
    server.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
    server.socket.write(body);
    expect((await client.response()).body.equals(body)).toBe(true);
    client.send(Buffer.concat([Buffer.from(REQUEST), body, Buffer.from("THE END")]));
    await server.receivedText("THE END");
    expect(server.received().length).toBe(2 * REQUEST.length + body.length + "THE END".length);
  });

  test("reach fast and slow readers alike, whole and unmixed", async () => {
    const upstream = await startUpstream();
    const front = await frontBefore(upstream);
    const exchanges = [];
    for (let index = 0; index < 3; index += 1) {
      const body = randomBytes(12 * 1024 * 1024);
      const client = await RawConnection.connect(front.port);
      client.socket.pause();
      client.send(REQUEST);
      const server = await upstream.next();
      await server.receivedText(REQUEST);
      server.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
      // In small pieces that the front reads one by one: most are taken whole, then one in part, then
      // some wait behind others.
      for (let from = 0, size = 1; from < body.length; from += size, size = (size * 7) % 9_973) {
        server.socket.write(body.subarray(from, from + size));
        await new Promise((resolve) => setImmediate(resolve));
      }
      exchanges.push({ client, body });
    }
    // The last one reads at once, past the others, whose bytes wait in the front meanwhile.
    for (const { client, body } of exchanges.toReversed()) {
      client.socket.resume();
      expect((await client.response()).body.equals(body)).toBe(true);
    }
  });

  test("a client that does not read stops the sender instead of filling the front", async () => {
    const { server, client } = await exchange();
    client.socket.pause();
    const chunk = Buffer.alloc(64 * 1024);
    // The kernel's buffers of both hops take some MiB; the front adds two high-water marks.
    const sent = await untilBlocked(server, chunk);
    expect(sent).toBeLessThan(64 * 1024 * 1024);
    client.socket.resume();
    await new Promise((resolve) => server.socket.once("drain", resolve));
  });
});

describe("a client that leaves", () => {
  test("by FIN, while nothing moves, is made known upstream by a reset within a second", async () => {
    const { client, server } = await exchange();
    const leftAt = performance.now();
    client.finish();
    expect(await server.ended).toBe("end");
    expect(await client.ending()).toBe("reset");
    expect(performance.now() - leftAt).toBeLessThan(1_000);
    await vi.waitUntil(() => !server.socket.write("too late") || server.socket.destroyed);
    await server.reset;
  });

  test("by FIN, before its answer has begun, still gets an answer that comes in time", async () => {
    const { client, server } = await exchange();
    client.finish();
    expect(await server.ended).toBe("end");
    server.socket.end(ANSWER);
    expect(await client.response()).toMatchObject({ body: Buffer.from("ok"), ending: "complete" });
    expect(await client.ending()).toBe("end");
  });

  test("by FIN, while its answer flows, keeps the answer for as long as it flows", async () => {
    const { client, server } = await exchange();
    server.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    client.finish();
    for (let index = 0; index < 10; index += 1) {
      server.socket.write(String(index));
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    expect((await client.response()).body.toString()).toBe("0123456789");
  });

  test("by FIN right behind its request, before the front has reached workerd, is made known too", async () => {
    const upstream = await startUpstream();
    const reachable = Promise.withResolvers<number>();
    const front = await frontBefore(upstream, {
      upstreamPort: async () => await reachable.promise,
    });
    const client = await RawConnection.connect(front.port);
    client.send(REQUEST);
    client.finish();
    // The front has no way to say that it saw the FIN: it has, unless this machine is very busy.
    setTimeout(() => reachable.resolve(upstream.port), 100);
    const server = await upstream.next();
    await server.receivedText(REQUEST);
    expect(await server.ended).toBe("end");
    expect(await client.ending()).toBe("reset");
  });

  test("by RST is made known upstream by a reset", async () => {
    const { client, server } = await exchange();
    client.reset();
    expect(await server.ended).toBe("reset");
  });
});

describe("an upstream that ends", () => {
  test("cleanly ends the client's connection cleanly, after its last byte", async () => {
    const { client, server } = await exchange();
    server.socket.end(ANSWER);
    expect((await client.response()).body.toString()).toBe("ok");
    expect(await client.ending()).toBe("end");
  });

  test("by a reset breaks the client's connection, never a clean end", async () => {
    const { client, server } = await exchange();
    server.socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    await client.head();
    server.socket.resetAndDestroy();
    expect(await client.ending()).toBe("reset");
  });

  test("while its client still sends does not take the answer out of the client's hands", async () => {
    const { client, server } = await exchange(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n",
    );
    server.socket.end(ANSWER);
    client.send("more of the body");
    expect(await client.response()).toMatchObject({ body: Buffer.from("ok"), ending: "complete" });
    client.send("and more");
    expect(await client.ending()).toBe("end");
  });
});

/** Answers as workerd answers an upload that it refuses: its unread bytes make the close a reset. */
describe("an answer that comes before its upload has ended", () => {
  const HEAD = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 33554432\r\n\r\n";
  const PIECE = Buffer.alloc(64 * 1024);

  async function uploadAnsweredEarly(answerAfter: number): Promise<UpstreamConnection> {
    const { client, server } = await exchange(HEAD);
    server.socket.pause();
    const response = client.response();
    // As most clients do, it sends on until it has read an answer.
    const isSending = { yes: true };
    void (async () => {
      while (isSending.yes && !client.socket.destroyed) {
        if (client.socket.write(PIECE)) await new Promise((resolve) => setImmediate(resolve));
        else await Promise.race([once(client.socket, "drain"), response]);
      }
    })();
    if (answerAfter > 0) await new Promise((resolve) => setTimeout(resolve, answerAfter));
    server.socket.write(ANSWER, () => server.socket.resetAndDestroy());
    expect(await response).toMatchObject({ status: 200, body: Buffer.from("ok") });
    isSending.yes = false;
    client.socket.destroy();
    return server;
  }

  test.each([0, 1, 5, 50])("reaches its client, 20 times of 20, after %s ms", async (delayMs) => {
    for (let round = 0; round < 20; round += 1) await uploadAnsweredEarly(delayMs);
  });
});

describe("workerd's own bare responses", () => {
  const TO_METHOD =
    "HTTP/1.1 501 Not Implemented\r\nConnection: close\r\nContent-Length: 35\r\n" +
    "Content-Type: text/plain\r\n\r\nERROR: Unrecognized request method.";
  const TO_CONNECT =
    "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 21\r\n\r\nInternal Server Error";

  test.each([
    ["LINK", TO_METHOD, "the gateway does not know this method"],
    ["CONNECT", TO_CONNECT, "this is no proxy"],
  ])("to %s gets a code, also behind another response", async (method, bare, detail) => {
    const { client, server } = await exchange();
    server.socket.write(ANSWER);
    await client.response();
    client.send(REQUEST.replace("GET", method));
    server.socket.end(bare);
    const response = await client.response();
    expect(response.status).toBe(501);
    expect(JSON.parse(response.body.toString())).toMatchObject({ code: "not_supported", detail });
    expect(await client.ending()).toBe("end");
  });

  test("pass as they are inside of a longer response", async () => {
    const { client, server } = await exchange();
    server.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${TO_METHOD.length + 4}\r\n\r\n`);
    await client.head();
    server.socket.write(TO_METHOD);
    await new Promise((resolve) => setTimeout(resolve, 50));
    server.socket.write("more");
    let body = "";
    while (!body.endsWith("more")) body += (await client.nextBytes()).toString();
    expect(body).toBe(`${TO_METHOD}more`);
  });
});

describe("while workerd is down", () => {
  test("a new connection waits and is served when it is back", async () => {
    const back = Promise.withResolvers<number>();
    const front = await frontBefore(undefined, { upstreamPort: () => back.promise });
    const client = await RawConnection.connect(front.port);
    client.send(REQUEST);
    const upstream = await startUpstream();
    back.resolve(upstream.port);
    await answerNext(upstream);
    expect(await client.response()).toMatchObject({ status: 200 });
  });

  test("a workerd that dies before it has heard of a client costs that client only time", async () => {
    const dying = createServer((socket) => socket.once("data", () => socket.resetAndDestroy()));
    await new Promise<void>((resolve) => {
      dying.listen(0, "127.0.0.1", resolve);
    });
    onTestFinished(() => void dying.close());
    const ports = [(dying.address() as AddressInfo).port];
    const upstream = await startUpstream();
    const front = await frontBefore(undefined, {
      upstreamPort: () => Promise.resolve(ports.shift() ?? upstream.port),
    });
    const client = await RawConnection.connect(front.port);
    client.send(REQUEST);
    await answerNext(upstream);
    expect(await client.response()).toMatchObject({ status: 200 });
  });

  test("a port that refuses connections is tried again", async () => {
    let asked = 0;
    const late = Promise.withResolvers<UpstreamStandIn>();
    const front = await frontBefore(undefined, {
      async upstreamPort() {
        asked += 1;
        if (asked === 1) return PORT_OF_NOBODY;
        const upstream = await startUpstream();
        late.resolve(upstream);
        return upstream.port;
      },
    });
    const client = await RawConnection.connect(front.port);
    client.send(REQUEST);
    await answerNext(await late.promise);
    expect(await client.response()).toMatchObject({ status: 200 });
  });

  test("nobody waits longer than 5 s: 503 with Retry-After", async () => {
    const front = await frontBefore(undefined);
    const client = await RawConnection.connect(front.port);
    const askedAt = performance.now();
    client.send(REQUEST);
    const response = await client.response("GET", 7_000);
    expect(response.status).toBe(503);
    expect(response.headers).toContainEqual(["retry-after", "1"]);
    expect(JSON.parse(response.body.toString())).toMatchObject({
      code: "unavailable",
      detail: "the gateway is restarting",
    });
    expect(performance.now() - askedAt).toBeLessThan(6_000);
  });
});

describe("bounds", () => {
  test("clients beyond the limit get a 503, and there is room again when one leaves", async () => {
    const upstream = await startUpstream();
    const front = await frontBefore(upstream, { maxConnections: 1 });
    const first = await RawConnection.connect(front.port);
    first.send(REQUEST);
    const server = await upstream.next();
    const second = await RawConnection.connect(front.port);
    expect(await second.response()).toMatchObject({ status: 503 });
    second.reset();
    first.reset();
    await server.reset;
    await vi.waitUntil(() => front.connections() === 0);
    const third = await RawConnection.connect(front.port);
    third.send(REQUEST);
    await answerNext(upstream);
    expect(await third.response()).toMatchObject({ status: 200 });
  });

  test("one address gets half of the places, a proxy's all; others still get one", async () => {
    const upstream = await startUpstream();
    const front = await frontBefore(upstream, { maxConnections: 4, isProxy: () => false });
    const opened = async (from: string) => {
      const client = await RawConnection.connect(front.port, from);
      onTestFinished(() => void client.socket.destroy());
      client.send(REQUEST);
      return client;
    };
    await opened("127.0.0.1");
    await opened("127.0.0.1");
    expect(await (await opened("127.0.0.1")).response()).toMatchObject({ status: 503 });
    await answerNext(upstream);
    await answerNext(upstream);
    const other = await opened("127.0.0.2");
    await answerNext(upstream);
    expect(await other.response()).toMatchObject({ status: 200 });
  });

  test("the last places are for boxes that prove themselves: a stranger's word is not enough", async () => {
    const upstream = await startUpstream();
    const front = await frontBefore(upstream, {
      maxConnections: 8,
      isBoxCredential: async (credential) => credential === "a-box",
    });
    const clients = [];
    for (let index = 0; index < 7; index += 1) {
      const client = await RawConnection.connect(front.port);
      onTestFinished(() => void client.socket.destroy());
      client.send(REQUEST);
      clients.push(await upstream.next());
    }
    const link = (credential: string) =>
      `GET /_postern/link/0 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${credential}\r\n\r\n`;
    const refused = [REQUEST, link("a-guess"), link("a-box").slice(0, -2), ""];
    for (const request of refused) {
      const stranger = await RawConnection.connect(front.port);
      if (request !== "") stranger.send(request);
      expect(await stranger.response()).toMatchObject({ status: 503 });
      stranger.reset();
    }
    const box = await RawConnection.connect(front.port);
    onTestFinished(() => void box.socket.destroy());
    box.send(link("a-box"));
    const server = await upstream.next();
    await server.receivedText(link("a-box"));
    server.socket.write(ANSWER);
    expect(await box.response()).toMatchObject({ status: 200 });
    expect(clients).toHaveLength(7);
  });

  test("a connection that says nothing is closed after 15 s and costs no upstream connection", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
    onTestFinished(() => void vi.useRealTimers());
    let asked = 0;
    const front = await frontBefore(undefined, {
      upstreamPort: async () => {
        asked += 1;
        return Promise.reject(new Error("nobody asks"));
      },
    });
    const client = await RawConnection.connect(front.port);
    // `vi.waitUntil` would advance the clock.
    await expect.poll(() => front.connections()).toBe(1);
    // The front looks once a second, from when it was started.
    vi.advanceTimersByTime(14_999);
    // An end would have come before another connection is noticed.
    const other = await RawConnection.connect(front.port);
    onTestFinished(() => void other.socket.destroy());
    await expect.poll(() => front.connections()).toBe(2);
    expect(client.socket.readableEnded).toBe(false);
    vi.advanceTimersByTime(1);
    expect(await client.ending()).toBe("end");
    expect(other.socket.readableEnded).toBe(false);
    expect(asked).toBe(0);
  });
});

test("closing waits for the connections at work, closes the silent ones and takes no new ones", async () => {
  const { client, server, front } = await exchange();
  const silent = await RawConnection.connect(front.port);
  await vi.waitUntil(() => front.connections() === 2);
  const closed = front.close();
  expect(await silent.ending()).toBe("end");
  const refused = connect(front.port, "127.0.0.1");
  await new Promise((resolve) => refused.once("error", resolve));
  server.socket.end(ANSWER);
  expect((await client.response()).body.toString()).toBe("ok");
  client.finish();
  await closed;
});

test("closing does not wait for a box's link, and leaves it to those who need it", async () => {
  const { client, server, front } = await exchange(
    "GET /_postern/link/0 HTTP/1.1\r\nHost: a\r\n\r\n",
  );
  await front.close();
  server.socket.write(ANSWER);
  expect(await client.response()).toMatchObject({ status: 200 });
});

/** Writes until the socket has taken nothing for 200 ms; returns the bytes that it took. */
async function untilBlocked(server: UpstreamConnection, chunk: Buffer): Promise<number> {
  for (;;) {
    while (server.socket.write(chunk));
    const drained = await Promise.race([
      new Promise((resolve) => server.socket.once("drain", () => resolve(true))),
      new Promise((resolve) => setTimeout(() => resolve(false), 200)),
    ]);
    if (drained === false) return server.socket.bytesWritten - server.socket.writableLength;
  }
}
