/** The link's object through hibernation, resets and sockets that are not the link. */
import { env as bindings, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { receivedAttempt } from "../../../../gateway/contracts/attempt.ts";
import { CONNECTION, HEAD, NONCE, OTHERS, VERB, WAIT } from "../../../../gateway/contracts/link.ts";
import { originStub } from "../../../../gateway/contracts/stubs.ts";
import {
  hasWatchedCalls,
  noteHalfClosed,
  watchedLink,
} from "../../../../gateway/contracts/watched-calls.ts";
import type { Stream } from "../../../../routing/wire/stream.ts";
import {
  announcement,
  ask,
  type Behaviour,
  connectAgent,
  dial,
  enrolledBox,
} from "../../fake-agent.ts";

const env = bindings as unknown as Env;
const OK = JSON.stringify({ status: 200, headers: [] });

/** An agent that answers each call with its box's name, and its link's object. */
async function answering(box: string, app: string) {
  const behaviour: Behaviour = {
    endpoints: [announcement(app, "web")],
    open: (stream) => {
      stream.sendHead(OK, [new TextEncoder().encode(box)], true);
      return {};
    },
  };
  return {
    name: `local--${app}-web`,
    stub: originStub(env, "local", box, 0),
    connect: () => connectAgent(box, behaviour),
  };
}

/** An agent's socket whose path has died silently: it never answers a close. */
async function deadSocket(box: string): Promise<{ closed: Promise<number> }> {
  const { webSocket: socket } = await dial(await enrolledBox(box));
  if (socket === null) throw new Error("the dial was refused");
  const { promise, resolve } = Promise.withResolvers<number>();
  socket.addEventListener("close", ({ code }) => resolve(code));
  socket.accept({ allowHalfOpen: true });
  return { closed: promise };
}

afterEach(() => {
  vi.useRealTimers();
});

test("a link outlives hibernation", async () => {
  const { name, stub, connect } = await answering("sleeper", "sleeps");
  await connect();
  await evictDurableObject(stub);
  expect(await (await ask(name)).text()).toBe("sleeper");
});

test("the newest of two sockets is the link after hibernation", async () => {
  const { name, stub, connect } = await answering("two-sockets", "two-sockets");
  const dead = await deadSocket("two-sockets");
  await connect();
  expect(await dead.closed).toBe(4000);
  await evictDurableObject(stub);
  expect(await (await ask(name)).text()).toBe("two-sockets");
});

test("a socket that is not the link is closed when it speaks, and not heard", async () => {
  const { name, stub, connect } = await answering("stale", "stale");
  await connect();
  let closedWith: number | undefined;
  await runInDurableObject(stub, async (_origin, state) => {
    const { 0: theirs, 1: stale } = new WebSocketPair();
    state.acceptWebSocket(stale, ["link"]);
    theirs.addEventListener("close", ({ code }) => {
      closedWith = code;
    });
    theirs.accept();
    // As a frame it would end the link.
    theirs.send(new Uint8Array(1));
    await vi.waitFor(() => expect(closedWith).toBe(4000));
  });
  expect(await (await ask(name)).text()).toBe("stale");
});

test("a link that fell silent long ago, during hibernation, is no link", async () => {
  const { name, stub, connect } = await answering("silent", "silent");
  await connect();
  await evictDurableObject(stub);
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(Date.now() + 25_000);
  const startedAt = performance.now();
  const response = await ask(name);
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({ code: "no_origin" });
  expect(performance.now() - startedAt).toBeLessThan(4_000);
});

test("a call waits for an agent that was taken for dead a moment ago", async () => {
  const { name, connect } = await answering("starved", "starved");
  const agent = await connect();
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(Date.now() + 12_000);
  const response = ask(name);
  expect(await agent.closed).toMatchObject({ code: 4003 });
  await connect();
  expect(await (await response).text()).toBe("starved");
});

test("a link that was not heard of for some seconds gets no call that another box may take", async () => {
  const { stub, connect } = await answering("quiet", "quiet");
  await connect();
  const head = JSON.stringify({
    callId: "quiet",
    endpoint: "main/quiet/web",
    method: "GET",
    target: "/",
    headers: [],
  });
  const open = async (others: boolean) => {
    const headers = { [HEAD]: head, ...(others && { [OTHERS]: "1" }) };
    return receivedAttempt(await stub.fetch(VERB.open, { method: "POST", headers }));
  };
  expect(await open(true)).toMatchObject({ kind: "response" });
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(Date.now() + 5_000);
  expect(await open(true)).toMatchObject({ kind: "failed", cause: "link_away" });
  expect(await open(false)).toMatchObject({ kind: "response" });
  // It has spoken.
  expect(await open(true)).toMatchObject({ kind: "response" });
});

test("a call waits for a link that was cut a moment ago", async () => {
  const { name, connect } = await answering("blinks", "blinks");
  const agent = await connect();
  agent.cut();
  await agent.closed;
  const response = ask(name);
  await connect();
  expect(await (await response).text()).toBe("blinks");
});

test("a call waits for a link whose object was reset a moment ago", async () => {
  const { name, stub, connect } = await answering("reset", "reset");
  await connect();
  expect((await ask(name)).status).toBe(200);
  await runInDurableObject(stub, (_origin, state) => state.abort("reset")).catch(() => undefined);
  const response = ask(name);
  await connect();
  expect(await (await response).text()).toBe("reset");
});

test("a call does not wait for an agent that said goodbye", async () => {
  const { name, connect } = await answering("goodbye", "goodbye");
  const agent = await connect();
  expect((await ask(name)).status).toBe(200);
  agent.close();
  await agent.closed;
  const startedAt = Date.now();
  expect((await ask(name)).status).toBe(503);
  expect(Date.now() - startedAt).toBeLessThan(4_000);
});

/** A call on a link's object whose client's connection is watched, and the ends that its stream hears. */
async function watchedCall(
  box: string,
  respond: (stream: Stream) => void,
  verb: string = VERB.open,
) {
  const ends: string[] = [];
  const behaviour: Behaviour = {
    endpoints: [announcement(box, "web")],
    open: (stream) => {
      respond(stream);
      return { onEnd: ({ kind }) => ends.push(kind) };
    },
  };
  await connectAgent(box, behaviour);
  const stub = originStub(env, "local", box, 0);
  const head = JSON.stringify({
    callId: crypto.randomUUID(),
    endpoint: "web",
    method: "GET",
    target: "/",
    headers: [],
  });
  const connection = `192.0.2.1:${box}`;
  const headers = { [HEAD]: head, [CONNECTION]: connection };
  const response = stub.fetch(
    verb,
    verb === VERB.open
      ? { method: "POST", headers }
      : { headers: { ...headers, upgrade: "websocket", [NONCE]: box } },
  );
  const tell = async (afterMs: number): Promise<void> => {
    vi.setSystemTime(Date.now() + afterMs);
    await stub.clientsHalfClosed([connection]);
  };
  vi.useFakeTimers({ toFake: ["Date"] });
  return { ends, response, tell, connection };
}

test.each([
  ["", "leaves", VERB.open],
  [" during a WebSocket's handshake", "leaves-early", VERB.websocket],
])(
  "a client that has closed its half%s, and to which nothing moves, has left",
  async (_, box, verb) => {
    const { ends, response, tell, connection } = await watchedCall(box, () => undefined, verb);
    await vi.waitFor(() => expect(watchedLink(connection)).toMatchObject({ box }));
    await tell(0);
    await tell(299);
    expect(ends).toEqual([]);
    await tell(1);
    expect((await response).headers.get("postern-cause")).toBe("cancelled");
    await vi.waitFor(() => expect(ends).toEqual(["cancelled"]));
    expect(watchedLink(connection)).toBeUndefined();
  },
);

test("a call whose client leaves before the link is back is not opened", async () => {
  const { stub, connect } = await answering("gone-early", "gone-early");
  const agent = await connect();
  agent.cut();
  await agent.closed;
  vi.useFakeTimers({ toFake: ["Date"] });
  const connection = "192.0.2.1:gone-early";
  const headers = { [HEAD]: "{}", [WAIT]: "seen", [CONNECTION]: connection };
  const response = stub.fetch(VERB.open, { method: "POST", headers });
  await vi.waitFor(() => expect(hasWatchedCalls()).toBe(true));
  noteHalfClosed([connection]);
  vi.setSystemTime(Date.now() + 300);
  await connect();
  expect((await response).headers.get("postern-cause")).toBe("cancelled");
});

test("a client that has closed its half stays while its response flows", async () => {
  const piece = new TextEncoder().encode("piece");
  let stream: Stream | undefined;
  const { ends, response, tell } = await watchedCall("reads-on", (opened) => {
    stream = opened;
    opened.sendHead(OK, [piece]);
  });
  const reader = (await response).body?.getReader();
  await reader?.read();
  for (let round = 0; round < 4; round += 1) {
    await tell(250);
    stream?.sendData([piece]);
    await reader?.read();
  }
  await tell(0);
  expect(ends).toEqual([]);
  await tell(300);
  await vi.waitFor(() => expect(ends).toEqual(["cancelled"]));
  await expect(reader?.read()).rejects.toThrow("the client has left");
});
