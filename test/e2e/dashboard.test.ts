/** The dashboard in a real browser: what a person sees of a real gateway, and what hostile apps can't do there. */
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";

import { CREATE_API_TOKEN, REVOKE_API_TOKEN } from "../../api/tokens.ts";
import { ownAccess } from "../../cli/access.ts";
import { boxName } from "../../cli/agent.ts";
import { ApiClient } from "../../cli/client.ts";
import { startChromium } from "../support/chromium.ts";
import { type Gateway, startGateway, startUp, webServer } from "../support/harness.ts";
import { send } from "../support/http-client.ts";

const HOSTILE = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;

/** Members of the API's documents that are text. */
const TEXTS =
  /"(name|environment|state|detail|last_error|error|endpoint|box|agent|region|call|path|status|created_at|scope)":"[^"]*"/g;

/** An app that is not healthy has it in its error. */
const HOSTILE_PATH = "/<img/src=x/onerror=document.title='owned'>";

let postern: Gateway;
let browser: Browser;
let token = { id: "", secret: "" };

beforeAll(async () => {
  postern = await startUp([
    webServer({ function: "broken", health_path: HOSTILE_PATH, startup_timeout: 3 }),
    webServer({ requires_proxy_auth: true, function: "locked" }),
    webServer(),
  ]);
  const { tokenId, tokenSecret } = ownAccess(postern.stateDirectory);
  token = { id: tokenId, secret: tokenSecret };
  browser = await startChromium();
});
afterAll(async () => {
  await browser.close();
  await postern.stop();
});

/** A browser that knows nothing. */
async function newVisitor(): Promise<BrowserContext> {
  const context = await browser.newContext();
  onTestFinished(async () => await context.close());
  return context;
}

async function openPage(context: BrowserContext, { host } = postern.base): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`http://${host}/`);
  return page;
}

async function signIn(page: Page, presented = `${token.id}.${token.secret}`): Promise<void> {
  await page.getByLabel("API token").fill(presented);
  await page.getByRole("button", { name: "Sign in" }).click();
}

const appsOf = (page: Page) => page.getByRole("table", { name: "Apps in main" });

/** A call whose response the box stores. */
async function callOnce(): Promise<void> {
  const headers = { prefer: "respond-async" };
  await send(postern.address("web"), "/json", { headers });
}

/** What the page reads aloud, and shows, of a table. */
const textOf = async (page: Page, name: string) =>
  await page.getByRole("table", { name }).innerText();

test("somebody who signs in sees apps with their URLs, boxes and calls, and the page goes on by itself", async () => {
  const complaints: string[] = [];
  const page = await openPage(await newVisitor());
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  await expect.poll(() => page.getByText("postern url APP FUNCTION").isVisible()).toBe(true);
  await signIn(page);
  await expect.poll(() => textOf(page, "Apps in main")).toMatch(/e2e.*in place.*1 serving.*ready/s);
  const url = `http://${postern.address("web").host}`;
  expect(await appsOf(page).getByRole("link", { name: url }).getAttribute("href")).toBe(url);
  expect(await textOf(page, "Apps in main")).toMatch(/-locked\S* private/);
  expect(await textOf(page, "Boxes")).toMatch(new RegExp(`${boxName()}.*connected`, "s"));
  expect(await page.getByText(/^workspace tests, scope admin$/).isVisible()).toBe(true);

  await appsOf(page).getByRole("link", { name: url }).focus();
  await callOnce();
  await expect.poll(() => textOf(page, "Latest calls")).toMatch(/GET \/json.*success/s);
  // A new reading takes nobody's focus away.
  expect(await page.evaluate("document.activeElement.href")).toBe(`${url}/`);
  expect(complaints).toEqual([]);
});

test("the last error of an app is shown as text", async () => {
  const page = await openPage(await newVisitor());
  await signIn(page);
  await expect
    .poll(() => textOf(page, "Apps in main"), { timeout: 30_000 })
    .toContain(`${HOSTILE_PATH} was answered 404`);
  expect(await page.locator("#workspace img").count()).toBe(0);
  expect(await page.title()).toBe("Postern");
});

test("whatever the API says is shown as text", async () => {
  await callOnce();
  const context = await newVisitor();
  await context.route("**/api/v1/**", async (route) => {
    const url = route.request().url().replaceAll(encodeURIComponent(HOSTILE), boxName());
    const response = await route.fetch({ url });
    const body = (await response.text())
      .replaceAll(TEXTS, (_, key: string) => `"${key}":${JSON.stringify(HOSTILE)}`)
      .replaceAll(/"url":"[^"]*"/g, `"url":"javascript:document.title='owned'"`);
    await route.fulfill({ response, body });
  });
  const page = await openPage(context);
  await signIn(page);
  for (const table of [`Apps in ${HOSTILE}`, "Boxes", "Latest calls"]) {
    await expect.poll(() => textOf(page, table)).toContain(HOSTILE);
  }
  await context.unrouteAll({ behavior: "ignoreErrors" });
  expect(await textOf(page, `Apps in ${HOSTILE}`)).toContain("javascript:document.title");
  expect(await page.locator("#workspace a, #workspace img, #workspace script").count()).toBe(0);
  expect(await page.title()).toBe("Postern");
});

