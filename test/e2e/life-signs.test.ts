/** Clients that wait for a stream hear of it, and people see a page: for a slot, through a cold start, until an error. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { installNodeLibraries } from "../support/clients/clients.ts";
import { APPS, type Gateway, startUp, upstream } from "../support/harness.ts";
import { open, send } from "../support/http-client.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { ensureVenv } from "../support/venv.ts";

const SETUP_TIMEOUT_MS = 600_000;
const SOON = { timeout: 20_000 };
const CLIENTS = fileURLToPath(new URL("../support/clients", import.meta.url));
/** Of a browser that goes to a page. */
const BROWSER = {
  accept: "text/html,application/xhtml+xml,*/*;q=0.8",
  "sec-fetch-mode": "navigate",
};
const EVENTS = { accept: "text/event-stream" };
const SIGN = /^(?:: waiting[^\n]*\n\n)+/;

/** Longer than a client waits before it hears the first sign. */
const SLOW_MS = 3_000;

let postern: Gateway;
let python: string;
let node: string;
let app: Server;
/** The paths that the app was asked for, in their order. */
const asked: string[] = [];
/** Lets go of the request that is held. */
let release = (): void => undefined;

function completion(text: string): string {
  const choices = [{ index: 0, delta: { role: "assistant", content: text }, finish_reason: null }];
  return `data: ${JSON.stringify({ id: "1", object: "chat.completion.chunk", created: 0, model: "m", choices })}\n\n`;
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const path = request.url ?? "";
  asked.push(path);
  if (path === "/hold") {
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    response.end("held");
    return;
  }
  if (path.startsWith("/v1/")) {
    const { model } = JSON.parse(Buffer.concat(chunks).toString()) as { model: string };
    await delay(SLOW_MS);
    if (model === "missing") {
      const error = { message: "no such model", type: "invalid_request_error", code: "missing" };
      response
        .writeHead(404, { "content-type": "application/json" })
        .end(JSON.stringify({ error }));
      return;
    }
    if (model === "dies") {
      request.socket.destroy();
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(completion("good "));
    response.end(`${completion("day")}data: [DONE]\n\n`);
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.end(`data: ${request.headers["accept-encoding"] ?? "plain"}\n\n`);
}

beforeAll(async () => {
  [python, node] = await Promise.all([ensureVenv(), installNodeLibraries()]);
  app = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => {
    app.listen(0, "127.0.0.1", resolve);
  });
  const { port } = app.address() as AddressInfo;
  postern = await startUp([
    upstream(port, { function: "one", max_inputs: 1, life_signs: true }),
    upstream(port, { function: "many", max_inputs: 100, life_signs: true, api: "openai" }),
    upstream(port, { function: "dead", max_inputs: 100, request_timeout: 0.5 }),
    {
      function: "cold",
      web_server: ["node", join(APPS, "slow-start-server.ts")],
      env: { READY: ready },
      max_inputs: 100,
      life_signs: true,
    },
  ]);
}, SETUP_TIMEOUT_MS);
afterAll(async () => {
  release();
  await postern.stop();
  app.closeAllConnections();
  app.close();
});

/** When it is there, the endpoint `cold` starts. */
const ready = join(temporaryDirectory(), "ready");

/** A client that reads all it gets; resolves when its response has begun. */
async function listen(name: string, path: string) {
  const response = await open(postern.address(name), path, { headers: EVENTS, timeoutMs: 60_000 });
  const heard = { text: "" };
  const ended = (async () => {
    for await (const chunk of response) heard.text += String(chunk);
  })();
  ended.catch(() => undefined);
  return { response, heard, ended };
}

test("a client that waits for a place hears where it is, and then the events; one that has left is not served", async () => {
  const held = send(postern.address("one"), "/hold", { timeoutMs: 60_000 });
  await expect.poll(() => asked.includes("/hold"), SOON).toBe(true);
  const leaver = await listen("one", "/leaves");
  expect(leaver.response.statusCode).toBe(200);
  expect(leaver.response.headers["content-type"]).toBe("text/event-stream");
  await expect.poll(() => leaver.heard.text, SOON).toMatch(/^: waiting position=0\b/);
  const second = await listen("one", "/events");
  await expect.poll(() => second.heard.text, SOON).toMatch(/^: waiting position=1\b/);
  leaver.response.destroy();
  await expect.poll(() => second.heard.text, SOON).toMatch(/: waiting position=0\b/);
  release();
  await second.ended;
  expect(second.heard.text.replace(SIGN, "")).toBe("data: plain\n\n");
  expect((await held).text).toBe("held");
  expect(asked).not.toContain("/leaves");
});

describe.each(["Python", "Node"])(
  "OpenAI's SDK for %s, with an answer that takes 3 s",
  (library) => {
    const execute = promisify(execFile);
    const complete = async (model: string): Promise<unknown> => {
      const url = `http://${postern.address("many").host}/v1`;
      const { stdout } =
        library === "Python"
          ? await execute(python, [join(CLIENTS, "openai_stream.py"), url, model])
          : await execute(process.execPath, [join(CLIENTS, "openai-stream.mjs"), url, model, node]);
      return JSON.parse(stdout);
    };

    test("reads the stream, and raises what the app and Postern say", async () => {
      const outcomes = await Promise.all([complete("fine"), complete("missing"), complete("dies")]);
      expect(outcomes).toEqual([
        { text: "good day" },
        { error: expect.stringContaining("no such model"), kind: "APIError" },
        { error: expect.stringContaining("the app broke the exchange"), kind: "APIError" },
      ]);
    });
  },
);

test("without the setting a client is redirected after the endpoint's request_timeout, or held where it follows no redirect", async () => {
  const body = JSON.stringify({ model: "fine", stream: true });
  const ask = async (userAgent: string) =>
    await send(postern.address("dead"), "/v1/x", {
      method: "POST",
      body,
      headers: { "content-type": "application/json", "user-agent": userAgent },
    });
  const [redirected, held] = await Promise.all([ask("curl/8.9.1"), ask("Java-http-client/21")]);
  expect(redirected.status).toBe(303);
  expect(redirected.headers.location).toContain("__postern_call=");
  expect([held.status, held.text.startsWith("data: {")]).toEqual([200, true]);
});

test("a cold start shows a page to a person and signs to a stream, lets programs wait, and is answered in the end", async () => {
  const address = postern.address("cold");
  const page = await send(address, "/page", { headers: BROWSER, timeoutMs: 60_000 });
  expect(page.status).toBe(503);
  expect(page.headers["content-type"]).toContain("text/html");
  expect(page.headers["retry-after"]).toBe("1");
  expect(page.headers["cache-control"]).toBe("no-store");
  expect(page.text).toContain('http-equiv="refresh"');
  expect(page.text).toContain("is starting");

  const program = send(address, "/program", { timeoutMs: 60_000 });
  const script = send(address, "/script", {
    headers: { ...BROWSER, "sec-fetch-mode": "cors" },
    timeoutMs: 60_000,
  });
  const stream = await listen("cold", "/stream");
  await expect.poll(() => stream.heard.text, SOON).toMatch(/^: waiting position=\d+/);
  writeFileSync(ready, "");
  expect((await program).status).toBe(200);
  expect((await script).status).toBe(200);
  await stream.ended;
  expect(stream.heard.text.replace(SIGN, "")).toBe("data: started\n\n");

  const app = await send(address, "/page", { headers: BROWSER });
  expect([app.status, app.text]).toEqual([200, "<title>the app</title>"]);
  // The call of the page that was shown has ended with it.
  const counts = (await send(address, "/counts")).json();
  expect(counts).toEqual({ "/program": 1, "/script": 1, "/stream": 1, "/page": 1 });
});
