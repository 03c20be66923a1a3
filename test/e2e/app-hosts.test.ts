/**
 * Servers that refuse a Host which they do not know, behind a public name. It is none of `localhost`: some of them let each
 * of those pass.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { APPS, type EndpointTable, type Gateway, ROOT, startUp } from "../support/harness.ts";
import { type Answer, send } from "../support/http-client.ts";
import { exchange } from "../support/raw-http.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { ensureSessionsVenv } from "../support/venv.ts";

/** The first run makes the Python environment. */
const SETUP_TIMEOUT_MS = 600_000;
const NAME = "app.example.com";
const DOMAIN = "gw.test";
/** The one that the tests themselves are built on. */
const VITE = join(ROOT, "node_modules/vite/bin/vite.js");

/** What the server saw. */
interface Seen {
  readonly host: string;
  readonly origin?: string;
  readonly words: readonly string[];
}

let postern: Gateway;
beforeAll(async () => {
  const python = await ensureSessionsVenv();
  const picky = (name: string, more: Omit<EndpointTable, "function"> = {}): EndpointTable => ({
    function: name,
    web_server: [
      "node",
      join(APPS, "picky-server.ts"),
      "$POSTERN_WEB_URL",
      "${POSTERN_WEB_HOST}:$PORT",
    ],
    max_inputs: 100,
    ...more,
  });
  const sdk = (name: string, more: Omit<EndpointTable, "function"> = {}): EndpointTable => ({
    function: name,
    web_server: [python, join(APPS, "mcp_sdk_app.py")],
    max_inputs: 100,
    ...more,
  });
  const site = temporaryDirectory();
  writeFileSync(join(site, "index.html"), "<title>A page of Vite</title>");
  const vite = (name: string, more: Omit<EndpointTable, "function"> = {}): EndpointTable => ({
    function: name,
    web_server: ["node", VITE, "--port", "$PORT", "--strictPort", "--host", "127.0.0.1"],
    directory: site,
    max_inputs: 100,
    ...more,
  });
  postern = await startUp(
    [
      picky("public"),
      picky("named", { host_header: NAME, env: { OWN_HOST: NAME } }),
      sdk("sdk-public"),
      sdk("sdk-local", { host_header: "local" }),
      vite("vite-public"),
      vite("vite-local", { host_header: "local" }),
      picky("local", { host_header: "local" }),
    ],
    { domain: DOMAIN },
  );
}, SETUP_TIMEOUT_MS);
afterAll(async () => await postern.stop());

/** The origin of a page of the endpoint itself. */
const originOf = (name: string) => `https://${postern.address(name).host}`;

async function ask(name: string, path = "/", origin?: string): Promise<Answer> {
  const headers = origin === undefined ? {} : { origin };
  return await send(postern.address(name), path, { headers, timeoutMs: 60_000 });
}

test("such a server refuses the public Host", async () => {
  const { status, text } = await ask("public");
  expect(status).toBe(403);
  expect((JSON.parse(text) as Seen).host).toBe(postern.address("public").host);
});

describe.each([
  ["local", /^localhost:\d+$/, "http"],
  // A name of its own has the scheme that its clients use.
  ["named", /^app\.example\.com$/, "https"],
])("with host_header it is served: %s", (name, host, scheme) => {
  test("to programs and to its own pages", async () => {
    const program = await ask(name);
    expect(program.status).toBe(200);
    expect((program.json() as Seen).host).toMatch(host);
    const page = await ask(name, "/", originOf(name));
    expect(page.status).toBe(200);
    const seen = page.json() as Seen;
    expect(seen.origin).toBe(`${scheme}://${seen.host}`);
  });

  test("and its own judgement of other pages stays", async () => {
    const { status, text } = await ask(name, "/", "https://evil.example");
    expect(status).toBe(403);
    expect((JSON.parse(text) as Seen).origin).toBe("https://evil.example");
  });

  test("its redirects lead to the public name", async () => {
    const { status, headers } = await ask(name, "/go");
    expect([status, headers.location]).toEqual([307, `${originOf(name)}/there?x=1`]);
  });

  test("to WebSockets of its pages alone", async () => {
    const statusFor = async (origin: string): Promise<number> => {
      const { port, host: publicHost } = postern.address(name);
      const lines = [
        "GET /socket HTTP/1.1",
        `Host: ${publicHost}`,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        `Origin: ${origin}`,
      ];
      return (await exchange(port, [...lines, "", ""].join("\r\n"))).status;
    };
    expect(await statusFor(originOf(name))).toBe(426);
    expect(await statusFor("https://evil.example")).toBe(403);
  });
});

test("a command's words are given the endpoint's URL and its bare host", async () => {
  const { words } = (await ask("local")).json() as Seen;
  const { host } = postern.address("local");
  expect(words).toEqual([`https://${host}`, expect.stringMatching(/^[\w-]+\.gw\.test:\d+$/)]);
});

test("the official SDK's server of MCP refuses a public Host with 421, and answers with host_header = local", async () => {
  const initialize = {
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: {
      protocolVersion: "2025-06-18",
      capabilities: {},
      clientInfo: { name: "test", version: "1" },
    },
  };
  const connect = async (name: string): Promise<Answer> =>
    await send(postern.address(name), "/mcp", {
      method: "POST",
      body: JSON.stringify(initialize),
      headers: {
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
      },
      timeoutMs: 60_000,
    });
  expect((await connect("sdk-public")).status).toBe(421);
  const { status, text } = await connect("sdk-local");
  expect(status).toBe(200);
  expect(JSON.parse(text)).toMatchObject({ id: 1, result: { serverInfo: { name: "picky" } } });
});

test("Vite's dev server refuses a public Host with 403, and serves its page with host_header = local", async () => {
  const refused = await ask("vite-public");
  expect([refused.status, refused.text]).toEqual([
    403,
    expect.stringContaining("This host (") as unknown,
  ]);
  const page = await ask("vite-local", "/", originOf("vite-local"));
  expect([page.status, page.text]).toEqual([
    200,
    expect.stringContaining("<title>A page of Vite</title>") as unknown,
  ]);
});
