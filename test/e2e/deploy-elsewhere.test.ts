/**
 * A deployment from another machine's worth of environment: a home of its own, a URL and a token. The app
 * is for two boxes, one of which is away and gets what it missed from the other when it is back. Lists and lines are those
 * of both.
 */
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";

import type { ApiContainer } from "../../api/containers.ts";
import type { BoxLine } from "../../cli/logs/log-line.ts";
import { type Told, writeDeployable } from "../support/deployable.ts";
import { type Gateway, startCommand, startGateway } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const APP = join(temporaryDirectory(), "shop");

/** On the first box two containers of the model have no room beside each other, on the second one they have. */
const GPUS: Readonly<Record<string, string>> = {
  "gpu-1": "H100:80GiB",
  "gpu-2": "H100:80GiB,H100:80GiB,H100:80GiB,H100:80GiB",
};

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
    machines.set(name, await newMachine(name, scope));
  }
});

afterAll(async () => {
  await Promise.all([...boxes.values()].map((managed) => managed.stop()));
  await gateway.stop();
});

async function newMachine(name: string, scope: string): Promise<Machine> {
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
    POSTERN_GPUS: GPUS[name],
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
  const onEach = { boxes: ["gpu-*"], min_containers: 2, max_containers: 2 };
  // Its start lasts until a command that asks three times a second has seen it, also on a busy machine.
  const web_server = ["sh", "-c", "sleep 2; exec node server.mjs"];
  writeDeployable(APP, "shop", text, { model: { ...onEach, gpus: 1, web_server }, web: onEach });
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

/** What a command of the laptop prints. */
async function printed(...args: string[]): Promise<string> {
  const managed = command("laptop", args);
  const { code } = await managed.exited;
  expect([code, managed.stderr]).toEqual([0, ""]);
  return managed.stdout;
}

/** The lines of the function web, as the laptop gets them. */
async function linesOfWeb(...args: string[]): Promise<BoxLine[]> {
  const text = await printed("app", "logs", "shop", "--function", "web", "--json", ...args);
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as BoxLine);
}

test("it goes to the boxes that are there; one that comes back gets it from another", async () => {
  await startOrigin("gpu-1");
  const second = await startOrigin("gpu-2");
  const first = await deploy("first");
  expect(first.stderr).toContain("serves on gpu-1, gpu-2\n");
  await expect.poll(answers).toEqual(new Set(["gpu-1: first", "gpu-2: first"]));

  const following = command("laptop", ["app", "logs", "shop", "--function", "web", "--follow"]);
  onTestFinished(async () => await following.kill());
  await following.waitForOutput(/^(?:\[ct-\w+\] )?first listens on gpu-1$/m);
  await following.waitForOutput(/^(?:\[ct-\w+\] )?first listens on gpu-2$/m);

  await second.stop();
  await expect.poll(async () => await printed("app", "list")).toMatch(/ 1 serving, 1 away /);
  const later = await deploy("second");
  expect(later.stderr).toContain("v2 of shop serves on gpu-1\n");
  expect(later.stderr).toContain("away: gpu-2;");
  expect(later.stderr).toContain(
    "gpu-1: starting: the version that serves finishes its calls and makes room\n",
  );
  expect(await answers()).toEqual(new Set(["gpu-1: second"]));
  await following.waitForOutput(/^\[ct-\w+\] second listens on gpu-1$/m);

  await startOrigin("gpu-2");
  await expect
    .poll(answers, { timeout: 30_000 })
    .toEqual(new Set(["gpu-1: second", "gpu-2: second"]));
  await following.waitForOutput(/^\[ct-\w+\] second listens on gpu-2$/m);
});

test("containers and their lines are listed over both boxes", async () => {
  const containers = JSON.parse(await printed("container", "list", "--json")) as ApiContainer[];
  const ofWeb = containers.filter(({ endpoint }) => endpoint === "main/shop/web");
  expect(await printed("app", "list")).toMatch(/ 2 serving +[2-9] ready/);
  expect(new Set(ofWeb.map(({ box }) => box))).toEqual(new Set(["gpu-1", "gpu-2"]));
  for (const { box, container } of ofWeb) {
    expect(await printed("container", "logs", container)).toContain(`second listens on ${box}\n`);
  }
  const lines = await linesOfWeb();
  for (const box of ["gpu-1", "gpu-2"]) {
    const texts = lines.filter((line) => line.box === box).map(({ text }) => text);
    // While the other box was away, this one may have had two containers.
    expect(new Set(texts.filter((text) => text.includes(" listens on ")))).toEqual(
      new Set([`first listens on ${box}`, `second listens on ${box}`]),
    );
  }
  // By their times, whichever box they are of.
  const times = lines.map(({ time }) => time);
  expect(times).toEqual(times.toSorted());
  const last = lines.at(-1);
  expect(await linesOfWeb("--tail", "1")).toEqual([last]);
  expect(await linesOfWeb("--since", last?.time ?? "")).toContainEqual(last);
});

test("with one of the boxes away, the other answers alone and takes the next version", async () => {
  await boxes.get("gpu-1")?.stop();
  await expect.poll(answers).toEqual(new Set(["gpu-2: second"]));
  const third = await deploy("third");
  expect(third.stderr).toContain("v3 of shop serves on gpu-2\n");
  expect(third.stderr).toContain(": both versions have room on the box beside each other\n");
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
