/** Two boxes share the containers of an endpoint: one of them is killed, and then the gateway is away. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { afterAll, beforeAll, expect, test } from "vitest";

import { MIB } from "../../base/units.ts";
import { type Gateway, startGateway } from "../support/harness.ts";
import { open } from "../support/http-client.ts";
import { startElsewhere } from "../support/other-machine.ts";
import { commandLine, type ManagedProcess, processTree, signalAll } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const LEASE_S = 10;
const PATIENCE = { timeout: 30_000 };
const APP = join(temporaryDirectory(), "shop");

/** Says where it runs, and holds each request until its client leaves. */
const SERVER = `import { createServer } from "node:http";
createServer((request, response) => {
  response.writeHead(200, { "x-place": process.env.POSTERN_BOX + " " + process.pid });
  response.flushHeaders();
}).listen(process.env.PORT, "127.0.0.1");
`;

let gateway: Gateway;
/** The agents, by their boxes. */
const boxes = new Map<string, ManagedProcess>();
/** The containers that clients have got. */
const places = new Set<string>();
/** Ends the requests of clients. */
let leaving = new AbortController();

beforeAll(async () => {
  gateway = await start();
  for (const name of ["gpu-1", "gpu-2"]) {
    const origin = await startAs(["origin", "--name", name], { POSTERN_GPUS: "H100:80GiB" });
    boxes.set(name, origin);
    await origin.waitForErrorOutput(new RegExp(`${name} is connected`));
  }
  mkdirSync(APP);
  for (const file of ["server.mjs", "sets.mjs"]) writeFileSync(join(APP, file), SERVER);
  const delay = `await new Promise((resolve) => setTimeout(resolve, ${LEASE_S * 700}));\n`;
  writeFileSync(join(APP, "slow.mjs"), SERVER.replace("createServer((", `${delay}createServer((`));
  const server = { web_server: ["node", "server.mjs"], boxes: ["gpu-*"], startup_timeout: 20 };
  const only = { function: "only", ...server, max_inputs: 100, scaledown_window: 2 };
  const web = {
    function: "web",
    ...server,
    min_containers: 1,
    max_containers: 3,
    max_inputs: 1,
    scaledown_window: 2,
  };
  const sets = {
    function: "sets",
    ...server,
    web_server: ["node", "sets.mjs"],
    max_inputs: 1,
    parameters: { name: { type: "str" } },
  };
  // Its start takes longer than a box's turn.
  const slow = { function: "slow", ...server, web_server: ["node", "slow.mjs"] };
  const carded = { ...sets, function: "carded", gpus: 1 };
  const endpoint = [web, only, sets, slow, carded];
  writeFileSync(join(APP, "postern.toml"), stringify({ app: "shop", endpoint }));
  const deploy = await startAs(["deploy", join(APP, "postern.toml")]);
  await deploy.exited;
  expect(deploy.stderr).toContain("serves on gpu-1, gpu-2\n");
});

afterAll(async () => {
  leaving.abort();
  for (const managed of boxes.values()) managed.killTree();
  await gateway.stop();
});

async function start(more: { port?: number; stateDirectory?: string } = {}): Promise<Gateway> {
  return await startGateway({ ...more, isFaulty: true, env: { POSTERN_POOL_LEASE: `${LEASE_S}` } });
}

/** A command on a machine of its own. */
async function startAs(args: readonly string[], more = {}): Promise<ManagedProcess> {
  return startElsewhere(gateway, args, more);
}

const addressOf = (functionName: string) => ({
  port: gateway.port,
  host: `tests--shop-${functionName}.localhost:${gateway.port}`,
});

/** Clients that come and stay. */
function come(count: number): void {
  for (let client = 0; client < count; client += 1) {
    open(addressOf("web"), "/", { signal: leaving.signal }).then(
      ({ headers }) => places.add(String(headers["x-place"])),
      () => undefined,
    );
  }
}

/** The servers that run on a box. */
function servers(box: string): number[] {
  const agent = boxes.get(box);
  return agent === undefined
    ? []
    : processTree(agent.pid).filter((pid) => commandLine(pid) === "node server.mjs");
}

interface SetVisit {
  readonly place: string;
  readonly leave: () => void;
}

/** A client of a set of parameters, when it has got a container. */
async function comeTo(name: string, body?: Uint8Array, of = "sets"): Promise<SetVisit> {
  const leaves = new AbortController();
  const signal = AbortSignal.any([leaves.signal, leaving.signal]);
  const how = body === undefined ? {} : { method: "POST", body };
  const response = await open(addressOf(of), `/?name=${name}`, { ...how, signal });
  response.on("error", () => undefined);
  return { place: String(response.headers["x-place"]), leave: () => leaves.abort() };
}

const boxOf = ({ place }: SetVisit) => place.split(" ")[0];

