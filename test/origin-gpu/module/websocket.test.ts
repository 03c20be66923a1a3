/** ASGI's rules for WebSockets. The cases are those of uvicorn's own suite, with a client that sends plain frames. */
import { describe, expect, test, vi } from "vitest";

import type {
  Application,
  Receive,
  ReceivedEvent,
  Send,
  SentEvent,
  WebSocketScope,
} from "../../../origin-gpu/module/asgi.d.ts";
import { OPCODE } from "../../../origin-gpu/websocket/frames.ts";
import { RawConnection, headerValues } from "../../support/raw-http.ts";
import { ClientSocket } from "../../support/websocket-client.ts";
import { fragments, maskedFrame } from "../../support/websocket-frames.ts";
import { type ServedApp, ask, serve } from "./serving.ts";

const HANDSHAKE =
  "GET /chat?a=1 HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const ACCEPT = { type: "websocket.accept" } as const;

async function connect(
  { port }: ServedApp,
  headers: readonly string[] = [],
): Promise<ClientSocket> {
  return await ClientSocket.connect({ port, host: "app" }, "/chat?a=1", headers);
}

const text = (payload: string) => maskedFrame({ opcode: OPCODE.text, payload });
const binary = (payload: Uint8Array) => maskedFrame({ opcode: OPCODE.binary, payload });

/** An app that accepts and then does this. */
function accepting(then: (receive: Receive, send: Send) => Promise<void>): Application {
  return async (_, receive, send) => {
    expect(await receive()).toEqual({ type: "websocket.connect" });
    await send(ACCEPT);
    await then(receive, send);
  };
}

function sending(...events: readonly SentEvent[]): Application {
  return async (_, __, send) => {
    for (const event of events) await send(event);
  };
}

/** Accepts, and tells the first event that comes. */
async function served(): Promise<{ app: ServedApp; event: Promise<ReceivedEvent> }> {
  const event = Promise.withResolvers<ReceivedEvent>();
  const app = await serve(accepting(async (receive) => event.resolve(await receive())));
  return { app, event: event.promise };
}

describe("the handshake", () => {
  test("has a scope like a request's, with the offered subprotocols", async () => {
    let seen: WebSocketScope | undefined;
    const app = await serve(async (scope, _, send) => {
      seen = scope as WebSocketScope;
      await send(ACCEPT);
    });
    await connect(app, ["Sec-WebSocket-Protocol: a, b", "X-Forwarded-Proto: https"]);
    expect(seen).toMatchObject({
      type: "websocket",
      asgi: { version: "3.0", spec_version: "2.5" },
      http_version: "1.1",
      scheme: "wss",
      path: "/chat",
      raw_path: "/chat",
      query_string: "a=1",
      root_path: "",
      subprotocols: ["a", "b"],
      state: {},
      extensions: { "websocket.http.response": {} },
    });
    expect(seen?.headers.find(([name]) => name === "upgrade")).toEqual(["upgrade", "websocket"]);
  });

  test("is accepted with the app's subprotocol and headers, of which some come twice", async () => {
    const headers: [string, string][] = [
      ["x-twice", "\xe9"],
      ["x-twice", "2"],
      ["set-cookie", "a"],
    ];
    const app = await serve(sending({ ...ACCEPT, subprotocol: "b", headers }));
    const { response } = await connect(app, ["Sec-WebSocket-Protocol: a, b"]);
    expect(response.status).toBe(101);
    expect(headerValues(response, "sec-websocket-protocol")).toEqual(["b"]);
    expect(headerValues(response, "x-twice")).toEqual(["\xe9", "2"]);
    expect(headerValues(response, "set-cookie")).toEqual(["a"]);
  });

  test("is accepted without a subprotocol where the app names none", async () => {
    const { response } = await connect(await serve(sending(ACCEPT)), ["Sec-WebSocket-Protocol: a"]);
    expect(headerValues(response, "sec-websocket-protocol")).toEqual([]);
  });

  test("one without a key is refused, and no matter of the app", async () => {
    let calls = 0;
    const app = await serve(async () => {
      calls += 1;
    });
    expect((await ask(app, HANDSHAKE.replace(/Sec-WebSocket-Key.*\r\n/, ""))).status).toBe(400);
    expect(calls).toBe(0);
  });

  test.each<[string, readonly SentEvent[], RegExp]>([
    ["no answer", [], /ended the WebSocket at \/chat without an answer to its handshake/],
    [
      "a message before the answer",
      [{ type: "websocket.send", text: "x" }],
      /expected websocket\.accept, .* sent "websocket\.send"/,
    ],
    [
      "a response of HTTP",
      [{ type: "http.response.start", status: 200 }],
      /sent "http\.response\.start"/,
    ],
    [
      "a subprotocol that is not offered",
      [{ ...ACCEPT, subprotocol: "c" }],
      /does not offer the subprotocol "c"/,
    ],
    [
      "a header of the handshake",
      [{ ...ACCEPT, headers: [["Sec-WebSocket-Accept", "x"]] }],
      /Sec-WebSocket-Accept is the server's/,
    ],
    [
      "a header that splits",
      [{ ...ACCEPT, headers: [["x", "a\r\nb: c"]] }],
      /Invalid character in header/,
    ],
    [
      "a refusal with status 101",
      [{ type: "websocket.http.response.start", status: 101 }],
      /status must be/,
    ],
    [
      "a refusal without an end",
      [{ type: "websocket.http.response.start", status: 404 }],
      /without an answer/,
    ],
  ])("%s is 500 and a line in the log", async (_, events, log) => {
    const app = await serve(sending(...events));
    expect((await connect(app)).response.status).toBe(500);
    await app.calls.none();
    expect(app.log()).toMatch(log);
  });

  test("an app that fails before its answer is 500", async () => {
    const app = await serve(async () => {
      throw new Error("no GPU here");
    });
    expect((await connect(app)).response.status).toBe(500);
    expect(app.log()).toMatch(
      /Error: no GPU here\n\s+at [^]*the app failed in the WebSocket at \/chat/,
    );
  });

  test("a client that leaves before the answer is a disconnect", async () => {
    const event = Promise.withResolvers<ReceivedEvent>();
    const outcome = Promise.withResolvers<unknown>();
    const app = await serve(async (_, receive, send) => {
      await receive();
      event.resolve(await receive());
      await send(ACCEPT).catch(outcome.resolve);
    });
    const connection = await RawConnection.connect(app.port);
    connection.send(HANDSHAKE);
    await new Promise((resolve) => setImmediate(resolve));
    connection.finish();
    expect(await event.promise).toEqual({ type: "websocket.disconnect", code: 1006, reason: "" });
    expect(await outcome.promise).toMatchObject({ code: "EPIPE" });
  });

  test("what the client says before the answer is received after it", async () => {
    const goOn = Promise.withResolvers<void>();
    const event = Promise.withResolvers<ReceivedEvent>();
    const app = await serve(async (_, receive, send) => {
      await receive();
      await goOn.promise;
      await send(ACCEPT);
      event.resolve(await receive());
    });
    const connection = await RawConnection.connect(app.port);
    connection.send(HANDSHAKE);
    connection.send(text("early"));
    await new Promise((resolve) => setImmediate(resolve));
    goOn.resolve();
    expect(await event.promise).toEqual({ type: "websocket.receive", text: "early" });
    connection.reset();
  });
});

