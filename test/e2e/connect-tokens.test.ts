/** A locked page in a real browser: the command's URL opens it, and all that the page asks for afterwards passes. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";

import { startChromium } from "../support/chromium.ts";
import { APPS, type Gateway, startCommand, startUp } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { ensureVenv } from "../support/venv.ts";

let postern: Gateway;
let browser: Browser;
beforeAll(async () => {
  const fastapi = {
    asgi: "fastapi_app:app",
    directory: APPS,
    python: await ensureVenv(),
    max_inputs: 100,
  };
  postern = await startUp([
    { function: "page", requires_proxy_auth: true, ...fastapi },
    { function: "neighbour", containers_of: "page" },
  ]);
  browser = await startChromium();
});
afterAll(async () => {
  await browser.close();
  await postern.stop();
});

/** Runs the command, and returns the lines that it printed. */
async function connect(...args: string[]): Promise<string[]> {
  const command = ["connect-token", "create", ...args, "--app", "e2e"];
  const managed = startCommand([...command, "--state", postern.stateDirectory]);
  const { code } = await managed.exited;
  expect({ code, stderr: managed.stderr }).toMatchObject({ code: 0 });
  return managed.stdout.split("\n");
}

/** Looks from a page: at its own endpoint, or at another page's with the browser's cookies. */
async function lookFrom(pageUrl: string, target: string) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const opened = await page.goto(pageUrl);
  const seen = await page.evaluate(async (address) => {
    const fetched = await fetch(`${address}/json`, {
      credentials: "include",
      mode: "no-cors",
    }).then(
      ({ status }) => status,
      () => 0,
    );
    const socket = new WebSocket(`${address.replace("http", "ws")}/echo`);
    const echoed = await new Promise((resolve) => {
      socket.addEventListener("open", () => socket.send("hello"));
      socket.addEventListener("message", ({ data }) => resolve(data));
      socket.addEventListener("error", () => resolve("refused"));
    });
    return { fetched, echoed };
  }, target);
  const cookie = await page.evaluate("document.cookie");
  return { context, status: opened?.status(), ...seen, cookie };
}

test("the URL opens the page, and its fetches and WebSockets pass by the cookie", async () => {
  const [token = "", url = ""] = await connect("page", "--metadata", '{"user":"ada"}');
  expect(url).toContain(token);
  const origin = new URL(url).origin;
  const { context, ...seen } = await lookFrom(url.replace("/?", "/seen/x?a=1&"), origin);
  // The cookie is no script's.
  expect(seen).toEqual({ status: 200, fetched: 200, echoed: "hello", cookie: "" });
  const page = await context.newPage();
  await page.goto(`${origin}/seen/next`);
  const text = await page.evaluate("document.body.textContent");
  expect(text).toContain('{\\"user\\":\\"ada\\"}');
  expect(text).not.toContain("pct-");
  await context.close();
});

test("a neighbour's page does not get in by the visitor's cookie", async () => {
  const [, url = ""] = await connect("page");
  const context = await browser.newContext();
  const page = await context.newPage();
  expect((await page.goto(url.replace("/?", "/json?")))?.status()).toBe(200);
  const { host } = postern.address("neighbour");
  await page.goto(`http://${host}/json`);
  const refused = await page.evaluate(
    async (target) => {
      const socket = new WebSocket(target);
      return await new Promise((resolve) => {
        socket.addEventListener("open", () => resolve("open"));
        socket.addEventListener("error", () => resolve("refused"));
      });
    },
    `${new URL(url).origin.replace("http", "ws")}/echo`,
  );
  expect(refused).toBe("refused");
  await context.close();
});

test("a program sends the token in any header, and one that expires is refused", async () => {
  const [token = ""] = await connect("page", "--expires", "1h");
  for (const headers of [{ authorization: `Bearer ${token}` }, { "x-api-key": token }]) {
    expect((await send(postern.address("page"), "/json", { headers })).status).toBe(200);
  }
  const [short = ""] = await connect("page", "--expires", "1s");
  const ask = async () =>
    (await send(postern.address("page"), `/json?_postern_connect_token=${short}`)).status;
  await expect.poll(ask).toBe(401);
});
