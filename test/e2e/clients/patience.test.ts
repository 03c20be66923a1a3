/**
 * Clients as people use them, each with its key in its own place: answers of 20 s behind a request timeout of 2 s, and the
 * same question while its container takes 15 s to start. Each question is asked once.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { CREATE_CONNECT_TOKEN } from "../../../api/connect-tokens.ts";
import { CREATE_PROXY_TOKEN } from "../../../api/proxy-tokens.ts";
import { ownAccess } from "../../../cli/access.ts";
import { ApiClient } from "../../../cli/client.ts";
import { startChromium } from "../../support/chromium.ts";
import { installPatientLibraries } from "../../support/clients/clients.ts";
import { APPS, type Gateway, startUp } from "../../support/harness.ts";
import { send } from "../../support/http-client.ts";
import { ensureSessionsVenv } from "../../support/venv.ts";

const REQUEST_TIMEOUT_S = "2";
const WORK_S = 20;
const START_S = 15;
/** A container starts with the gateway, and its clients are there a little later. */
const AHEAD_S = 10;
const ASK_TIMEOUT_MS = 120_000;

const CLIENTS = fileURLToPath(new URL("../../support/clients", import.meta.url));

interface Asked {
  readonly url: string;
  readonly key: string;
  readonly question: string;
  readonly functionName: string;
}

let python: string;
let node: string;
let browser: Browser;
beforeAll(async () => {
  [python, node, browser] = await Promise.all([
    ensureSessionsVenv("patient"),
    installPatientLibraries(),
    startChromium(),
  ]);
});
afterAll(async () => await browser.close());

/** Runs a program that prints the answer's text as JSON. */
async function run(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, { timeout: ASK_TIMEOUT_MS });
  return (JSON.parse(stdout) as { text: string }).text;
}

const byPython =
  (library: string) =>
  async ({ url, key, question }: Asked) =>
    await run(python, join(CLIENTS, "patient_clients.py"), library, url, key, question);

const byNode =
  (library: string) =>
  async ({ url, key, question }: Asked) =>
    await run(
      process.execPath,
      join(CLIENTS, "patient-clients.mjs"),
      library,
      url,
      key,
      question,
      node,
    );

async function byJava({ url, key, question }: Asked): Promise<string> {
  return await run("java", join(CLIENTS, "Client.java"), `${url}/work`, question, key);
}

/** A page of the endpoint's host, with these cookies. */
async function onPage<Given>(
  { url }: Asked,
  cookies: Readonly<Record<string, string>>,
  act: (given: Given) => Promise<string>,
  given: Given,
): Promise<string> {
  const context = await browser.newContext({ bypassCSP: true });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(ASK_TIMEOUT_MS);
    // The gateway's own 401, since a page of the app would wait for the start, and the question behind it would not.
    await page.goto(url);
    await context.addCookies(
      Object.entries(cookies).map(([name, value]) => ({ name, value, url })),
    );
    return await page.evaluate(act as never, given as never);
  } finally {
    await context.close();
  }
}

/** As pages do it behind a lock: an EventSource can set no header, and has a connect token in its cookie. */
async function byEventSource(asked: Asked): Promise<string> {
  const { token } = await api.call(CREATE_CONNECT_TOKEN, {
    path: { app: "e2e" },
    query: { environment: "main" },
    body: { function: asked.functionName },
  });
  return await onPage(
    asked,
    { _postern_connect_token: token },
    async (address: string) =>
      await new Promise<string>((resolve, reject) => {
        const events = new EventSource(address);
        events.addEventListener("message", ({ data }) => {
          events.close();
          resolve(String(data));
        });
        events.addEventListener("error", () => reject(new Error("the stream broke")));
      }),
    `${asked.url}/events?question=${encodeURIComponent(asked.question)}`,
  );
}

/** As OpenAI's realtime clients do it: a page can set no header, and has the key in a subprotocol alone. */
async function byWebSocket(asked: Asked): Promise<string> {
  return await onPage(
    asked,
    {},
    async ([address, key, question]: readonly [string, string, string]) =>
      await new Promise<string>((resolve, reject) => {
        const socket = new WebSocket(address, ["realtime", `openai-insecure-api-key.${key}`]);
        socket.addEventListener("open", () => socket.send(question));
        socket.addEventListener("message", ({ data }) => resolve(String(data)));
        socket.addEventListener("error", () => reject(new Error("refused")));
        socket.addEventListener("close", () => reject(new Error("closed")));
      }),
    [asked.url.replace("http", "ws"), asked.key, asked.question] as const,
  );
}

