/** An app that is not there yet: what never reached it may come again, and what was accepted waits for it. */
import { createServer, type Server } from "node:http";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Gateway, startUp, upstream } from "../support/harness.ts";
import { readAll, send } from "../support/http-client.ts";
import { takeDescriptors } from "../support/processes.ts";
import { freePort } from "../support/temporary.ts";

let postern: Gateway;
let port: number;
let app: Server | undefined;
/** What the app has received, in order. */
let received: string[];
beforeEach(async () => {
  app = undefined;
  received = [];
  port = await freePort();
  postern = await startUp([upstream(port)]);
});
afterEach(async () => {
  await postern.stop();
  app?.close();
});

async function startApp(): Promise<void> {
  const server = createServer((request, response) => {
    void readAll(request).then((body) => {
      received.push(`${request.url} ${body.toString()}`);
      // The next request needs a connection of its own.
      response.setHeader("connection", "close").end(`got ${body.length}`);
    });
  });
  app = server;
  await new Promise<void>((resolve) => {
    server.listen(port, "127.0.0.1", resolve);
  });
}

test("a key whose request never reached the app is free: the next try is its first execution", async () => {
  const again = { method: "POST", body: "question", headers: { "idempotency-key": "one" } };
  const unreached = await send(postern.address(), "/a", again);
  expect(unreached.json()).toMatchObject({ status: 502, code: "origin_error" });
  await startApp();
  expect((await send(postern.address(), "/a", again)).text).toBe("got 8");
  expect((await send(postern.address(), "/a", again)).text).toBe("got 8");
  expect(received).toEqual(["/a question"]);
});

test("an accepted call waits for the app, and keeps nobody else waiting", async () => {
  const headers = { prefer: "respond-async" };
  const large = "x".repeat(20_000);
  const accepted = [
    await send(postern.address(), "/a", { method: "POST", body: "question", headers }),
    await send(postern.address(), "/b", { method: "POST", body: large, headers }),
  ];
  const results = accepted.map(
    (response) => new URL((response.json() as { result_url: string }).result_url),
  );
  expect(accepted.map(({ status }) => status)).toEqual([202, 202]);
  const waiting = await send(postern.address(), "/c", { method: "POST", body: "now" });
  expect(waiting.json()).toMatchObject({ code: "origin_error" });
  await startApp();
  const texts = results.map(async ({ pathname, search }) => {
    return (await send(postern.address(), pathname + search, { timeoutMs: 20_000 })).text;
  });
  expect(await Promise.all(texts)).toEqual(["got 8", "got 20000"]);
  await vi.waitFor(() => expect(received.toSorted()).toEqual(["/a question", `/b ${large}`]));
});

test("without descriptors for a connection to the app a key stays free, and an accepted call waits", async () => {
  await startApp();
  const post = async (path: string, headers: Record<string, string>) =>
    await send(postern.address(), path, { method: "POST", body: "question", headers });
  // What the agent opens once is open then.
  expect((await post("/before", { "idempotency-key": "before" })).text).toBe("got 8");
  const giveBack = takeDescriptors(postern.process.pid);
  const unreached = await post("/a", { "idempotency-key": "one" });
  const accepted = await post("/b", { prefer: "respond-async" });
  expect(received).toEqual(["/before question"]);
  giveBack();
  expect(unreached.json()).toMatchObject({ code: "origin_error" });
  expect(accepted.status).toBe(202);
  expect((await post("/a", { "idempotency-key": "one" })).text).toBe("got 8");
  const { pathname, search } = new URL((accepted.json() as { result_url: string }).result_url);
  const result = await send(postern.address(), pathname + search, { timeoutMs: 20_000 });
  expect(result.text).toBe("got 8");
  expect(received.toSorted()).toEqual(["/a question", "/b question", "/before question"]);
});
