/** Python where no resolver knows a name under localhost: the snippets that Postern shows work as they stand. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { runInNewContext } from "node:vm";
import { expect, onTestFinished, test } from "vitest";
import { ROOT, startCommand } from "../support/harness.ts";
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

test("an app reaches another function of its own by POSTERN_URLS, as the documentation says", async () => {
  const { host } = await startDemo();
  const docs = readFileSync(join(ROOT, "docs/configuration.md"), "utf8");
  const code = /```python\n(import json, os, urllib[^`]+)```/.exec(docs)?.[1] ?? "";
  const env = { ...process.env, POSTERN_URLS: JSON.stringify({ web: `http://${host}` }) };
  const { stdout } = await promisify(execFile)("python3", ["-c", code], { ...WITHIN, env });
  expect(stdout).toContain("<!doctype html>");
});
