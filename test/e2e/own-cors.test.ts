/** An app that does CORS by itself, asked by a page of another origin in a real browser. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Server } from "node:net";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";

import { startChromium } from "../support/chromium.ts";
import { type Gateway, startUp, upstream } from "../support/harness.ts";

const WORK_MS = 2_500;

let runs = 0;
let app: Server;
let pages: Server;
let postern: Gateway;
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

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return (server.address() as AddressInfo).port;
}

beforeAll(async () => {
  app = createServer(answer);
  pages = createServer((_request, response: ServerResponse) => {
    response.setHeader("content-type", "text/html").end("<!doctype html>");
  });
  await listening(pages);
  postern = await startUp([upstream(await listening(app))], { flags: ["--request-timeout", "1"] });
  browser = await startChromium();
});
afterAll(async () => {
  await browser.close();
  await postern.stop();
  pages.close();
  app.close();
});

/** Sends a POST from a page of another origin, with cookies and a header that needs a preflight. */
async function ask(path: string): Promise<{ status: number; text: string }> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${(pages.address() as AddressInfo).port}/`);
    return await page.evaluate(async (target) => {
      const response = await fetch(target, {
        method: "POST",
        credentials: "include",
        headers: { "content-type": "application/json", "x-purpose": "test" },
        body: "{}",
      });
      return { status: response.status, text: await response.text() };
    }, `http://${postern.address().host}${path}`);
  } finally {
    await context.close();
  }
}

test("a slow call is followed to its response, and ran once", async () => {
  expect(await ask("/work")).toEqual({ status: 200, text: "done" });
  expect(runs).toBe(1);
});

test("an error of Postern's own can be read", async () => {
  const { status, text } = await ask("/work?__postern_call=forged");
  expect(status).toBe(404);
  expect(JSON.parse(text)).toMatchObject({ code: "no_such_call" });
});
