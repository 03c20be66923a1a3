/** ASGI's rules for requests and responses. The cases are those of uvicorn's own suite, on raw connections. */
import { describe, expect, test, vi } from "vitest";

import type {
  Application,
  HttpScope,
  ReceivedEvent,
  SentEvent,
} from "../../../origin-gpu/module/asgi.d.ts";
import { RawConnection, headerValues } from "../../support/raw-http.ts";
import { GET, START, answering, ask, serve, whole } from "./serving.ts";

const post = (length: number) =>
  `POST / HTTP/1.1\r\nHost: app\r\nContent-Length: ${length}\r\n\r\n`;

/** Answers with the body that it received. */
const echo: Application = async (_, receive, send) => {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const event = await receive();
    if (event.type !== "http.request") return;
    chunks.push(event.body);
    if (!event.more_body) break;
  }
  for (const event of whole(Buffer.concat(chunks))) await send(event);
};

describe("the scope", () => {
  async function scopeOf(request: string, state = {}): Promise<HttpScope> {
    let seen: HttpScope | undefined;
    const app: Application = async (scope, _, send) => {
      seen = scope as HttpScope;
      for (const event of whole("")) await send(event);
    };
    await ask(await serve(app, state), request);
    return seen as HttpScope;
  }

  test("has ASGI's version, the request line in its parts, and no extension", async () => {
    expect(
      await scopeOf("GET /a%2Fb/%E2%98%83?c=%20&d HTTP/1.1\r\nHost: app\r\n\r\n"),
    ).toMatchObject({
      type: "http",
      asgi: { version: "3.0", spec_version: "2.5" },
      http_version: "1.1",
      method: "GET",
      scheme: "http",
      path: "/a/b/☃",
      raw_path: "/a%2Fb/%E2%98%83",
      query_string: "c=%20&d",
      root_path: "",
      client: ["127.0.0.1", expect.any(Number)],
      server: ["127.0.0.1", expect.any(Number)],
      extensions: {},
    });
  });

  test("a path that is no UTF-8, or no encoding, is no error", async () => {
    expect(await scopeOf("GET /%ff%zz% HTTP/1.1\r\nHost: app\r\n\r\n")).toMatchObject({
      path: "/\ufffd%zz%",
      query_string: "",
    });
  });

  test("has each header line in order, with its name in lower case and one character a byte", async () => {
    const { headers } = await scopeOf(
      "GET / HTTP/1.1\r\nHost: app\r\nX-Twice: \xe9\r\nx-TWICE: 2\r\n\r\n",
    );
    expect(headers).toEqual([
      ["host", "app"],
      ["x-twice", "\xe9"],
      ["x-twice", "2"],
    ]);
  });

  test("has the client and the scheme that the agent names", async () => {
    const lines = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n";
    expect(await scopeOf(`GET / HTTP/1.1\r\nHost: app\r\n${lines}\r\n`)).toMatchObject({
      client: ["203.0.113.9", 0],
      scheme: "https",
    });
  });

  test("HTTP/1.0 is what it says", async () => {
    expect(await scopeOf("GET / HTTP/1.0\r\n\r\n")).toMatchObject({ http_version: "1.0" });
  });

  test("has a copy of the lifespan's state, with the same values", async () => {
    const state: Record<string, unknown> = { model: {} };
    const seen: Record<string, unknown>[] = [];
    const app: Application = async (scope, _, send) => {
      if (scope.type === "http") {
        seen.push({ ...scope.state });
        scope.state["mine"] = true;
      }
      for (const event of whole("")) await send(event);
    };
    const served = await serve(app, state);
    await ask(served, GET);
    await ask(served, GET);
    expect(seen).toEqual([{ model: {} }, { model: {} }]);
    expect(seen[0]?.["model"]).toBe(state["model"]);
  });
});

