/** `postern origin`: a machine is a box for as long as the command runs, and the same one at its next start. */
import type { Scope } from "../../api/scopes.ts";
import { CREATE_API_TOKEN } from "../../api/tokens.ts";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ownAccess } from "../../cli/access.ts";
import { ApiClient } from "../../cli/client.ts";
import { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { postern, startPostern } from "./postern.ts";

const COMMAND = fileURLToPath(new URL("../../cli/postern.js", import.meta.url));
const gatewayState = join(temporaryDirectory(), "state");

let gateway: ManagedProcess;
let url: string;
/** A machine that knows the gateway's URL and a token. */
let elsewhere: NodeJS.ProcessEnv;

beforeAll(async () => {
  const flags = ["--port", "0", "--state", gatewayState];
  gateway = new ManagedProcess([process.execPath, COMMAND, "gateway", ...flags], {
    cwd: temporaryDirectory(),
  });
  [url = ""] = await gateway.waitForOutput(/^http:\/\/localhost:\d+/m);
  elsewhere = await machineWith("deploy");
});
afterAll(async () => await gateway.stop());

async function machineWith(scope: Scope): Promise<NodeJS.ProcessEnv> {
  const client = new ApiClient(ownAccess(gatewayState));
  const { id, secret } = await client.call(CREATE_API_TOKEN, { body: { scope } });
  return { ...nobody(), POSTERN_TOKEN_ID: id, POSTERN_TOKEN_SECRET: secret };
}

/** Knows the gateway's URL, and has no token. */
const nobody = () => ({
  POSTERN_CONFIG_PATH: join(temporaryDirectory(), "none.toml"),
  POSTERN_URL: url,
});

async function connected(args: readonly string[], env: NodeJS.ProcessEnv): Promise<ManagedProcess> {
  const started = startPostern(["origin", ...args], { env });
  await started.waitForErrorOutput(/ is connected to http/);
  return started;
}

async function boxes(): Promise<{ name: string; region: string; connected: boolean }[]> {
  const { stdout } = await postern(["box", "list", "--json", "--state", gatewayState]);
  return JSON.parse(stdout) as { name: string; region: string; connected: boolean }[];
}

test("a machine with a token becomes a box, ends when asked, and later needs no token", async () => {
  const state = join(temporaryDirectory(), "state");
  const first = await connected(
    ["--name", "gpu-1", "--region", "eu-west", "--state", state],
    elsewhere,
  );
  expect(await boxes()).toContainEqual(
    expect.objectContaining({ name: "gpu-1", region: "eu-west", connected: true }),
  );
  expect(await first.stop("SIGTERM")).toEqual({ code: 0, signal: null });
  expect(first.stdout).toBe("");

  const again = await connected(["--state", state], nobody());
  expect(again.stderr).toContain("gpu-1 is connected");
  await again.stop();
});

test("beside a gateway it needs its state directory alone", async () => {
  const env = { ...nobody(), POSTERN_URL: "" };
  const started = startPostern(["origin", "--name", "here", "--state", gatewayState, "--json"], {
    env,
  });
  const [line] = await started.waitForOutput(/^\{.*\}$/m);
  expect(JSON.parse(line)).toEqual({ box: "here", gateway: url });
  await started.stop();
});

test("a second agent on one state directory is refused", async () => {
  const state = join(temporaryDirectory(), "state");
  const first = await connected(["--name", "gpu-2", "--state", state], elsewhere);
  const second = await postern(["origin", "--state", state], { env: elsewhere });
  expect(second).toEqual({
    code: 1,
    stdout: "",
    stderr: `postern: ${state}/box is in use by another agent; stop it, or choose another with --state\n`,
  });
  await first.stop();
});

test("a machine that is no box yet needs a token, and one that may make boxes", async () => {
  const state = join(temporaryDirectory(), "state");
  const without = await postern(["origin", "--state", state], { env: nobody() });
  expect(without).toMatchObject({ code: 1, stdout: "" });
  expect(without.stderr).toMatch(/^postern: no token for http:\/\/localhost:\d+: set [^\n]+\n$/);

  const reader = await machineWith("read");
  expect(await postern(["origin", "--state", state], { env: reader })).toEqual({
    code: 1,
    stdout: "",
    stderr: "postern: this needs a token of scope deploy; this one has read\n",
  });
});

test("a revoked box ends with a clear line, and stays out until its identity is removed", async () => {
  const state = join(temporaryDirectory(), "state");
  const started = await connected(["--name", "gpu-3", "--state", state], elsewhere);
  await postern(["box", "revoke", "gpu-3", "--state", gatewayState]);
  expect(await started.exited).toEqual({ code: 1, signal: null });
  expect(started.stderr).toMatch(/^[-:.0-9TZ]+ postern: .*revoked.*$/m);
  const again = await postern(["origin", "--state", state], { env: elsewhere });
  expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining("revoked") });

  rmSync(join(state, "box", "identity.json"));
  await (await connected(["--name", "gpu-3", "--state", state], elsewhere)).stop();
});
