/**
 * A deployment from another machine's worth of environment: a home of its own, a URL and a token. The app
 * is for two boxes, one of which is away and gets what it missed from the other when it is back.
 */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type Told, writeDeployable } from "../support/deployable.ts";
import { type Gateway, startCommand, startGateway } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const APP = join(temporaryDirectory(), "shop");

let gateway: Gateway;
const machines = new Map<string, Machine>();
/** The agents that run, by their boxes. */
const boxes = new Map<string, ManagedProcess>();

/** A computer: what it knows of the gateway is a URL and a token. */
interface Machine {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

beforeAll(async () => {
  gateway = await startGateway();
  for (const [name, scope] of [
    ["gpu-1", "deploy"],
    ["gpu-2", "deploy"],
    ["laptop", "deploy"],
  ] as const) {
    machines.set(name, await newMachine(scope));
  }
});

afterAll(async () => {
  await Promise.all([...boxes.values()].map((managed) => managed.stop()));
  await gateway.stop();
});

async function newMachine(scope: string): Promise<Machine> {
  const home = temporaryDirectory();
  const token = startCommand([
    "token",
    "create",
    "--scope",
    scope,
    "--state",
    gateway.stateDirectory,
  ]);
  await token.exited;
  const [id, secret] = token.stdout.split("\n");
  const env = {
    ...process.env,
    HOME: home,
    POSTERN_CONFIG_PATH: undefined,
    POSTERN_URL: `http://localhost:${gateway.port}`,
    POSTERN_TOKEN_ID: id,
    POSTERN_TOKEN_SECRET: secret,
  };
  return { env, cwd: home };
}

function command(machine: string, args: readonly string[], cwd?: string): ManagedProcess {
  const { env, cwd: home } = machines.get(machine) as Machine;
  return startCommand(args, { env, cwd: cwd ?? home });
}

async function startOrigin(machine: string): Promise<ManagedProcess> {
  const managed = command(machine, ["origin", "--name", machine]);
  boxes.set(machine, managed);
  await managed.waitForErrorOutput(new RegExp(`${machine} is connected`));
  return managed;
}

async function deploy(text: string): Promise<ManagedProcess> {
  writeDeployable(APP, "shop", text, {
    web: { boxes: ["gpu-*"], min_containers: 2, max_containers: 2 },
  });
  const managed = command("laptop", ["deploy", join(APP, "postern.toml")]);
  await managed.exited;
  return managed;
}

const address = (): Address => ({
  port: gateway.port,
  host: `tests--shop-web.localhost:${gateway.port}`,
});

/** Which boxes answer, and with what. Each has a container: a box without one is not asked while another has room. */
async function answers(): Promise<Set<string>> {
  const asked = Array.from({ length: 20 }, async () => await send(address(), "/"));
  const seen = new Set<string>();
  for (const answer of await Promise.all(asked)) {
    if (answer.status !== 200) continue;
    const { box, text } = answer.json() as Told;
    seen.add(`${box}: ${text}`);
  }
  return seen;
}

test("it goes to the boxes that are there; one that comes back gets it from another", async () => {
  await startOrigin("gpu-1");
  const second = await startOrigin("gpu-2");
  const first = await deploy("first");
  expect(first.stderr).toContain("serves on gpu-1, gpu-2\n");
  await expect.poll(answers).toEqual(new Set(["gpu-1: first", "gpu-2: first"]));

  await second.stop();
  const later = await deploy("second");
  expect(later.stderr).toContain("v2 of shop serves on gpu-1\n");
  expect(later.stderr).toContain("away: gpu-2;");
  expect(await answers()).toEqual(new Set(["gpu-1: second"]));

  await startOrigin("gpu-2");
  await expect
    .poll(answers, { timeout: 30_000 })
    .toEqual(new Set(["gpu-1: second", "gpu-2: second"]));
});

test("with one of the boxes away, the other answers alone and takes the next version", async () => {
  await boxes.get("gpu-1")?.stop();
  await expect.poll(answers).toEqual(new Set(["gpu-2: second"]));
  expect((await deploy("third")).stderr).toContain("v3 of shop serves on gpu-2\n");
  expect(await answers()).toEqual(new Set(["gpu-2: third"]));
});

test("a box that nobody can give the code says what is missing, and gets it as soon as one can", async () => {
  await boxes.get("gpu-2")?.stop();
  const lacking = await startOrigin("gpu-1");
  await lacking.waitForErrorOutput(/no connected box has the code [0-9a-f]{12}/);
  await startOrigin("gpu-2");
  await expect
    .poll(answers, { timeout: 60_000 })
    .toEqual(new Set(["gpu-1: third", "gpu-2: third"]));
});

test("a laptop that deployed is no box: nothing of it is asked again", async () => {
  const listed = command("laptop", ["box", "list", "--json"]);
  await listed.exited;
  const names = (JSON.parse(listed.stdout) as { name: string }[]).map(({ name }) => name);
  expect(names.toSorted()).toEqual(["gpu-1", "gpu-2"]);
});