const ASKERS = [
  { name: "Java's HttpClient", ask: byJava },
  { name: "httpx", ask: byPython("httpx") },
  { name: "OpenAI for Python", ask: byPython("openai") },
  { name: "OpenAI for Python streamed", ask: byPython("openai_stream") },
  { name: "OpenAI for Node", ask: byNode("openai") },
  { name: "OpenAI for Node streamed", ask: byNode("openai_stream") },
  { name: "Anthropic for Python", ask: byPython("anthropic") },
  { name: "Anthropic for Python streamed", ask: byPython("anthropic_stream") },
  { name: "Anthropic for Node", ask: byNode("anthropic") },
  { name: "Anthropic for Node streamed", ask: byNode("anthropic_stream") },
  { name: "EventSource", ask: byEventSource },
  { name: "WebSocket", ask: byWebSocket },
] as const;

const MCP_ASKERS = [
  { name: "MCP for Python", ask: byPython("mcp") },
  { name: "MCP for Node", ask: byNode("mcp") },
] as const;

/** It asks for the app's configuration first, and its events come over a stream of its own. */
const askByGradio = byPython("gradio");

let api: ApiClient;

describe.each([
  { what: `an answer that takes ${WORK_S} s`, workS: WORK_S, startS: 0, atLeastS: WORK_S },
  {
    what: `a start that takes ${START_S} s more`,
    workS: 0,
    startS: START_S + AHEAD_S,
    atLeastS: START_S,
  },
])("$what", ({ workS, startS, atLeastS }) => {
  let postern: Gateway;
  let key: string;
  beforeAll(async () => {
    const started = (...command: string[]) =>
      startS === 0 ? command : ["sh", "-c", `sleep ${startS}; exec "$@"`, "sh", ...command];
    const locked = { requires_proxy_auth: true, max_inputs: 100 };
    postern = await startUp(
      [
        {
          function: "models",
          web_server: started("node", join(APPS, "patient-server.ts")),
          env: { WORK_SECONDS: String(workS) },
          ...locked,
        },
        {
          function: "tools",
          web_server: started(python, join(APPS, "mcp_app.py")),
          app_kind: "mcp",
          ...locked,
        },
        {
          function: "page",
          web_server: started(python, join(APPS, "patient_gradio_app.py")),
          app_kind: "gradio",
          env: { GRADIO_ANALYTICS_ENABLED: "False" },
          requires_proxy_auth: true,
        },
      ],
      { flags: ["--request-timeout", REQUEST_TIMEOUT_S] },
    );
    api = new ApiClient(ownAccess(postern.stateDirectory));
    const { id, secret } = await api.call(CREATE_PROXY_TOKEN, { body: { name: "clients" } });
    key = `${id}.${secret}`;
  });
  afterAll(async () => await postern.stop());

  const askedAt = (functionName: string, question: string): Asked => {
    const url = `http://${postern.address(functionName).host}`;
    return { url, key, question, functionName };
  };

  test.concurrent.for(ASKERS)("reaches $name, which asks once", async ({ name, ask }) => {
    const startedAt = performance.now();
    expect(await ask(askedAt("models", name))).toBe(`${name} 1`);
    expect(performance.now() - startedAt).toBeGreaterThan(atLeastS * 1_000);
  });

  test.concurrent("reaches gradio_client, which asks once", async ({ expect: expected }) => {
    const startedAt = performance.now();
    const asked = askedAt("page", `${workS} gradio_client`);
    expected(await askByGradio(asked)).toBe("gradio_client 1");
    expected(performance.now() - startedAt).toBeGreaterThan(atLeastS * 1_000);
  });

  test.concurrent.for(MCP_ASKERS)("reaches $name, whose tool runs once", async ({ name, ask }) => {
    const startedAt = performance.now();
    expect(await ask(askedAt("tools", `${workS} ${name}`))).toBe("worked");
    expect(performance.now() - startedAt).toBeGreaterThan(atLeastS * 1_000);
    const headers = { authorization: `Bearer ${key}` };
    const runs = await send(postern.address("tools"), "/runs", { headers });
    expect(runs.json()).toMatchObject({ [name]: 1 });
  });
});
