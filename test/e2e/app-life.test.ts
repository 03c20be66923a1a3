/**
 * The whole life of an app, by the command alone: environment, deployment, URL, calls, a lock, a second
 * version under load, a third that fails, the way back, the end.
 */
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type Told, writeDeployable } from "../support/deployable.ts";
import { type Gateway, startCommand, startGateway } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import { ManagedProcess } from "../support/processes.ts";
import { startSteadyLoad } from "../support/steady-load.ts";
import { freePort, temporaryDirectory } from "../support/temporary.ts";
import { ensureVenv } from "../support/venv.ts";

const REQUESTS_PER_SECOND = 200;
/** Requests that the old version answers before the new one is deployed, and the new one after it. */
const BEFORE_AND_AFTER = 100;
const ENDPOINTS = { open: {}, locked: { requires_proxy_auth: true } };

const directory = join(temporaryDirectory(), "shop");
let gateway: Gateway;
let box: ManagedProcess;
/** Set by the tests in their order: this is one life. */
let open: Address;
let locked: Address;
/** For the locked one, as it was printed. */
let curlLine: string;

beforeAll(async () => {
  gateway = await startGateway({ flags: ["--rate-limit", "0"] });
  // A Python file alone says nothing of its interpreter: it is python3 on the agent's PATH.
  const path = `${dirname(await ensureVenv())}:${process.env["PATH"] ?? ""}`;
  box = startCommand(["origin", "--name", "gpu-1", "--state", gateway.stateDirectory], {
    env: { PATH: path },
  });
  await box.waitForErrorOutput(/gpu-1 is connected/);
});

afterAll(async () => {
  await box.stop();
  await gateway.stop();
});

interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command to its end, in the app's directory. */
async function postern(...args: string[]): Promise<Finished> {
  const managed = startCommand([...args, "--state", gateway.stateDirectory], { cwd: directory });
  const { code } = await managed.exited;
  return { code, stdout: managed.stdout, stderr: managed.stderr };
}

const deploy = (...args: string[]) => postern("deploy", "-e", "staging", ...args);
const edition = (text: string) => writeDeployable(directory, "shop", text, ENDPOINTS);

async function told(address: Address): Promise<Told> {
  return (await send(address, "/")).json() as Told;
}

async function history(): Promise<{ version: number; status: string; tag: string }[]> {
  const { stdout } = await postern("app", "history", "shop", "-e", "staging", "--json");
  return JSON.parse(stdout) as { version: number; status: string; tag: string }[];
}

const addressOf = (url: string): Address => ({ port: gateway.port, host: new URL(url).host });

test("an environment is made, and an app deployed into it prints its URLs", async () => {
  edition("first");
  expect(await postern("environment", "create", "staging")).toMatchObject({ code: 0 });
  const deployed = await deploy("--tag", "one");
  expect(deployed.stderr).toMatch(/^v1 of shop serves on gpu-1$/m);
  expect(deployed.code).toBe(0);
  const urls = deployed.stdout.match(/^http:\S+$/gm) ?? [];
  expect(urls).toEqual([
    `http://tests-staging--shop-open.localhost:${gateway.port}`,
    `http://tests-staging--shop-locked.localhost:${gateway.port}`,
  ]);
  // The locked one alone is marked, and scripts find nothing but URLs at the beginning of a line.
  expect(deployed.stdout.match(/^http:\S+(?=\n {2}🔑 private)/gm)).toEqual([urls[1]]);
  [, curlLine = ""] = /^ {2}(curl .*Modal-Key.*)$/m.exec(deployed.stdout) ?? [];
  [open, locked] = urls.map(addressOf) as [Address, Address];
});

test("the URL that the command prints is the one that answers, and the app is told URLs that answer on its box", async () => {
  const url = await postern("url", "shop", "open", "-e", "staging");
  expect(url.stdout).toBe(`http://${open.host}\n`);
  const answer = await told(open);
  expect(answer).toMatchObject({ text: "first", box: "gpu-1", version: "1" });
  // Where the box resolves no name under localhost they are others than those of clients.
  const [toOpen, toLocked] = await Promise.all(
    ["open", "locked"].map(async (name) => await fetch(answer.urls[name] ?? "")),
  );
  expect(await toOpen?.json()).toMatchObject({ text: "first", version: "1" });
  expect(toLocked?.status).toBe(401);
});

test("a call is found on the box that has it, whatever that is called", async () => {
  const kept = await send(open, "/", { method: "POST", headers: { prefer: "respond-async" } });
  const { call_id: id } = kept.json() as { call_id: string };
  const inspected = await postern("call", "inspect", id, "--json");
  expect(JSON.parse(inspected.stdout)).toMatchObject({ call: id, box: "gpu-1" });
  expect((await postern("call", "list")).stdout).toContain(id);
});

test("a private endpoint opens by a token alone, with the curl line that was printed", async () => {
  expect((await send(locked, "/")).status).toBe(401);
  const made = await postern("proxy-token", "create");
  const [id, secret] = made.stdout.split("\n");
  const env = { ...process.env, TOKEN_ID: id, TOKEN_SECRET: secret };
  const curl = new ManagedProcess(["bash", "-c", curlLine], { env });
  expect(await curl.exited).toEqual({ code: 0, signal: null });
  expect(JSON.parse(curl.stdout)).toMatchObject({ text: "first" });
});