describe("a request's body", () => {
  test.each([
    ["of a known length", `${post(5)}hello`, "hello"],
    [
      "in chunks",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
      "hello!",
    ],
    [
      "in no chunk",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "",
    ],
    ["of a GET", GET, ""],
  ])("%s is received whole", async (_, request, body) => {
    expect((await ask(await serve(echo), request)).body.toString()).toBe(body);
  });

  test("a large one comes in several events, byte for byte", async () => {
    const body = Buffer.alloc(3_000_000, "0123456789");
    const { port } = await serve(echo);
    const connection = await RawConnection.connect(port);
    connection.send(post(body.length));
    connection.send(body);
    expect((await connection.response()).body.equals(body)).toBe(true);
    connection.reset();
  });

  test("is not read faster than the app receives it", async () => {
    const received = Promise.withResolvers<void>();
    const served = await serve(async (_, receive, send) => {
      await receive();
      await received.promise;
      let event = await receive();
      while (event.type === "http.request" && event.more_body) event = await receive();
      for (const answer of whole("read")) await send(answer);
    });
    const connection = await RawConnection.connect(served.port);
    const body = Buffer.alloc(32 * 1024 * 1024);
    connection.send(post(body.length));
    connection.send(body);
    let before = -1;
    // What kernel and server hold is a part of it: the rest stays here.
    await vi.waitUntil(
      () => {
        const now = connection.socket.bytesWritten - connection.socket.writableLength;
        const isStill = now === before && now > 0;
        before = now;
        return isStill;
      },
      { timeout: 15_000, interval: 300 },
    );
    expect(connection.socket.writableLength).toBeGreaterThan(0);
    received.resolve();
    expect((await connection.response()).body.toString()).toBe("read");
    connection.reset();
  });

  test("one that breaks off is a disconnect", async () => {
    const last = Promise.withResolvers<ReceivedEvent>();
    const { port } = await serve(async (_, receive) => {
      let event = await receive();
      while (event.type === "http.request") event = await receive();
      last.resolve(event);
    });
    const connection = await RawConnection.connect(port);
    connection.send(`${post(10)}x`);
    connection.finish();
    expect(await last.promise).toEqual({ type: "http.disconnect" });
    connection.reset();
  });

  test("nobody asks for one that the app does not receive", async () => {
    const request = post(2).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    expect((await ask(await serve(answering(...whole("no"))), request)).status).toBe(200);
  });

  test("the client is asked for it when the app receives it", async () => {
    const { port } = await serve(echo);
    const connection = await RawConnection.connect(port);
    connection.send(post(2).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"));
    expect((await connection.response()).status).toBe(100);
    connection.send("ok");
    expect((await connection.response()).body.toString()).toBe("ok");
    connection.reset();
  });

  test("a response that comes before its end is sent, and the connection serves the next request", async () => {
    const { port } = await serve(answering(...whole("early")));
    const connection = await RawConnection.connect(port);
    connection.send(post(5));
    expect((await connection.response()).body.toString()).toBe("early");
    connection.send(`hello${GET}`);
    expect((await connection.response()).body.toString()).toBe("early");
    connection.reset();
  });
});

describe("a response", () => {
  test("has the app's status, and its header lines in order", async () => {
    const headers: [string, string | Uint8Array][] = [
      ["Set-Cookie", "a"],
      ["x-latin", "\xe9"],
      ["set-cookie", Buffer.from("b")],
    ];
    const response = await ask(
      await serve(answering(...whole("!", { status: 418, headers }))),
      GET,
    );
    expect(response.status).toBe(418);
    expect(response.headers.slice(0, 3)).toEqual([
      ["Set-Cookie", "a"],
      ["x-latin", "\xe9"],
      ["set-cookie", "b"],
    ]);
  });

  test("headers may come from an iterator, and a body may be text", async () => {
    const headers = new Map([["x-map", "yes"]]);
    const response = await ask(await serve(answering(...whole("☃", { headers }))), GET);
    expect(headerValues(response, "x-map")).toEqual(["yes"]);
    expect(response.body.toString()).toBe("☃");
  });

  test("its parts are sent as they come", async () => {
    const seen = Promise.withResolvers<void>();
    const { port } = await serve(async (_, __, send) => {
      await send(START);
      await send({ type: "http.response.body", body: "first", more_body: true });
      await seen.promise;
      await send({ type: "http.response.body", body: "last" });
    });
    const connection = await RawConnection.connect(port);
    connection.send(GET);
    await connection.head();
    expect((await connection.nextBytes()).toString()).toContain("first");
    seen.resolve();
    expect((await connection.nextBytes()).toString()).toContain("last");
    connection.reset();
  });

  test("an empty part sends the head", async () => {
    const { port } = await serve(async (_, receive, send) => {
      await send(START);
      await send({ type: "http.response.body", more_body: true });
      await receive();
      await receive();
    });
    const connection = await RawConnection.connect(port);
    connection.send(GET);
    expect((await connection.head()).status).toBe(200);
    connection.reset();
  });

  test.each([
    ["HEAD", 200],
    ["GET", 204],
    ["GET", 304],
  ])("to %s with %i has no body, and the next request is answered", async (method, status) => {
    const headers = status === 204 ? [] : [["content-length", "4"]];
    const { port } = await serve(
      answering(...whole(status === 204 ? "" : "body", { status, headers })),
    );
    const connection = await RawConnection.connect(port);
    const request = `${method} / HTTP/1.1\r\nHost: app\r\n\r\n`;
    connection.send(request + request);
    expect((await connection.response(method)).status).toBe(status);
    expect((await connection.response(method)).status).toBe(status);
    connection.reset();
  });

  test("Connection: close ends the connection", async () => {
    const { port } = await serve(answering(...whole("", { headers: [["connection", "close"]] })));
    const connection = await RawConnection.connect(port);
    connection.send(GET);
    await connection.response();
    expect(await connection.ending()).toBe("end");
  });

  test("requests in a row on one connection are answered in order", async () => {
    const { port } = await serve(async (scope, _, send) => {
      for (const event of whole((scope as HttpScope).path)) await send(event);
    });
    const connection = await RawConnection.connect(port);
    connection.send(["/1", "/2", "/3"].map((path) => GET.replace("/", path)).join(""));
    for (const path of ["/1", "/2", "/3"]) {
      expect((await connection.response()).body.toString()).toBe(path);
    }
    connection.reset();
  });

  test("send waits for a client that does not read", async () => {
    let sent = 0;
    const { port } = await serve(async (_, __, send) => {
      await send(START);
      const body = Buffer.alloc(64 * 1024);
      for (; sent < 1024; sent += 1)
        await send({ type: "http.response.body", body, more_body: true });
      await send({ type: "http.response.body" });
    });
    const connection = await RawConnection.connect(port);
    connection.send(GET);
    await connection.head();
    connection.socket.pause();
    let before = -1;
    await vi.waitUntil(
      () => {
        const isStill = sent === before;
        before = sent;
        return isStill;
      },
      { timeout: 15_000, interval: 300 },
    );
    expect(sent).toBeLessThan(1024);
    connection.socket.removeAllListeners("data");
    connection.socket.resume();
    await vi.waitUntil(() => sent === 1024, { timeout: 15_000 });
    connection.reset();
  });
});

describe("disconnects", () => {
  test("a client that leaves is a disconnect, and what is sent then is an error", async () => {
    const outcome = Promise.withResolvers<unknown>();
    const served = await serve(async (_, receive, send) => {
      await receive();
      await send(START);
      const event = await receive();
      expect(event).toEqual({ type: "http.disconnect" });
      expect(await receive()).toEqual({ type: "http.disconnect" });
      await send({ type: "http.response.body" }).catch(outcome.resolve);
      await send({ type: "http.response.body" });
    });
    const connection = await RawConnection.connect(served.port);
    connection.send(GET);
    await new Promise((resolve) => setImmediate(resolve));
    connection.reset();
    expect(await outcome.promise).toMatchObject({ code: "EPIPE" });
    await served.calls.none();
    expect(served.log()).toBe("");
  });

  test("a send that nobody awaits ends no process when its client has left", async () => {
    const left = Promise.withResolvers<void>();
    const { port } = await serve(async (_, receive, send) => {
      await receive();
      await receive();
      void send(START);
      left.resolve();
    });
    const connection = await RawConnection.connect(port);
    connection.send(GET);
    await new Promise((resolve) => setImmediate(resolve));
    connection.reset();
    await left.promise;
  });

  test("the end of the response is one too", async () => {
    const event = Promise.withResolvers<ReceivedEvent>();
    const app: Application = async (_, receive, send) => {
      for (const answer of whole("")) await send(answer);
      event.resolve(await receive());
    };
    await ask(await serve(app), GET);
    expect(await event.promise).toEqual({ type: "http.disconnect" });
  });
});

describe("an app's mistakes", () => {
  const part: SentEvent = { type: "http.response.body", body: "part", more_body: true };
  const length = (bytes: number) => ({ headers: [["content-length", `${bytes}`]] as const });

  test.each<[string, readonly SentEvent[], RegExp]>([
    ["no response", [], /the app ended GET \/ without a complete response/],
    ["a head alone", [START], /without a complete response/],
    [
      "a body first",
      [part],
      /expected http\.response\.start, and the app sent "http\.response\.body"/,
    ],
    [
      "two heads",
      [START, START],
      /expected http\.response\.body, and the app sent "http\.response\.start"/,
    ],
    ["a WebSocket's event", [{ type: "websocket.accept" }], /expected http\.response\.start/],
    [
      "a status that is none",
      [{ ...START, status: 101 }],
      /status must be an integer from 200 to 999/,
    ],
    [
      "a header that splits",
      [{ ...START, headers: [["x", "a\r\nb: c"]] }],
      /Invalid character in header content \["x"\]/,
    ],
    [
      "a header beyond bytes",
      [{ ...START, headers: [["x", "☃"]] }],
      /Invalid character in header content/,
    ],
    [
      "a header without a name",
      [{ ...START, headers: [["", "x"]] }],
      /Header name must be a valid HTTP token/,
    ],
  ])("%s is 500 and a line in the log", async (_, events, log) => {
    const served = await serve(answering(...events));
    const response = await ask(served, GET);
    expect(response).toMatchObject({ status: 500, ending: "complete" });
    expect(response.body.toString()).toBe("Internal Server Error");
    await served.calls.none();
    expect(served.log()).toMatch(log);
  });

  test.each<[string, readonly SentEvent[], RegExp]>([
    ["no end", [START, part], /without a complete response/],
    [
      "less than its Content-Length",
      [{ ...START, ...length(9) }, part, { type: "http.response.body" }],
      /shorter than its Content-Length, 9/,
    ],
    [
      "more than its Content-Length",
      [{ ...START, ...length(5) }, part, part],
      /longer than its Content-Length, 5/,
    ],
  ])("%s cuts the response and is a line in the log", async (_, events, log) => {
    const served = await serve(answering(...events));
    expect(await ask(served, GET)).toMatchObject({ status: 200, ending: "cut" });
    await served.calls.none();
    expect(served.log()).toMatch(log);
  });

  test("an exception before the response's first part is 500, with its stack in the log", async () => {
    const served = await serve(async (_, __, send) => {
      await send(START);
      throw new Error("no GPU here");
    });
    expect((await ask(served, GET)).status).toBe(500);
    expect(served.log()).toMatch(/Error: no GPU here\n\s+at /);
    expect(served.log()).toMatch(/postern: the app failed in GET \/\n$/);
  });

  test("an exception after it cuts the response", async () => {
    const served = await serve(async (_, __, send) => {
      await send(START);
      await send(part);
      throw new Error("no GPU here");
    });
    expect(await ask(served, GET)).toMatchObject({ status: 200, ending: "cut" });
    expect(served.log()).toContain("no GPU here");
  });

  test("what comes after the whole response is an error for the app alone", async () => {
    const served = await serve(answering(...whole("done"), part));
    const response = await ask(served, GET);
    expect(response).toMatchObject({ status: 200, ending: "complete" });
    await served.calls.none();
    expect(served.log()).toMatch(/expected nothing after the response's end/);
  });

  test("a request that is no HTTP never reaches the app", async () => {
    let calls = 0;
    const served = await serve(async () => {
      calls += 1;
    });
    expect((await ask(served, "nonsense\r\n\r\n")).status).toBe(400);
    expect(calls).toBe(0);
  });

  test("an upgrade to another protocol is a request like any other", async () => {
    const request = GET.replace("\r\n\r\n", "\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
    expect((await ask(await serve(answering(...whole("plain"))), request)).status).toBe(200);
  });
});

describe("a call that its client gave up", () => {
  const asCall = GET.replace("\r\n\r\n", "\r\nPostern-Call-Id: c-1\r\n\r\n");

  test("is told to the agent when the app's work has ended", async () => {
    const begun = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const { port, calls, told } = await serve(async () => {
      begun.resolve();
      await goOn.promise;
    });
    const connection = await RawConnection.connect(port);
    connection.send(asCall);
    await begun.promise;
    connection.reset();
    calls.giveUp("c-1");
    expect(told).toEqual([]);
    goOn.resolve();
    await vi.waitUntil(() => told.length > 0);
    expect(told).toEqual(["c-1"]);
  });

  test("is not begun when it comes later", async () => {
    let runs = 0;
    const served = await serve(async () => {
      runs += 1;
    });
    served.calls.giveUp("c-1");
    expect(served.told).toEqual(["c-1"]);
    await expect(ask(served, asCall)).rejects.toThrow(/connection closed/);
    expect(runs).toBe(0);
  });
});
