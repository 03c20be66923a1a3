import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { APPS, type Gateway, startUp } from "../support/harness.ts";
import { open, send } from "../support/http-client.ts";
import { itServesHttpFaithfully, type Seen } from "../support/http-suite.ts";
import { exchange } from "../support/raw-http.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { ensureVenv } from "../support/venv.ts";

describe("Flask, given as a WSGI app", () => {
  const eventsFile = join(temporaryDirectory(), "events");
  let postern: Gateway;

  beforeAll(async () => {
    postern = await startUp([
      {
        function: "web",
        wsgi: "flask_app:create_app",
        directory: APPS,
        python: await ensureVenv(),
        env: { EVENTS_FILE: eventsFile },
        max_inputs: 20,
      },
    ]);
    // The first request waits for the container; from here on it is warm.
    await send(postern.address(), "/json", { timeoutMs: 60_000 });
  });
  afterAll(async () => await postern.stop());

  itServesHttpFaithfully(() => postern.address());

  test("the URLs that it makes are public, and names with underscores do not reach it", async () => {
    const answer = await send(postern.address(), "/seen/urls", {
      headers: { "x-auth": "real", x_auth: "forged" },
    });
    const seen = answer.json() as Seen & { readonly own_url: string };
    expect(seen.own_url).toBe(`http://${postern.address().host}/json`);
    const auth = seen.headers.filter(([name]) => name.toLowerCase().replace("_", "-") === "x-auth");
    expect(auth.map(([, value]) => value)).toEqual(["real"]);
  });

  test("a form reaches its fields", async () => {
    const answer = await send(postern.address(), "/form", {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: "name=J%C3%B6rg&motto=a+b%26c",
    });
    expect(answer.json()).toEqual({ name: "Jörg", motto: "a b&c" });
  });

  test("it reads a body while the client writes it", async () => {
    const body = new PassThrough();
    const answering = open(postern.address(), "/upload", { method: "POST", body });
    body.write("x".repeat(1000));
    const response = await answering;
    const pieces = response.setEncoding("utf8")[Symbol.asyncIterator]();
    let seen = String((await pieces.next()).value);
    expect(seen).toBe("1000\n");
    body.end("y".repeat(10));
    for (;;) {
      const { done, value } = await pieces.next();
      if (done === true) break;
      seen += String(value);
    }
    expect(seen).toBe("1000\n10\nend\n");
  });

  test("a client that leaves ends its generator", async () => {
    const leaving = new AbortController();
    const response = await open(postern.address(), "/endless", { signal: leaving.signal });
    response.on("error", () => undefined);
    await new Promise((resolve) => {
      response.once("data", resolve);
    });
    leaving.abort();
    await expect
      .poll(() => existsSync(eventsFile) && readFileSync(eventsFile, "utf8"))
      .toBe("left\n");
  });

  test("a WebSocket is 501, and the app is not asked", async () => {
    const response = await exchange(
      postern.address().port,
      `GET /json HTTP/1.1\r\nHost: ${postern.address().host}\r\nUpgrade: websocket\r\n` +
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAccept: application/json\r\n\r\n",
    );
    expect(response.status).toBe(501);
    expect(JSON.parse(response.body.toString())).toMatchObject({
      code: "not_supported",
      detail: "a WSGI app takes no WebSockets",
    });
  });
});
