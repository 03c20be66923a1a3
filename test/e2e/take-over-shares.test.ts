/** Two boxes share the containers of an endpoint, and the agent of the one that has them is replaced. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type Gateway, startGateway } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { startElsewhere } from "../support/other-machine.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** Notes its load and each request, and takes a while for both. */
const SERVER = `import { createServer } from "node:http";
import { appendFileSync } from "node:fs";
appendFileSync(process.env.NOTES, "load " + process.env.POSTERN_BOX + "\\n");
await new Promise((done) => setTimeout(done, 500));
createServer(async (request, response) => {
  const got = Buffer.concat(await Array.fromAsync(request)).toString();
  appendFileSync(process.env.NOTES, got + "\\n");
  await new Promise((done) => setTimeout(done, 150));
  response.end(process.env.POSTERN_BOX + " " + got);
}).listen(process.env.PORT, "127.0.0.1");
`;

interface Answer {
  readonly status: number;
  readonly text: string;
}

const app = join(temporaryDirectory(), "shop");
const notes = join(temporaryDirectory(), "notes");
let gateway: Gateway;
/** The agents, by their boxes, each with its state directory. */
const boxes = new Map<string, { readonly state: string; agent: ManagedProcess }>();

async function startBox(name: string, state: string): Promise<void> {
  const args = ["origin", "--name", name, "--state", state];
  const agent = startElsewhere(gateway, args, { HOME: state, NOTES: notes });
  boxes.set(name, { state, agent });
  await agent.waitForErrorOutput(new RegExp(`${name} is connected`));
}

beforeAll(async () => {
  gateway = await startGateway();
  for (const name of ["gpu-1", "gpu-2"]) await startBox(name, temporaryDirectory());
  mkdirSync(app);
  writeFileSync(join(app, "server.mjs"), SERVER);
  const web = { function: "web", web_server: ["node", "server.mjs"], boxes: ["gpu-*"] };
  const settings = { max_inputs: 2, max_containers: 1, exit_grace_period: 20 };
  const endpoint = [{ ...web, ...settings }];
  writeFileSync(join(app, "postern.toml"), stringify({ app: "shop", endpoint }));
  const deploy = startElsewhere(gateway, ["deploy", join(app, "postern.toml")]);
  await deploy.exited;
  expect(deploy.stderr).toContain("serves on gpu-1, gpu-2\n");
});

afterAll(async () => {
  for (const { agent } of boxes.values()) agent.killTree();
  await gateway.stop();
});

async function post(body: string): Promise<Answer> {
  const address = { port: gateway.port, host: `tests--shop-web.localhost:${gateway.port}` };
  const { status, text } = await send(address, "/", { method: "POST", body, timeoutMs: 60_000 });
  return { status, text };
}

const loads = (): string[] =>
  readFileSync(notes, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("load "));

test("the container stays through three upgrades under load, and no call runs twice", async () => {
  const [name = ""] = (await post("first")).text.split(" ");
  const before = loads();
  const answers: Promise<Answer>[] = [];
  const timer = setInterval(() => answers.push(post(`call ${answers.length}`)), 100);
  for (let upgrades = 1; upgrades <= 3; upgrades += 1) {
    // Some run and some wait.
    const busy = Array.from({ length: 10 }, (_, index) => post(`busy ${upgrades} ${index}`));
    answers.push(...busy);
    await busy[2];
    const { state, agent } = boxes.get(name) as { state: string; agent: ManagedProcess };
    process.kill(agent.pid, "SIGUSR2");
    expect(await agent.exited).toEqual({ code: 0, signal: null });
    await startBox(name, state);
    await Promise.all(busy);
  }
  expect(loads()).toEqual(before);
  clearInterval(timer);
  // Calls that come between two agents may wait at the other box, until this one has no calls.
  const all = await Promise.all(answers);
  expect(all.filter(({ status }) => status !== 200)).toEqual([]);
  const got = readFileSync(notes, "utf8").trim().split("\n");
  const calls = got.filter((line) => /^(call|busy) /.test(line));
  expect(calls.length).toBe(new Set(calls).size);
  expect(calls.length).toBe(all.length);
});
