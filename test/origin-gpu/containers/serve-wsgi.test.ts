/** WSGI apps under real uvicorn. Skipped where the tests' Python has not been made (test/support/venv.ts). */
import { readFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";

import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import { startContainer } from "../../../origin-gpu/containers/start-container.ts";
import { existingVenv } from "../../support/venv.ts";
import { HERE, endpointConfig, listening, plainPython } from "./endpoint.ts";

const DIRECTORY = `${HERE}wsgi`;
const PATIENCE = { timeout: 15_000 };

function start(target: string, settings: Partial<EndpointConfig> = {}) {
  const lines: string[] = [];
  const container = startContainer({
    endpoint: endpointConfig({
      kind: { type: "wsgi", target },
      python: existingVenv() ?? "python3",
      directory: DIRECTORY,
      ...settings,
    }),
    environment: { PYTHONDONTWRITEBYTECODE: "1" },
    usePython: plainPython,
    ...listening((line) => lines.push(line)),
  });
  return { container, lines };
}

describe.skipIf(existingVenv() === undefined)("an app in each form", () => {
  test.each([
    "apps:app",
    "apps:make",
    "apps:make_with_defaults",
    "apps:Instance",
    "apps:instance",
    "apps:partial",
    "apps:Iterated",
  ])("%s serves", async (target) => {
    const { container } = start(target);
    onTestFinished(async () => await container.stop());
    const { origin } = await container.ready;
    const response = await fetch(`${origin}/`);
    expect(await response.json()).toMatchObject({ REQUEST_METHOD: "GET", PATH_INFO: "/" });
    expect(response.headers.get("server")).toBe("the app's own");
  });

  test.each([
    ["apps:nothing", "postern: apps has no attribute nothing"],
    ["apps:number", "postern: apps:number is of type int and not a WSGI app"],
    [
      "apps:asgi",
      'postern: apps:asgi looks like an ASGI app: write asgi = "…" in the place of wsgi',
    ],
    [
      "apps:four_arguments",
      "postern: apps:four_arguments is neither a WSGI app nor a function without arguments",
    ],
    [
      "apps:NeedsSettings",
      "postern: apps:NeedsSettings is a class that needs arguments; name an instance, or a function that makes one",
    ],
    [
      "apps:make_async",
      "postern: apps:make_async is an async function; the function that makes the app must be a plain one",
    ],
  ])("%s is refused in one line", async (target, line) => {
    const { container, lines } = start(target);
    await expect(container.ready).rejects.toMatchObject({ code: "starting_failed" });
    expect(lines).toEqual([line]);
  });
});

describe.skipIf(existingVenv() === undefined)("one app", () => {
  let started: ReturnType<typeof start>;
  let origin: string;

  beforeAll(async () => {
    started = start("apps:cases", { maxInputs: 3 });
    ({ origin } = await started.container.ready);
  });
  afterAll(async () => await started.container.stop());

  const printed = async (line: string | RegExp) => {
    await expect
      .poll(() => started.lines, PATIENCE)
      .toContainEqual(typeof line === "string" ? line : expect.stringMatching(line));
  };

  /** Sends a request whose body the caller writes. */
  function open(path: string, headers: Record<string, string> = {}) {
    const sent = request(`${origin}${path}`, { method: "POST", headers, agent: false });
    sent.on("error", () => undefined);
    const answered = once(sent, "response").then(([response]) => response as IncomingMessage);
    answered.catch(() => undefined);
    return { sent, answered };
  }

  test("the body is read and answered piece by piece", async () => {
    const { sent, answered } = open("/echo");
    sent.write("first");
    const response = await answered;
    response.setEncoding("utf8");
    const [first] = (await once(response, "data")) as [string];
    expect(first).toBe("first");
    sent.end("second");
    let rest = "";
    for await (const chunk of response) rest += chunk as string;
    expect(rest).toBe("second|end");
    await printed("closed echo");
  });

  test("a body is read by line and to its end, however it is framed", async () => {
    const body = `a line\n${"x".repeat(3_000_000)}`;
    const counted = await fetch(`${origin}/lines`, { method: "POST", body });
    expect(await counted.json()).toEqual(["a line\n", 3_000_000, `${body.length}`]);
    const { sent, answered } = open("/lines");
    sent.write("a line\nof ");
    sent.end("two chunks");
    const response = await answered;
    expect(JSON.parse(Buffer.concat(await response.toArray()).toString())).toEqual([
      "a line\n",
      "of two chunks".length,
      null,
    ]);
  });

  test("a body that breaks off is an error, never a short body", async () => {
    const { sent } = open("/upload", { "content-length": "100" });
    sent.write("half");
    await expect.poll(() => sent.writableLength, PATIENCE).toBe(0);
    sent.destroy();
    await printed("upload failed: the request's body did not arrive whole");
    expect(started.lines).not.toContainEqual(expect.stringContaining("upload whole"));
  });

  test.each(["GET", "POST"])("a client that leaves a stream ends a %s to it", async (method) => {
    const before = started.lines.filter((line) => line === "closed endless").length;
    const sent = request(`${origin}/endless`, { method, agent: false });
    sent.on("error", () => undefined);
    // The app reads nothing of it.
    sent.end(method === "POST" ? "x".repeat(100_000) : undefined);
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    response.on("error", () => undefined);
    await once(response, "data");
    sent.destroy();
    await expect
      .poll(() => started.lines.filter((line) => line === "closed endless").length, PATIENCE)
      .toBe(before + 1);
  });

  test("an error in a stream breaks it off, and close() is called", async () => {
    const response = await fetch(`${origin}/raising`);
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow("terminated");
    await printed("closed raising");
    await printed(/RuntimeError: no GPU here/);
  });

  test.each([
    ["failing", "RuntimeError: no GPU here"],
    ["leaving", "the app called sys.exit(3)"],
    ["twice", "start_response was called twice"],
    ["silent", "the app wrote before it called start_response"],
    ["text", "the app gave str in the place of bytes"],
  ])("an app that is %s is a 500, with the reason in its output", async (path, reason) => {
    expect((await fetch(`${origin}/${path}`)).status).toBe(500);
    await expect.poll(() => started.lines.join("\n"), PATIENCE).toContain(reason);
  });

  test("a head that was not sent may be replaced, a later one breaks the response off", async () => {
    const replaced = await fetch(`${origin}/late-error`);
    expect([replaced.status, replaced.headers.get("x-error")]).toEqual([503, "yes"]);
    expect(await replaced.text()).toBe("sorry");
    const late = await fetch(`${origin}/too-late-error`);
    await expect(late.text()).rejects.toThrow("terminated");
  });

  test.each([
    ["written", 201, "one two three"],
    ["late-head", 202, "late"],
    ["empty", 200, ""],
    ["no-content", 204, ""],
    ["file", 200, readFileSync(`${DIRECTORY}/apps.py`, "utf8")],
  ])("the response of %s is whole", async (path, status, body) => {
    const response = await fetch(`${origin}/${path}`);
    expect(response.status).toBe(status);
    expect(await response.text()).toBe(body);
  });

  test("requests run beside each other, as many calls as max_inputs and no more", async () => {
    const call = async (path: string, id: number) =>
      await fetch(`${origin}/${path}`, { headers: { "postern-call-id": `call-${id}` } });
    const met = await Promise.all([call("meet", 1), call("meet", 2)]);
    expect(met.map(({ status }) => status)).toEqual([200, 200]);
    const counts = await Promise.all(
      Array.from({ length: 9 }, async (_, id) => await (await call("count", id)).text()),
    );
    expect(Math.max(...counts.map(Number))).toBe(3);
  });

  test("the agent's own question is answered while each place has a call", async () => {
    const calls = [1, 2, 3].map((id) => {
      const sent = request(`${origin}/endless`, {
        headers: { "postern-call-id": `held-${id}` },
        agent: false,
      });
      sent.on("error", () => undefined).end();
      return sent;
    });
    onTestFinished(() => {
      for (const sent of calls) sent.destroy();
    });
    await Promise.all(calls.map(async (sent) => await once(sent, "response")));
    expect((await fetch(`${origin}/empty`)).status).toBe(200);
  });

  test("a WebSocket is closed before it opens", async () => {
    const socket = connect(Number(new URL(origin).port), "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    socket.write(
      "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 403 /);
  });

  test("blanks around a header's value are none of it: h11 refuses a value with some", async () => {
    const socket = connect(Number(new URL(origin).port), "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    socket.write("GET /padded HTTP/1.1\r\nHost: a\r\n\r\n");
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString()).toContain("\r\nset-cookie: a=b; Path=/\r\n");
  });
});

test.skipIf(existingVenv() === undefined)("the environ is that of the public URL", async () => {
  const { container } = start("apps:app", { maxInputs: 2 });
  onTestFinished(async () => await container.stop());
  const { origin } = await container.ready;
  const socket = connect(Number(new URL(origin).port), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.write(
    [
      "GET /a%2Fb/%C3%A9%FF/../c?q=%C3%A9&r HTTP/1.1",
      "Host: ecorp--web.example.com",
      "X-Forwarded-For: 203.0.113.9",
      "X-Forwarded-Proto: https",
      "X-Auth: real",
      "X_Auth: forged",
      "Cookie: a=1",
      "Cookie: b=2",
      "X-Twice: 1",
      "X-Twice: 2",
      "Content-Type: text/plain",
      "Connection: close",
      "\r\n",
    ].join("\r\n"),
  );
  const answer = Buffer.concat((await socket.toArray()) as Buffer[]).toString();
  expect(JSON.parse(answer.slice(answer.indexOf("{")))).toMatchObject({
    SCRIPT_NAME: "",
    // PEP 3333: bytes as Latin-1.
    PATH_INFO: "/a/b/Ã©ÿ/../c",
    QUERY_STRING: "q=%C3%A9&r",
    REQUEST_URI: "/a%2Fb/%C3%A9%FF/../c?q=%C3%A9&r",
    SERVER_NAME: "ecorp--web.example.com",
    SERVER_PORT: "443",
    HTTP_HOST: "ecorp--web.example.com",
    REMOTE_ADDR: "203.0.113.9",
    "wsgi.url_scheme": "https",
    "wsgi.multithread": true,
    HTTP_X_AUTH: "real",
    HTTP_COOKIE: "a=1; b=2",
    HTTP_X_TWICE: "1,2",
    CONTENT_TYPE: "text/plain",
  });
});
