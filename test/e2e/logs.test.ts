/** What containers print, by the command alone: while they run, when they have ended, and over a lost box. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { stringify } from "smol-toml";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import type { ApiContainer } from "../../api/containers.ts";
import type { ApiLogLine } from "../../api/logs.ts";
import { APPS, type Gateway, startCommand, startGateway } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const SERVER = {
  web_server: ["node", join(APPS, "printing-server.ts")],
  max_inputs: 100,
  min_containers: 1,
};

/** How long a neighbour may wait for an answer while another app floods: the machine has few cores. */
const MAX_NEIGHBOUR_MS = 2_000;

/** Floods, with quiet times between them: what else the machine does meets both. */
const FLOODS = 3;
const QUIET_REQUESTS = 100;

/**
 * A neighbour's median while another app floods, as a multiple of its median in quiet times. It is about 2 here, and
 * hundreds where each line is written at once.
 */
const MAX_TIMES = 10;

const directory = join(temporaryDirectory(), "shop");
let gateway: Gateway;
let box: ManagedProcess;
const addresses: Record<string, Address> = {};

beforeAll(async () => {
  gateway = await startGateway();
  box = await startBox();
  mkdirSync(directory);
  const endpoint = ["web", "neighbour"].map((name) => Object.assign({ function: name }, SERVER));
  const guest = { function: "guest", containers_of: "neighbour" };
  const document = { app: "shop", endpoint: [...endpoint, guest] };
  writeFileSync(join(directory, "postern.toml"), stringify(document));
});

afterAll(async () => {
  await box.stop();
  await gateway.stop();
});

async function startBox(): Promise<ManagedProcess> {
  const started = startCommand(["origin", "--name", "gpu-1", "--state", gateway.stateDirectory]);
  await started.waitForErrorOutput(/gpu-1 is connected/);
  return started;
}

function start(...args: string[]): ManagedProcess {
  const started = startCommand([...args, "--state", gateway.stateDirectory], { cwd: directory });
  onTestFinished(async () => await started.kill());
  return started;
}

async function postern(...args: string[]): Promise<string> {
  const running = start(...args);
  const { code } = await running.exited;
  expect([code, running.stderr]).toEqual([0, expect.anything()]);
  return running.stdout;
}

async function linesOf(...args: string[]): Promise<ApiLogLine[]> {
  const text = await postern("app", "logs", "shop", "--json", ...args);
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as ApiLogLine);
}

async function print(text: string, endpoint = "web"): Promise<void> {
  const address = addresses[endpoint] as Address;
  // A box that is back may still start its containers.
  await expect
    .poll(async () => (await send(address, `/print?${encodeURIComponent(text)}`)).status, {
      timeout: 20_000,
    })
    .toBe(200);
}

/** Half of the time that they took together was spent on values up to this one: few long ones count as they feel. */
function medianOverTime(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  let left = sorted.reduce((sum, value) => sum + value, 0) / 2;
  return sorted.find((value) => (left -= value) <= 0) ?? Number.NaN;
}

test("deploy --stream-logs shows what a new version prints, until Ctrl-C", async () => {
  const deploying = start("deploy", "--stream-logs");
  await deploying.waitForOutput(/^http:\S+-neighbour\.\S+$/m);
  for (const url of deploying.stdout.match(/^http:\S+$/gm) ?? []) {
    const { host } = new URL(url);
    addresses[/shop-(\w+)/.exec(host)?.[1] ?? ""] = { port: gateway.port, host };
  }
  await print("streamed");
  await deploying.waitForOutput(/^\[web\] streamed$/m);
  await deploying.waitForOutput(/^\[web\] listening$/m);
  await deploying.waitForOutput(/^\[neighbour\] listening$/m);
  expect(await deploying.stop()).toEqual({ code: 0, signal: null });
});

test("the lines of an app are shown in their order, with times, of one function, and the last alone", async () => {
  await print("one");
  await print("two", "neighbour");
  await print("thrée");
  const shown = await postern("app", "logs", "shop", "--tail", "3");
  expect(shown).toBe("[web] one\n[neighbour] two\n[web] thrée\n");
  const stamped = await postern("app", "logs", "shop", "--tail", "1", "--timestamps");
  expect(stamped).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \[web\] thrée\n$/);
  expect(await postern("app", "logs", "shop", "--tail", "1", "--function", "neighbour")).toBe(
    "two\n",
  );
  // Containers that serve it belong to another function.
  expect(await postern("app", "logs", "shop", "--tail", "1", "--function", "guest")).toBe("two\n");
  const all = await linesOf("--since", "1h");
  expect(all.filter(({ text }) => text === "listening")).toHaveLength(2);
  expect(all.at(-1)).toMatchObject({
    box: "gpu-1",
    function: "web",
    stream: "stdout",
    text: "thrée",
  });
  const container = all.at(-1)?.container ?? "";
  expect(await postern("container", "logs", container, "--tail", "2")).toBe("one\nthrée\n");
});

test("a container is listed, and stopped by hand when it has finished its calls", async () => {
  const list = async (): Promise<ApiContainer[]> =>
    JSON.parse(await postern("container", "list", "--json")) as ApiContainer[];
  const [neighbour, web] = await list();
  expect(neighbour).toMatchObject({ endpoint: "main/shop/neighbour", box: "gpu-1", version: 1 });
  expect(web).toMatchObject({
    endpoint: "main/shop/web",
    state: "ready",
    calls: 0,
    gpus: [],
    port: null,
  });
  const { container = "" } = web ?? {};
  expect(await postern("container", "list")).toContain(`${container}  gpu-1  main/shop/web `);
  const release = join(directory, "release");
  const held = send(addresses["web"] as Address, `/hold?${encodeURIComponent(release)}`);
  await expect.poll(async () => (await list())[1]?.calls, { timeout: 20_000 }).toBe(1);
  await postern("container", "stop", container);
  expect((await list()).find((one) => one.container === container)?.state).toBe("draining");
  // Another one takes its place meanwhile.
  await print("from another container");
  writeFileSync(release, "");
  expect((await held).status).toBe(200);
  await expect
    .poll(async () => (await list()).map((one) => one.container), { timeout: 20_000 })
    .not.toContain(container);
  // Its lines are still there.
  expect(await postern("container", "logs", container)).toContain("thrée");
  const again = start("container", "stop", container);
  expect((await again.exited).code).toBe(1);
  expect(again.stderr).toMatch(/^postern: no box that is connected has the container ct-/);
});