describe("a refusal", () => {
  test("by close is 403, and a disconnect for the app", async () => {
    const event = Promise.withResolvers<ReceivedEvent>();
    const app = await serve(async (_, receive, send) => {
      await receive();
      await send({ type: "websocket.close" });
      event.resolve(await receive());
    });
    expect((await connect(app)).response.status).toBe(403);
    expect(await event.promise).toEqual({ type: "websocket.disconnect", code: 1006, reason: "" });
    await app.calls.none();
    expect(app.log()).toBe("");
  });

  test("may be a response of the app's own, in parts", async () => {
    const start = { type: "websocket.http.response.start", status: 401 } as const;
    const part = { type: "websocket.http.response.body", body: "who ", more_body: true } as const;
    const app = await serve(
      sending({ ...start, headers: [["www-authenticate", "Basic"]] }, part, {
        ...part,
        body: "are you?",
        more_body: false,
      }),
    );
    const { response } = await connect(app);
    expect(response).toMatchObject({ status: 401, ending: "complete" });
    expect(headerValues(response, "www-authenticate")).toEqual(["Basic"]);
    expect(response.body.toString()).toBe("who are you?");
  });

  test("one that fails half-way is cut", async () => {
    const app = await serve(async (_, __, send) => {
      await send({ type: "websocket.http.response.start", status: 401 });
      await send({ type: "websocket.http.response.body", body: "who", more_body: true });
      throw new Error("lost");
    });
    expect((await connect(app)).response).toMatchObject({ status: 401, ending: "cut" });
  });
});

