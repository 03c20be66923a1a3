/**
 * An agent that says more or less than the Content-Length of its response, in the frame that has the whole response: a
 * client would take it for complete. Bodies in several frames: response-body-stream.test.ts; responses that come by
 * memory: proxy-request.test.ts.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { announcement, ask, connectAgent, type FakeAgent, HANDSHAKE } from "../../fake-agent.ts";

const BOX = "lengths";
const BASE = "http://app";
const NAME = `local--app-${BOX}`;

let agent: FakeAgent;
beforeAll(async () => {
  agent = await connectAgent(BOX, {
    endpoints: [announcement("app", BOX)],
    open: (stream, { target, headers, callId }) => {
      if (headers.includes("deferred")) {
        stream.confirmDeferred({ callId, status: "running", position: 0, elapsedMs: 0 });
      } else stream.sendHead(...responseOf(target));
      return {};
    },
    attach: (stream, { callId }) => {
      if (isPending) {
        stream.confirmDeferred({ callId, status: "running", position: 0, elapsedMs: 0 });
      } else stream.sendHead(...responseOf(stored));
      return {};
    },
  });
});
afterAll(() => agent.close());

/** The target whose response is that of a durable call. */
let stored = "/";
/** Clients of durable calls are sent on. */
let isPending = false;

function responseOf(target: string): [string, Uint8Array[], boolean] {
  const query = new URL(target, BASE).searchParams;
  const status = Number(query.get("status") ?? 200);
  const headers = ["content-length", query.get("declared") ?? "0"];
  return [JSON.stringify({ status, headers }), [new Uint8Array(Number(query.get("bytes")))], true];
}

async function isBrokenAnswer(response: Response): Promise<void> {
  expect(response.status).toBe(502);
  expect(await response.json()).toMatchObject({ code: "origin_error" });
}

const WRONG = [
  ["fewer bytes than it declares", "/?declared=50&bytes=5"],
  ["more bytes than it declares", "/?declared=2&bytes=5"],
  ["no bytes where it declares some", "/?declared=50&bytes=0"],
  ["bytes where it declares none", "/?declared=0&bytes=5"],
] as const;

test.each(WRONG)("a response with %s is 502", async (_, target) => {
  await isBrokenAnswer(await ask(NAME, target));
  await isBrokenAnswer(await ask(NAME, target, { method: "POST", body: "hello" }));
});

test.each(WRONG)("one with %s that comes before its upload has ended is 502", async (_, target) => {
  const { readable, writable } = new IdentityTransformStream();
  const response = ask(NAME, target, { method: "POST", body: readable });
  const writer = writable.getWriter();
  await writer.write(new Uint8Array(5));
  await writer.close().catch(() => undefined);
  await isBrokenAnswer(await response);
});

test.each([
  ["as many bytes as it declares", "/?declared=5&bytes=5", "GET", 200],
  ["no bytes, and declares none", "/?declared=0&bytes=0", "GET", 200],
  ["no bytes for a HEAD", "/?declared=50&bytes=0", "HEAD", 200],
  ["no bytes and 304", "/?declared=50&bytes=0&status=304", "GET", 304],
])("a response with %s is passed on", async (_, target, method, status) => {
  const response = await ask(NAME, target, { method });
  expect(response.status).toBe(status);
  const { searchParams } = new URL(target, BASE);
  expect((await response.bytes()).length).toBe(Number(searchParams.get("bytes")));
});

test.each(WRONG)("a stored response with %s is 502", async (_, target) => {
  stored = target;
  const resultUrl = await deferred("POST");
  for (const method of ["GET", "HEAD"]) {
    const response = await ask(NAME, resultUrl, { method });
    if (method === "GET") await isBrokenAnswer(response);
    else expect(response.status).toBe(502);
  }
  await isBrokenAnswer(await ask(NAME, resultUrl, { headers: { range: "bytes=0-3" } }));
});

test("a stored response to a HEAD is passed on, whoever asks for it", async () => {
  stored = "/?declared=50&bytes=0";
  const resultUrl = await deferred("HEAD");
  expect((await ask(NAME, resultUrl)).status).toBe(200);
  expect((await ask(NAME, resultUrl, { method: "HEAD" })).status).toBe(200);
});

test("a stored response to a HEAD is passed on also where its client was sent on once more", async () => {
  isPending = true;
  const again = await ask(NAME, await deferred("HEAD"), { redirect: "manual" });
  expect(again.status).toBe(303);
  isPending = false;
  stored = "/?declared=50&bytes=0";
  expect((await ask(NAME, pathOf(again.headers.get("location") ?? ""))).status).toBe(200);
});

test("an app that refuses a WebSocket so is 502", async () => {
  await isBrokenAnswer(await ask(NAME, "/?declared=50&bytes=5&status=403", { headers: HANDSHAKE }));
  const right = await ask(NAME, "/?declared=5&bytes=5&status=403", { headers: HANDSHAKE });
  expect(right.status).toBe(403);
});

/** The path and query of the result URL of a call that goes on. */
async function deferred(method: "POST" | "HEAD"): Promise<string> {
  const response = await ask(NAME, "/", { method, headers: { deferred: "1" }, redirect: "manual" });
  expect(response.status).toBe(303);
  return pathOf(response.headers.get("location") ?? "");
}

function pathOf(url: string): string {
  const { pathname, search } = new URL(url, BASE);
  return `${pathname}${search}`;
}
