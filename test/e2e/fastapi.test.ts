import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Agent, type CloseEvent, WebSocket } from "undici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { APPS, type EndpointTable, type Gateway, startUp } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { itServesHttpFaithfully } from "../support/http-suite.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { ensureVenv } from "../support/venv.ts";

describe.each([
  ["app object", "fastapi_app:app"],
  ["factory", "fastapi_app:create_app"],
])("FastAPI under uvicorn, given as an %s", (_kind, asgi) => {
  const eventsFile = join(temporaryDirectory(), "events");
  const lifespanEvents = () =>
    existsSync(eventsFile) ? readFileSync(eventsFile, "utf8").split("\n").filter(Boolean) : [];
  let postern: Gateway;

  beforeAll(async () => {
    const endpoint: EndpointTable = {
      function: "web",
      asgi,
      directory: APPS,
      python: await ensureVenv(),
      env: { EVENTS_FILE: eventsFile },
      max_inputs: 100,
    };
    postern = await startUp([endpoint]);
    // The first request waits for the container; from here on it is warm.
    await send(postern.address(), "/json", { timeoutMs: 60_000 });
  });
  afterAll(async () => {
    await postern.stop();
    expect(lifespanEvents()).toEqual(["startup", "shutdown"]);
  });

  itServesHttpFaithfully(() => postern.address());

  test("the lifespan's startup has been seen before the first request", () => {
    expect(lifespanEvents()).toEqual(["startup"]);
  });

  test("a form reaches its fields", async () => {
    const answer = await send(postern.address(), "/form", {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: "name=J%C3%B6rg&motto=a+b%26c",
    });
    expect(answer.json()).toEqual({ name: "Jörg", motto: "a b&c" });
  });

  test("an uploaded file arrives with its name, type and bytes", async () => {
    const content = randomBytes(2_000_000);
    const boundary = "----postern-test-boundary";
    const part = (head: string) => `--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n`;
    const body = Buffer.concat([
      Buffer.from(`${part('name="note"')}\r\nhello\r\n`),
      Buffer.from(`${part('name="file"; filename="a b.bin"')}Content-Type: image/x-test\r\n\r\n`),
      content,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]);
    const answer = await send(postern.address(), "/files", {
      method: "POST",
      headers: { "content-type": `multipart/form-data; boundary=${boundary}` },
      body,
    });
    expect(answer.json()).toEqual({
      filename: "a b.bin",
      type: "image/x-test",
      bytes: content.length,
      sha256: createHash("sha256").update(content).digest("hex"),
      note: "hello",
    });
  });

  test("a WebSocket echoes text and binary and closes with its code", async () => {
    // To 127.0.0.1 whatever the name: not every resolver knows *.localhost.
    const dispatcher = new Agent({
      connect: {
        lookup: (_name, _options, done) => done(null, [{ address: "127.0.0.1", family: 4 }]),
      },
    });
    const socket = new WebSocket(`ws://${postern.address().host}/echo`, { dispatcher });
    socket.binaryType = "arraybuffer";
    const next = async () =>
      await new Promise<unknown>((resolve, reject) => {
        socket.addEventListener("message", (event) => resolve(event.data), { once: true });
        socket.addEventListener("error", () => reject(new Error("socket error")), { once: true });
      });
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener("open", () => resolve(), { once: true });
      socket.addEventListener("error", () => reject(new Error("no handshake")), { once: true });
    });
    socket.send("snow ☃ man");
    expect(await next()).toBe("snow ☃ man");
    const bytes = randomBytes(100_000);
    socket.send(bytes);
    expect(Buffer.from((await next()) as ArrayBuffer).equals(bytes)).toBe(true);
    const closed = new Promise<CloseEvent>((resolve) => {
      socket.addEventListener("close", resolve, { once: true });
    });
    socket.close(1000, "done");
    expect(await closed).toMatchObject({ code: 1000, wasClean: true });
    await dispatcher.close();
  });
});