test("a second version takes over under 200 requests a second, and none fails", async () => {
  edition("second");
  const load = startSteadyLoad(open, "/", REQUESTS_PER_SECOND, 20_000);
  const answered = (count: number) => () => load.outcomes.length >= count;
  await expect.poll(answered(BEFORE_AND_AFTER), { timeout: 10_000 }).toBe(true);
  expect(await deploy("--tag", "two")).toMatchObject({ code: 0 });
  const after = load.outcomes.length + BEFORE_AND_AFTER;
  await expect.poll(answered(after), { timeout: 10_000 }).toBe(true);
  await load.stop();
  const failed = load.outcomes.filter(({ result }) => result !== 200);
  const seconds = Math.max(...load.outcomes.map(({ startedMs }) => startedMs)) / 1000;
  const perSecond = load.outcomes.length / seconds;
  console.log(
    `a second version under load: ${load.outcomes.length} requests, ${perSecond.toFixed(0)} a second, ${failed.length} failed`,
  );
  expect(perSecond).toBeGreaterThan(0.9 * REQUESTS_PER_SECOND);
  expect(failed.slice(0, 3)).toEqual([]);
  expect(await told(open)).toMatchObject({ text: "second", version: "2" });
});

test("a third version that fails to start is said why, and the second goes on serving", async () => {
  edition("broken");
  const { code, stdout, stderr } = await deploy();
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain("  no such weights: /models/none\n");
  expect(stderr).toMatch(/^postern: v3 of shop failed: .*; v2 serves\n/m);
  expect(await told(open)).toMatchObject({ text: "second", version: "2" });
});

test("a rollback is a new version with the old content", async () => {
  const { code, stderr } = await postern("app", "rollback", "shop", "v1", "-e", "staging");
  expect(stderr).toMatch(/^v4 of shop serves on gpu-1$/m);
  expect(code).toBe(0);
  expect(await told(open)).toMatchObject({ text: "first", version: "4" });
  expect(await history()).toMatchObject([
    { version: 4, status: "serving", rollback_of: 1 },
    { version: 3, status: "failed" },
    { version: 2, status: "replaced", tag: "two" },
    { version: 1, status: "replaced", tag: "one" },
  ]);
});

test("a stopped app is gone, and says so", async () => {
  // A script is not asked, and --yes is no mistake either.
  const stop = ["app", "stop", "shop", "-e", "staging"];
  expect(await postern(...stop)).toMatchObject({ code: 0, stderr: "shop is stopped\n" });
  expect(await postern(...stop, "--yes")).toMatchObject({ code: 0 });
  // An id says where the app is, though there are several environments.
  const listed = await postern("app", "list", "-e", "staging", "--json");
  const [{ id = "" } = {}] = JSON.parse(listed.stdout) as { id?: string }[];
  const byId = await postern("app", "history", id);
  expect(byId.stdout).toMatch(/^v4 +stopped /m);
  await expect.poll(async () => (await send(open, "/")).status).toBe(410);
  const problem = (await send(open, "/", { headers: { accept: "application/json" } })).json();
  expect(problem).toMatchObject({ code: "app_stopped" });
});

test("a Python file alone is an app, under a name of its own", async () => {
  const head = `{"type": "http.response.start", "status": 200, "headers": []}`;
  const body = `{"type": "http.response.body", "body": b"from one file"}`;
  const lines = [
    "async def app(scope, receive, send):",
    `    await send(${head})`,
    `    await send(${body})`,
  ];
  writeFileSync(join(directory, "alone.py"), `${lines.join("\n")}\n`);
  const { code, stdout, stderr } = await postern("deploy", "alone.py", "-e", "main");
  expect(stderr).toContain("v1 of alone serves on gpu-1\n");
  expect(code).toBe(0);
  const [url = ""] = stdout.split("\n");
  expect(url).toBe(`http://tests--alone-app.localhost:${gateway.port}`);
  expect((await send(addressOf(url), "/")).text).toBe("from one file");
});

test("a deployment whose server listens elsewhere says so while that starts, once", async () => {
  const port = await freePort();
  const elsewhere = join(temporaryDirectory(), "elsewhere");
  const web_server = ["sh", "-c", `PORT=${port} exec node server.mjs`];
  writeDeployable(elsewhere, "elsewhere", "first", { web: { web_server, startup_timeout: 8 } });
  const args = ["deploy", "-e", "staging", "--state", gateway.stateDirectory];
  const deploying = startCommand(args, { cwd: elsewhere });
  const { code } = await deploying.exited;
  expect([code, deploying.stderr]).toEqual([1, expect.stringContaining("v1 of elsewhere failed")]);
  const warning = `gpu-1: starting: web: warning: it listens on 127.0.0.1:${port}, and not on the port that it was given`;
  expect(deploying.stderr.split(warning)).toHaveLength(2);
  expect(deploying.stderr.indexOf(warning)).toBeLessThan(
    deploying.stderr.indexOf("v1 of elsewhere failed"),
  );
});
