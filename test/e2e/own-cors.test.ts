/** An app that does CORS by itself, asked by a page of another origin in a real browser. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Server } from "node:net";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { startChromium } from "../support/chromium.ts";
import { type Gateway, startGateway, startServe, upstream } from "../support/harness.ts";
import type { ManagedProcess } from "../support/processes.ts";

const WORK_MS = 2_500;

let runs = 0;
let app: Server;
let pages: Server;
let gateway: Gateway;
let browser: Browser;

/** Allows the pages' origin, with cookies, and takes its time for each POST. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader("access-control-allow-origin", request.headers.origin ?? "");
  response.setHeader("access-control-allow-credentials", "true");
  if (request.method === "OPTIONS") {
    response.setHeader("access-control-allow-headers", "content-type,x-purpose");
    response.writeHead(204).end();
    return;
  }
  runs += 1;
  request.resume();
  setTimeout(() => response.end("done"), WORK_MS);
}

async function listening(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

beforeAll(async () => {
  app = createServer(answer);
  pages = createServer((_request, response: ServerResponse) => {
    response.setHeader("content-type", "text/html").end("<!doctype html>");
  });
  await Promise.all([listening(app), listening(pages)]);
  browser = await startChromium();
});
afterAll(async () => {
  await browser.close();
  pages.close();
  app.close();
});

/** Sends a POST from a page of another origin, with cookies and a header that needs a preflight. */
async function ask(path: string): Promise<{ status: number; text: string }> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${portOf(pages)}/`);
    return await page.evaluate(
      async (target) => {
        const response = await fetch(target, {
          method: "POST",
          credentials: "include",
          headers: { "content-type": "application/json", "x-purpose": "test" },
          body: "{}",
        });
        return { status: response.status, text: await response.text() };
      },
      `http://${gateway.address("web", "-dev").host}${path}`,
    );
  } finally {
    await context.close();
  }
}

describe.each([
  ["by memory", false],
  ["by requests", true],
])("where calls pass %s", (_way, manyIsolates) => {
  let agent: ManagedProcess;
  beforeAll(async () => {
    const flags = ["--request-timeout", "1"];
    gateway = await startGateway({ isFaulty: true, manyIsolates, flags });
    agent = await startServe(gateway, [upstream(portOf(app))]);
  });
  afterAll(async () => {
    await agent.stop();
    await gateway.stop();
  });

  test("a slow call is followed to its response, and ran once", async () => {
    runs = 0;
    expect(await ask("/work")).toEqual({ status: 200, text: "done" });
    expect(runs).toBe(1);
  });

  test("an error of Postern's own can be read", async () => {
    const { status, text } = await ask("/work?__postern_call=forged");
    expect(status).toBe(404);
    expect(JSON.parse(text)).toMatchObject({ code: "no_such_call" });
  });
});