describe("messages", () => {
  test("of text and of bytes go both ways, fragments as one", async () => {
    const events: ReceivedEvent[] = [];
    const app = await serve(
      accepting(async (receive, send) => {
        for (let left = 3; left > 0; left -= 1) {
          const event = await receive();
          events.push(event);
          if (event.type !== "websocket.receive") return;
          const { text: content, bytes } = event;
          await send({
            type: "websocket.send",
            ...(bytes === undefined ? { text: content } : { bytes }),
          });
        }
        await send({ type: "websocket.send", text: "end" });
      }),
    );
    const socket = await connect(app);
    await socket.send(text("☃"));
    await socket.send(binary(Buffer.from([0, 255])));
    for (const part of fragments(OPCODE.text, ["a", "b"])) await socket.send(maskedFrame(part));
    expect(await socket.awaitMessage("end")).toBe(true);
    expect(events).toEqual([
      { type: "websocket.receive", text: "☃" },
      { type: "websocket.receive", bytes: Buffer.from([0, 255]) },
      { type: "websocket.receive", text: "ab" },
    ]);
    expect(socket.seen.messages).toEqual(['text "☃"', 'binary "00ff"', 'text "ab"', 'text "end"']);
    await socket.ended();
    expect(socket.seen.close).toBe('Close 1000 ""');
  });

  test("wait at the client while the app receives none", async () => {
    const goOn = Promise.withResolvers<void>();
    let received = 0;
    const app = await serve(
      accepting(async (receive) => {
        await goOn.promise;
        while ((await receive()).type === "websocket.receive") received += 1;
      }),
    );
    const socket = await connect(app);
    const message = binary(Buffer.alloc(1024 * 1024));
    for (let sent = 0; sent < 32; sent += 1) await socket.send(message);
    let before = -1;
    await vi.waitUntil(
      () => {
        const isStill = socket.unsentBytes === before;
        before = socket.unsentBytes;
        return isStill;
      },
      { timeout: 15_000, interval: 300 },
    );
    expect(socket.unsentBytes).toBeGreaterThan(0);
    goOn.resolve();
    await vi.waitUntil(() => received === 32, { timeout: 15_000 });
    socket.reset();
  });

  test("send waits for a client that does not read", async () => {
    let sent = 0;
    const app = await serve(
      accepting(async (_, send) => {
        const bytes = Buffer.alloc(256 * 1024);
        for (; sent < 256; sent += 1) await send({ type: "websocket.send", bytes });
      }),
    );
    const socket = await connect(app);
    socket.pause();
    let before = -1;
    await vi.waitUntil(
      () => {
        const isStill = sent === before;
        before = sent;
        return isStill;
      },
      { timeout: 15_000, interval: 300 },
    );
    expect(sent).toBeLessThan(256);
    socket.reset();
  });
});

describe("the end", () => {
  test("a client's close has its code and reason", async () => {
    const { app, event } = await served();
    const socket = await connect(app);
    socket.close(3000, "bye");
    await socket.ended();
    expect(await event).toEqual({ type: "websocket.disconnect", code: 3000, reason: "bye" });
  });

  test("a Close without a code is 1005", async () => {
    const { app, event } = await served();
    const socket = await connect(app);
    await socket.send(maskedFrame({ opcode: OPCODE.close }));
    socket.closedByHand();
    await socket.ended();
    expect(await event).toEqual({ type: "websocket.disconnect", code: 1005, reason: "" });
  });

  test("a client that is lost is 1006, and what is sent then is an error", async () => {
    const outcome = Promise.withResolvers<unknown>();
    const app = await serve(
      accepting(async (receive, send) => {
        const event = { type: "websocket.disconnect", code: 1006, reason: "" };
        expect(await receive()).toEqual(event);
        expect(await receive()).toEqual(event);
        await send({ type: "websocket.send", text: "x" }).catch(outcome.resolve);
      }),
    );
    (await connect(app)).reset();
    expect(await outcome.promise).toMatchObject({ code: "EPIPE" });
    await app.calls.none();
    expect(app.log()).toBe("");
  });

  test("the app's close has its code and reason, for itself too", async () => {
    const event = Promise.withResolvers<ReceivedEvent>();
    const app = await serve(
      accepting(async (receive, send) => {
        await send({ type: "websocket.close", code: 4000, reason: "enough" });
        event.resolve(await receive());
      }),
    );
    const socket = await connect(app);
    await socket.ended();
    expect(socket.seen.close).toBe('Close 4000 "enough"');
    expect(await event.promise).toEqual({
      type: "websocket.disconnect",
      code: 4000,
      reason: "enough",
    });
  });

  test.each<[string, SentEvent, RegExp]>([
    [
      "a second accept",
      ACCEPT,
      /expected websocket\.send or websocket\.close, and the app sent "websocket\.accept"/,
    ],
    ["a message without content", { type: "websocket.send" }, /needs text or bytes/],
    [
      "a code that is none",
      { type: "websocket.close", code: 1005 },
      /no Close frame may have the code 1005/,
    ],
  ])("%s closes with 1011, with a line in the log", async (_, event, log) => {
    const app = await serve(accepting(async (__, send) => await send(event)));
    const socket = await connect(app);
    await socket.ended();
    expect(socket.seen.close).toBe('Close 1011 ""');
    expect(app.log()).toMatch(log);
  });

  test("an app that fails closes with 1011", async () => {
    const app = await serve(
      accepting(async () => {
        throw new Error("no GPU here");
      }),
    );
    const socket = await connect(app);
    await socket.ended();
    expect(socket.seen.close).toBe('Close 1011 ""');
    expect(app.log()).toContain("no GPU here");
  });

  test("a message beyond 32 MiB closes with 1009", async () => {
    const { app, event } = await served();
    const socket = await connect(app);
    await socket.send(binary(Buffer.alloc(32 * 1024 * 1024 + 1)));
    expect(await event).toMatchObject({ code: 1009 });
    socket.reset();
  });

  test("a server that stops closes with 1012, for client and app", async () => {
    const { app, event } = await served();
    const socket = await connect(app);
    app.server.stop();
    expect(await event).toEqual({ type: "websocket.disconnect", code: 1012, reason: "" });
    await socket.ended();
    expect(socket.seen.close).toBe('Close 1012 ""');
  });
});
