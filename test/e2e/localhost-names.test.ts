/** Python where no resolver knows a name under localhost: the snippets that Postern shows work as they stand. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { runInNewContext } from "node:vm";
import { expect, onTestFinished, test } from "vitest";
import { APPS, ROOT, startCommand, startUp } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { freePort, temporaryDirectory } from "../support/temporary.ts";
import { ensureVenv } from "../support/venv.ts";

const WITHIN = { timeout: 60_000 };

async function startDemo(): Promise<{ port: number; host: string }> {
  const port = await freePort();
  const state = join(temporaryDirectory(), "state");
  const started = startCommand(["up", "--port", String(port), "--state", state]);
  onTestFinished(() => started.killTree());
  const url = new RegExp(`http://([a-z0-9-]+--[a-z0-9-]+\\.localhost:${port})`);
  return { port, host: (await started.waitForOutput(url))[1] ?? "" };
}

test("the demo page's Python runs with OpenAI's client", async () => {
  const python = await ensureVenv();
  const { port, host } = await startDemo();
  const page = (await send({ port, host }, "/")).body.toString();
  const arguments_ = /const client = (location\.hostname[^;]+);/.exec(page)?.[1];
  const snippet = /python: (`[^`]+`)/.exec(page)?.[1];
  const code = runInNewContext(`{ const client = ${arguments_}; ${snippet} }`, {
    location: { hostname: host.split(":")[0], host, port: String(port) },
    base: `http://${host}`,
  }) as string;
  const { stdout } = await promisify(execFile)(python, ["-c", code], WITHIN);
  expect(stdout.length).toBeGreaterThan(10);
}, 120_000);

test("an app reaches a private function of its own by POSTERN_URLS, with each client that apps use", async () => {
  const demo = join(ROOT, "origin-gpu/examples/demo/server.ts");
  const postern = await startUp([
    { function: "chat", web_server: ["node", demo], requires_proxy_auth: true, max_inputs: 10 },
    { function: "node", web_server: ["node", join(APPS, "calling-server.ts")] },
    { function: "python", asgi: "calling_app:app", directory: APPS, python: await ensureVenv() },
  ]);
  onTestFinished(async () => await postern.stop());
  const byPython = await send(postern.address("python"), "/calls");
  expect(byPython.json()).toEqual({
    urllib: 200,
    requests: 200,
    httpx: 200,
    aiohttp: 200,
    openai: 200,
  });
  const byNode = await send(postern.address("node"), "/");
  expect(byNode.json()).toEqual({ fetch: 200, websocket: "open" });
}, 120_000);