test("an app that prints 100 MB neither holds up its neighbour nor a follower that is stopped", async () => {
  const following = start("app", "logs", "shop", "--follow");
  await following.waitForOutput(/^\[web\] thrée$/m);
  process.kill(following.pid, "SIGSTOP");
  const [web, neighbour] = [addresses["web"] as Address, addresses["neighbour"] as Address];
  const tookMs = { quiet: [] as number[], flooded: [] as number[] };
  const ask = async (when: keyof typeof tookMs): Promise<void> => {
    const begun = performance.now();
    expect((await send(neighbour, "/")).status).toBe(200);
    tookMs[when].push(performance.now() - begun);
  };
  for (let flood = 0; flood < FLOODS; flood += 1) {
    for (let count = 0; count < QUIET_REQUESTS; count += 1) await ask("quiet");
    const over = new AbortController();
    const flooded = send(web, "/flood", { timeoutMs: 60_000 }).finally(() => over.abort());
    while (!over.signal.aborted) await ask("flooded");
    expect((await flooded).status).toBe(200);
  }
  const [quietMs, floodedMs] = [medianOverTime(tookMs.quiet), medianOverTime(tookMs.flooded)];
  console.log(
    `a neighbour's median: ${quietMs.toFixed(1)} ms, and ${floodedMs.toFixed(1)} ms in floods (${tookMs.flooded.length} requests)`,
  );
  expect(floodedMs).toBeLessThan(MAX_TIMES * quietMs);
  expect(Math.max(...tookMs.flooded)).toBeLessThan(MAX_NEIGHBOUR_MS);
  await print("after the flood", "neighbour");
  process.kill(following.pid, "SIGCONT");
  await following.waitForOutput(/^\[neighbour\] after the flood$/m);
  await following.waitForOutput(
    /^\[web ct-\w+\] postern: \d+ lines of stdout were left out: they came too fast$/m,
  );
  expect(await following.stop()).toEqual({ code: 0, signal: null });
  // The newest lines of a flood are passed on a second later at the latest.
  await expect
    .poll(async () => (await linesOf("--tail", "1", "--function", "web"))[0]?.text, {
      timeout: 20_000,
    })
    .toBe("flooded");
});

test("who follows hears of a box that is killed, and goes on with the next container when it is back", async () => {
  const following = start(
    "app",
    "logs",
    "shop",
    "--follow",
    "--tail",
    "1",
    "--function",
    "neighbour",
  );
  await following.waitForOutput(/^after the flood$/m);
  await box.kill();
  await following.waitForErrorOutput(/gpu-1 is away, and its lines go on when it is back/);
  box = await startBox();
  await print("back again", "neighbour");
  await following.waitForOutput(/^\[ct-\w+\] back again$/m);
  await following.waitForErrorOutput(/^gpu-1 is back$/m);
  expect(following.stdout.match(/^after the flood$/gm)).toHaveLength(1);
  expect(await following.stop()).toEqual({ code: 0, signal: null });
  // What the killed agent kept is still there.
  const lines = await linesOf("--tail", "20", "--function", "neighbour");
  const containers = new Set(lines.map(({ container }) => container));
  expect(containers.size).toBe(2);
  expect(lines.map(({ text }) => text)).toEqual(expect.arrayContaining(["two", "after the flood"]));
});

test("a pipe that its reader closes ends the command", async () => {
  const shell = `"$0" "$1" app logs shop --follow --state "$2" | head -n 1`;
  const command = join(import.meta.dirname, "../../cli/postern.js");
  const piped = new ManagedProcess([
    "sh",
    "-c",
    shell,
    process.execPath,
    command,
    gateway.stateDirectory,
  ]);
  onTestFinished(async () => await piped.kill());
  const over = new AbortController();
  const ended = piped.exited.finally(() => over.abort());
  // A command notices that its reader is gone when it writes: what it wrote at once may have been before that.
  while (!over.signal.aborted) {
    await print("one more line");
    await Promise.race([ended, delay(200)]);
  }
  expect((await ended).code).toBe(0);
});

test("deploy --stream-logs --timestamps leaves out what the version before it prints while it ends", async () => {
  const deploying = start("deploy", "--stream-logs", "--timestamps");
  await deploying.waitForOutput(/^http:\S+-neighbour\.\S+$/m);
  // By the log itself the version before it has ended, and so a follower has heard of it.
  await expect
    .poll(() => postern("app", "logs", "shop", "--since", "1m"), { timeout: 20_000 })
    .toMatch(/^\[neighbour ct-\w+\] postern: .*its version has ended/m);
  await print("of the new version");
  await deploying.waitForOutput(/^\d{4}-\d\d-\S+Z \[web\] of the new version$/m);
  expect(deploying.stdout).not.toContain("its version has ended");
  expect(await deploying.stop()).toEqual({ code: 0, signal: null });
  const refused = start("deploy", "--timestamps");
  expect((await refused.exited).code).toBe(2);
  expect(refused.stderr).toContain("--timestamps: goes with --stream-logs");
});
