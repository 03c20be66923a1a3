/** `postern doctor` at real endpoints: an app that is slow, pages of another origin, and a real nginx in front. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, test } from "vitest";

import { asEventSource } from "../../cli/doctor/clients.ts";
import type { Finding } from "../../cli/doctor/finding.ts";
import { type Gateway, startCommand, startUp, upstream } from "../support/harness.ts";
import { type Nginx, startNginx } from "../support/nginx.ts";

const SLOW_MS = 1_000;
const EVENTS = 5;
const EVENT_INTERVAL_MS = 300;

let postern: Gateway;
let app: Server;

async function stream(response: ServerResponse, events: number): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (let event = 0; event < events && !response.destroyed; event += 1) {
    response.write(`data: ${event}\n\n`);
    await delay(EVENT_INTERVAL_MS);
  }
  response.end();
}

async function answer({ method, url }: IncomingMessage, response: ServerResponse): Promise<void> {
  if (url === "/slow") await delay(SLOW_MS);
  if (url === "/preflights" && method === "OPTIONS") {
    response.setHeader("access-control-allow-origin", "*");
    response.setHeader("access-control-allow-headers", "authorization");
  }
  if (url === "/events") await stream(response, EVENTS);
  else if (url === "/endless") await stream(response, Infinity);
  else if (url === "/silent")
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
  else response.end("hello");
}

beforeAll(async () => {
  app = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => {
    app.listen(0, "127.0.0.1", resolve);
  });
  const { port } = app.address() as AddressInfo;
  postern = await startUp([
    upstream(port, { function: "slow", request_timeout: SLOW_MS / 4_000 }),
    upstream(port, { function: "own", cors: false }),
    upstream(port, { function: "open", cors: true }),
  ]);
});
afterAll(async () => {
  await postern.stop();
  app.closeAllConnections();
  app.close();
});

/** @param port where the name is asked */
function urlOf(name: string, path: string, port: number): string {
  return `http://${postern.address(name).host.replace(/:\d+$/, `:${port}`)}${path}`;
}

/** What the command says of an endpoint, by check. */
async function examine(name: string, path: string, port = postern.port) {
  const managed = startCommand(["doctor", urlOf(name, path, port), "--json"]);
  const { code } = await managed.exited;
  const findings = JSON.parse(managed.stdout) as Finding[];
  return { code, of: (check: string) => findings.find((finding) => finding.check === check) };
}

/** What it says as an EventSource alone: each try of a stream that does not come takes its 20 s. */
async function hearEvents(path: string, port: number): Promise<Finding> {
  const url = new URL(urlOf("open", path, port));
  const server = { url, address: "127.0.0.1", family: 4 } as const;
  return await asEventSource({ server, key: undefined });
}

test.concurrent("an app that is slower than its request timeout is told what that does to which client", async ({
  expect,
}) => {
  const { code, of } = await examine("slow", "/slow");
  expect(of("curl")).toMatchObject({
    outcome: "warning",
    detail: expect.stringMatching(/^303 with a result URL/) as unknown,
  });
  expect(of("curl")?.remedy).toContain("request_timeout");
  expect(of("eventsource")?.detail).toContain("such a client follows it");
  // It has been held.
  expect(of("mcp")?.detail).toContain("no MCP server");
  expect(code).toBe(0);
});

test.concurrent.for([
  { name: "open", path: "/", outcome: "ok", words: "pages of every origin may call" },
  { name: "own", path: "/", outcome: "warning", words: "may not call" },
  { name: "own", path: "/preflights", outcome: "warning", words: "and not read the 200" },
])("pages of another origin: $words", async ({ name, path, outcome, words }, { expect }) => {
  const { of } = await examine(name, path);
  expect(of("browser")).toMatchObject({ outcome });
  expect(of("browser")?.detail).toContain(words);
});

test.concurrent("a stream that says nothing yet is well", async ({ expect }) => {
  expect(await hearEvents("/silent", postern.port)).toEqual({
    check: "eventsource",
    outcome: "ok",
    detail: "the stream is open, and silent",
  });
});

/** As people write it at first. */
const BARE = "proxy_set_header Host $http_host;";
/** As docs/self-hosting.md has it. */
const WHOLE = `${BARE} proxy_http_version 1.1; proxy_buffering off;
  proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";`;

describe.concurrent("behind an nginx", () => {
  const servers: Nginx[] = [];
  afterAll(async () => {
    for (const nginx of servers) await nginx.stop();
  });

  async function nginxWith(directives: string): Promise<number> {
    const nginx = await startNginx(postern.port, directives);
    servers.push(nginx);
    return nginx.port;
  }

  test("that buffers, a stream is found to be held back", async ({ expect }) => {
    const { of } = await examine("open", "/events", await nginxWith(BARE));
    expect(of("eventsource")).toMatchObject({ outcome: "warning" });
    expect(of("eventsource")?.detail).toContain(`${EVENTS} events came at once`);
    expect(of("eventsource")?.remedy).toMatch(/^nginx .*proxy_buffering off/);
  });

  test("that buffers, a stream without an end never comes", async ({ expect }) => {
    const { outcome, remedy } = await hearEvents("/endless", await nginxWith(BARE));
    expect(outcome).toBe("failed");
    expect(remedy).toContain("proxy_buffering off");
  });

  test("that does not, nothing is found", async ({ expect }) => {
    const { code, of } = await examine("open", "/events", await nginxWith(WHOLE));
    expect(of("eventsource")).toMatchObject({ outcome: "ok" });
    expect(code).toBe(0);
  });

  test("that serves something else, that is found", async ({ expect }) => {
    const { code, of } = await examine("open", "/", await nginxWith("return 200;"));
    expect(code).toBe(1);
    expect(of("curl")?.detail).toBe("200, and not from Postern");
  });

  test("that drops Upgrade, it is found to", async ({ expect }) => {
    const { of } = await examine("open", "/", await nginxWith(BARE));
    expect(of("websocket")).toMatchObject({ outcome: "warning" });
    expect(of("websocket")?.remedy).toContain("proxy_set_header Upgrade");
  });

  test("that adds a permission for pages, it is found to be one too many", async ({ expect }) => {
    const adding = `${WHOLE} add_header Access-Control-Allow-Origin * always;`;
    const { of } = await examine("open", "/", await nginxWith(adding));
    expect(of("browser")).toMatchObject({
      outcome: "failed",
      remedy: expect.stringContaining("no add_header") as unknown,
    });
  });
});