test("a token may be pasted as the command prints it; a wrong one gets the API's words", async () => {
  const page = await openPage(await newVisitor());
  await signIn(page, `${token.id}.as-${"a".repeat(32)}`);
  const answer = await fetch(`http://${postern.base.host}/api/v1/workspace`, {
    headers: { authorization: `Bearer ${token.id}.wrong` },
  });
  const { detail } = (await answer.json()) as { detail: string };
  expect(detail).toContain("invalid credentials");
  await expect.poll(() => page.getByRole("alert").innerText()).toBe(detail);
  expect(await page.evaluate("sessionStorage.length")).toBe(0);
  await page.getByLabel("API token").focus();
  await page.evaluate(
    `document.querySelector("#token").value = ${JSON.stringify(`${token.id}\n${token.secret}\n`)}`,
  );
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect.poll(() => appsOf(page).isVisible()).toBe(true);
});

test("the token stays in its tab, and whoever signs out leaves nothing there", async () => {
  const context = await newVisitor();
  const page = await openPage(context);
  await signIn(page);
  await expect.poll(() => appsOf(page).isVisible()).toBe(true);
  await page.reload();
  await expect.poll(() => appsOf(page).isVisible()).toBe(true);
  const other = await openPage(context);
  expect(await other.getByLabel("API token").isVisible()).toBe(true);
  expect(await context.cookies()).toEqual([]);
  await page.getByRole("button", { name: "Sign out" }).click();
  expect(await page.getByLabel("API token").isVisible()).toBe(true);
  expect(await page.evaluate("sessionStorage.length + localStorage.length")).toBe(0);
  expect(await page.locator("body").innerText()).not.toContain("e2e");
});

test("a token that is revoked is forgotten, with what it showed", async () => {
  const client = new ApiClient(ownAccess(postern.stateDirectory));
  const { id, secret } = await client.call(CREATE_API_TOKEN, { body: { scope: "read" } });
  const page = await openPage(await newVisitor());
  await signIn(page, `${id}.${secret}`);
  await expect.poll(() => appsOf(page).isVisible()).toBe(true);
  await client.call(REVOKE_API_TOKEN, { path: { id } });
  await expect.poll(() => page.getByRole("alert").innerText()).toContain("invalid credentials");
  expect(await page.locator("#workspace").innerText()).toBe("");
  expect(await page.evaluate("sessionStorage.length")).toBe(0);
});

test("no page of an endpoint frames it, or has a handle on its window", async () => {
  const page = await openPage(await newVisitor(), postern.address("web"));
  const base = `http://${postern.base.host}/`;
  await page.evaluate(
    `document.body.append(Object.assign(document.createElement("iframe"), { src: "${base}" }))`,
  );
  await expect.poll(() => page.frames().at(-1)?.url()).toContain("chrome-error:");
  const [opened] = await Promise.all([
    page.waitForEvent("popup"),
    page.evaluate(`void (window.opened = window.open("${base}"))`),
  ]);
  await opened.waitForLoadState();
  expect(await page.evaluate("window.opened.closed")).toBe(true);
  expect(await opened.evaluate("window.opener")).toBe(null);
});

test("it asks nothing while nobody sees it, and at once when somebody does", async () => {
  const page = await openPage(await newVisitor());
  await page.clock.install();
  await page.evaluate(
    `Object.defineProperty(document, "visibilityState", { get: () => window.seen ?? "hidden" })`,
  );
  await signIn(page);
  // A reading ends with what the boxes say.
  await expect.poll(() => textOf(page, "Apps in main")).toContain("ready");
  const asked: string[] = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.clock.runFor(600_000);
  expect(asked).toEqual([]);
  await page.evaluate(
    `window.seen = "visible"; document.dispatchEvent(new Event("visibilitychange"))`,
  );
  await expect.poll(() => asked.length).toBeGreaterThan(2);
  const first = asked.length;
  await page.clock.runFor(5_000);
  await expect.poll(() => asked.length).toBeGreaterThan(first);
});

test("an empty workspace says what fills it; a gateway that is away is said, and tried again", async () => {
  const gateway = await startGateway();
  const { tokenId, tokenSecret } = ownAccess(gateway.stateDirectory);
  const page = await openPage(await newVisitor(), gateway.base);
  await signIn(page, `${tokenId}.${tokenSecret}`);
  await expect.poll(() => page.getByText("postern deploy").isVisible()).toBe(true);
  expect(await page.getByText("postern origin").isVisible()).toBe(true);
  await gateway.stop();
  await expect
    .poll(() => page.getByRole("status").innerText())
    .toContain("The gateway does not answer. The dashboard tries again");
  expect(await page.getByText("postern deploy").isVisible()).toBe(true);
  const { port, stateDirectory } = gateway;
  const again = await startGateway({ port, stateDirectory });
  onTestFinished(async () => await again.stop());
  await expect.poll(() => page.getByRole("status").innerText(), { timeout: 30_000 }).toBe("");
});