/** The containers of sets, each with its box. */
async function listedSets(): Promise<string[]> {
  const list = await startAs(["container", "list", "--json"]);
  await list.exited;
  const all = JSON.parse(list.stdout) as { box: string; endpoint: string; parameters?: string }[];
  return all
    .filter(({ endpoint }) => endpoint === "main/shop/sets")
    .map(({ box, parameters }) => `${box} ${parameters}`)
    .toSorted();
}

const counts = () => [servers("gpu-1").length, servers("gpu-2").length];
/** How often a box could not renew its lease in time: it keeps the containers that another box may have then. */
const lapses = () =>
  [...boxes.values()].reduce((sum, { stderr }) => sum + stderr.split("no lease for").length - 1, 0);
const total = () => counts().reduce((sum, count) => sum + count, 0);

test("with one container on two boxes each call finds it, whichever box the gateway tries first", async () => {
  const seen = new Set<string>();
  for (let call = 0; call < 12; call += 1) {
    const response = await open(addressOf("only"), "/");
    expect(response.statusCode).toBe(200);
    seen.add(String(response.headers["x-place"]));
    response.destroy();
  }
  expect(seen.size).toBe(1);
});

test("a set of parameters has max_containers over both of them, and its calls go where it is", async () => {
  const fox = await comeTo("fox");
  const owl = await comeTo("owl");
  expect(fox.place).not.toBe(owl.place);
  // Each container has one call. Whichever box a call comes to first, it waits where its set is.
  const waiting = new Set([comeTo("fox"), comeTo("fox"), comeTo("fox", new Uint8Array(MIB))]);
  for (let present = fox; waiting.size > 0;) {
    present.leave();
    const [next, itself] = await Promise.race(
      [...waiting].map(async (one) => [await one, one] as const),
    );
    waiting.delete(itself);
    expect(next.place).toBe(fox.place);
    present = next;
    if (waiting.size === 0) present.leave();
  }
  const placed = [`${boxOf(fox)} {"name":"fox"}`, `${boxOf(owl)} {"name":"owl"}`];
  expect(await listedSets()).toEqual(placed.toSorted());
  owl.leave();
});

test("a set begins on the box whose card is not in use", async () => {
  const one = await comeTo("fox", undefined, "carded");
  const other = await comeTo("owl", undefined, "carded");
  expect(boxOf(one)).not.toBe(boxOf(other));
  one.leave();
  other.leave();
});

test("min_containers that are changed without a deployment count over both of them too", async () => {
  await expect.poll(total, PATIENCE).toBe(1);
  const scale = ["app", "scale", "shop", "web", "--min"];
  expect((await (await startAs([...scale, "2"])).exited).code).toBe(0);
  await expect.poll(counts, PATIENCE).toEqual([1, 1]);
  expect((await (await startAs([...scale, "1"])).exited).code).toBe(0);
  await expect.poll(total, PATIENCE).toBe(1);
  expect((await (await startAs([...scale, "2"])).exited).code).toBe(0);
  await expect.poll(counts, PATIENCE).toEqual([1, 1]);
});

test("max_containers counts over both of them, and min_containers too", async () => {
  let before: number;
  let ran: number;
  // Again where the machine was too busy for a renewal in time.
  do {
    leaving.abort();
    leaving = new AbortController();
    await expect.poll(counts, PATIENCE).toEqual([1, 1]);
    places.clear();
    before = lapses();
    come(24);
    await expect.poll(() => places.size, PATIENCE).toBeGreaterThanOrEqual(3);
    ran = total();
  } while (lapses() > before);
  expect(ran).toBe(3);
  expect(Math.min(...counts())).toBeGreaterThan(0);
  expect((await (await startAs(["app", "scale", "shop", "web", "--min", "1"])).exited).code).toBe(
    0,
  );
});

test("of a box that is killed the other one gets the containers when the lease is over", async () => {
  boxes.get("gpu-1")?.killTree();
  boxes.delete("gpu-1");
  const before = servers("gpu-2").length;
  expect(before).toBeLessThan(3);
  come(8);
  await expect.poll(() => servers("gpu-2").length, PATIENCE).toBe(3);
  await expect
    .poll(() => [...places].filter((place) => place.startsWith("gpu-2 ")).length, PATIENCE)
    .toBe(3);
});

test("without the gateway a box keeps its containers and starts none, and goes on when it is back", async () => {
  const agent = boxes.get("gpu-2") as ManagedProcess;
  const { port, stateDirectory } = gateway;
  gateway.process.killTree();
  await gateway.process.exited;
  await agent.waitForErrorOutput(/no lease for endpoints .* none is started until the gateway/);
  expect(servers("gpu-2").length).toBeGreaterThan(0);
  // min_containers is one, which is not kept up without a lease.
  signalAll(servers("gpu-2"), "SIGKILL");
  await agent.waitForErrorOutput(/ended by itself with signal SIGKILL/);
  await expect.poll(() => servers("gpu-2"), PATIENCE).toEqual([]);
  gateway = await start({ port, stateDirectory });
  await expect.poll(() => servers("gpu-2").length, PATIENCE).toBe(1);
});
