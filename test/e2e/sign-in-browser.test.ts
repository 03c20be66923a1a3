/** A person signs in at a page in a real browser, by a real identity provider. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";

import { PUT_SECRET } from "../../api/secrets.ts";
import { ownAccess } from "../../cli/access.ts";
import { ApiClient } from "../../cli/client.ts";
import { startChromium } from "../support/chromium.ts";
import { APPS, type Gateway, startUp } from "../support/harness.ts";
import {
  type RealIdentityProvider,
  startIdentityProvider,
} from "../support/real-identity-provider.ts";
import { ensureVenv } from "../support/venv.ts";

const SECRET = "a secret of 32 letters or more, surely";

let provider: RealIdentityProvider;
let postern: Gateway;
let browser: Browser;
let origin = "";

beforeAll(async () => {
  provider = await startIdentityProvider();
  const oidc = {
    issuer: provider.issuer,
    client_id: "postern",
    client_secret: "$OIDC_SECRET",
    secrets: ["provider"],
    emails: ["*@example.com"],
  };
  postern = await startUp(
    [
      {
        function: "page",
        asgi: "fastapi_app:app",
        directory: APPS,
        python: await ensureVenv(),
        max_inputs: 100,
        auth: { oidc },
      },
    ],
    { flags: ["--identity-hosts", provider.host] },
  );
  origin = `http://${postern.address("page").host}`;
  provider.serve({
    id: "postern",
    secret: SECRET,
    redirectUris: [`${origin}/_postern/signed-in`],
  });
  await new ApiClient(ownAccess(postern.stateDirectory)).call(PUT_SECRET, {
    path: { name: "provider" },
    query: { environment: "main" },
    body: { variables: { OIDC_SECRET: SECRET } },
  });
  browser = await startChromium();
});
afterAll(async () => {
  await browser.close();
  await postern.stop();
  provider.stop();
});

/** Opens a page in a browser that knows nothing, and signs in at the provider's pages. */
async function signInAs(name: string, path: string): Promise<Page> {
  const context = await browser.newContext();
  onTestFinished(async () => await context.close());
  const page = await context.newPage();
  await page.goto(`${origin}${path}`);
  expect(page.url()).toContain(provider.issuer);
  await answerProvider(page, name);
  return page;
}

/** Fills the provider's two forms: who somebody is, and whether this client may know it. */
async function answerProvider(page: Page, name: string): Promise<void> {
  await page.fill("input[name=login]", name);
  await page.fill("input[name=password]", "anything");
  await page.click("button[type=submit]");
  await page.click("button[type=submit]");
}

test("the page opens after the sign-in, and its fetches and WebSockets pass by the cookie", async () => {
  const page = await signInAs("ada", "/seen/private?page=1");
  await page.waitForURL(`${origin}/seen/private?page=1`);
  const told = await page.textContent("body");
  expect(told).toContain('\\"email\\":\\"ada@example.com\\"');
  // ComfyUI refuses a page to which another site has led, as the provider does.
  expect(told).toContain('["sec-fetch-site", "same-origin"]');
  const seen = await page.evaluate(
    async (url) => {
      const fetched = await fetch("/json").then(({ status }) => status);
      const socket = new WebSocket(url);
      const echoed = await new Promise((resolve) => {
        socket.addEventListener("open", () => socket.send("hello"));
        socket.addEventListener("message", ({ data }) => resolve(data));
        socket.addEventListener("error", () => resolve("refused"));
      });
      return { fetched, echoed };
    },
    `${origin.replace("http", "ws")}/echo`,
  );
  expect(seen).toEqual({ fetched: 200, echoed: "hello" });
  // The cookie is no script's.
  expect(await page.evaluate("document.cookie")).toBe("");
});

test("somebody whose address is not verified reads why, and may be somebody else", async () => {
  const page = await signInAs("unverified", "/json");
  await page.waitForURL(`${origin}/_postern/signed-in**`);
  expect(await page.textContent("body")).toContain("has not verified unverified@example.com");
  await page.click("button");
  await answerProvider(page, "ada");
  await page.waitForURL(`${origin}/`);
});

test("somebody who signs out is asked again", async () => {
  const page = await signInAs("ada", "/json");
  await page.waitForURL(`${origin}/json`);
  await page.goto(`${origin}/_postern/sign-out`);
  await page.click("button");
  expect(await page.textContent("h1")).toBe("You are signed out");
  await page.click("button");
  await page.waitForSelector("input[name=login]");
  expect(page.url()).toContain(provider.issuer);
});
