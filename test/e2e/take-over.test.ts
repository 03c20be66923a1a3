/** The agent is replaced, as for an upgrade: its containers run on, and the next agent serves with them. */
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type TomlTable, stringify } from "smol-toml";
import { afterEach, beforeEach, expect, test } from "vitest";

import { APPS, type Gateway, startCommand, startGateway } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import { type ManagedProcess, isAlive, untilGone } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { ensureVenv } from "../support/venv.ts";

/** Notes each load in a file, and prints each request that it gets. */
const SERVER = `import { createServer } from "node:http";
import { appendFileSync } from "node:fs";
appendFileSync(process.env.LOADS, process.pid + "\\n");
const { CUDA_VISIBLE_DEVICES: cards, EDITION: edition } = process.env;
createServer(async (request, response) => {
  console.log("got " + request.url);
  const got = Buffer.concat(await Array.fromAsync(request)).toString();
  if (request.url.startsWith("/slow")) await new Promise((done) => setTimeout(done, 3000));
  response.end(JSON.stringify({ pid: process.pid, cards, edition, got }));
}).listen(process.env.PORT, "127.0.0.1");
setInterval(() => console.log("tick"), 500);
`;

interface Told {
  readonly pid: number;
  readonly most?: number;
  readonly cards?: string;
  readonly edition?: string;
}

const CARDS = { POSTERN_GPUS: "H100:80GiB" };

let gateway: Gateway;
let directory: string;
let loads: string;
const boxes: ManagedProcess[] = [];

beforeEach(async () => {
  gateway = await startGateway();
  directory = join(temporaryDirectory(), "app");
  loads = join(temporaryDirectory(), "loads");
  mkdirSync(directory);
  writeFileSync(join(directory, "server.mjs"), SERVER);
});

afterEach(async () => {
  for (const box of boxes.splice(0)) await box.stop();
  await gateway.stop();
});

async function startBox(env: NodeJS.ProcessEnv = CARDS): Promise<ManagedProcess> {
  const box = startCommand(["origin", "--name", "gpu-1", "--state", gateway.stateDirectory], {
    env,
  });
  boxes.push(box);
  await box.waitForErrorOutput(/gpu-1 is connected/);
  return box;
}

async function deploy(more: TomlTable = {}): Promise<void> {
  const { env = {}, ...settings } = more;
  const web = {
    function: "web",
    ...("asgi" in more ? {} : { web_server: ["node", "server.mjs"] }),
    gpus: 1,
    exit_grace_period: 5,
    env: { LOADS: loads, ...(env as TomlTable) },
    ...settings,
  };
  writeFileSync(join(directory, "postern.toml"), stringify({ app: "models", endpoint: [web] }));
  const deployed = startCommand(["deploy", "--state", gateway.stateDirectory], { cwd: directory });
  expect(await deployed.exited).toEqual({ code: 0, signal: null });
}

const web = (): Address => ({
  port: gateway.port,
  host: `tests--models-web.localhost:${gateway.port}`,
});

async function ask(path = "/"): Promise<Told> {
  const { status, text } = await send(web(), path, { timeoutMs: 60_000 });
  expect([status, text]).toEqual([200, expect.any(String)]);
  return JSON.parse(text) as Told;
}

/** Has the agent leave its containers, and waits until it has ended. */
async function handOver(box: ManagedProcess): Promise<void> {
  process.kill(box.pid, "SIGUSR2");
  expect(await box.exited).toEqual({ code: 0, signal: null });
}

const loaded = (): number[] => readFileSync(loads, "utf8").trim().split("\n").map(Number);
const records = (): string[] => readdirSync(join(gateway.stateDirectory, "box", "containers"));

async function pending(): Promise<number> {
  const shown = startCommand(["call", "list", "--json", "--state", gateway.stateDirectory]);
  await shown.exited;
  return shown.stdout.split('"pending"').length - 1;
}

async function lines(): Promise<string[]> {
  const shown = startCommand(["app", "logs", "models", "--state", gateway.stateDirectory]);
  await shown.exited;
  return shown.stdout.split("\n");
}

test("the next agent serves with the same process: nothing loads twice, and its log goes on", async () => {
  const first = await startBox();
  await deploy();
  const told = await ask("/before");
  expect(told).toMatchObject({ cards: "0" });
  // What is under way finishes first.
  const slow = ask("/slow");
  await first.waitForErrorOutput(/got \/slow/);
  await handOver(first);
  expect(await slow).toEqual(told);
  expect(isAlive(told.pid)).toBe(true);

  const second = await startBox();
  await second.waitForErrorOutput(/web\] postern: taken over from the last agent/);
  expect(await ask("/after")).toEqual(told);
  expect(loaded()).toEqual([told.pid]);
  await expect
    .poll(lines, { timeout: 15_000 })
    .toContainEqual(expect.stringMatching(/got \/after/));
  expect(await lines()).toContainEqual(expect.stringMatching(/got \/before/));

  // And once more: what was adopted can be left again.
  await handOver(second);
  const askedAtMs = performance.now();
  const between = send(web(), "/between", { timeoutMs: 60_000 });
  const third = await startBox();
  // The next agent is expected for 5 s, which may be too short for a start on a busy machine.
  const { status, text } = await between;
  if (performance.now() - askedAtMs < 5_000)
    expect([status, text]).toEqual([200, JSON.stringify(told)]);
  expect(await ask("/third")).toEqual(told);

  await third.stop("SIGTERM");
  await untilGone(told.pid);
  expect(loaded()).toEqual([told.pid]);
});

test("calls that wait, and those that come meanwhile, are the next agent's: none fails, none runs twice", async () => {
  const first = await startBox({});
  await deploy({ gpus: 0, max_inputs: 1, exit_grace_period: 20 });
  const told = await ask("/before");
  const post = async (path: string): Promise<string> => {
    const body = `body of ${path}`;
    const headers = path === "/keyed" ? { "idempotency-key": "one" } : {};
    const how = { method: "POST", headers, body, timeoutMs: 60_000 };
    const { status, text } = await send(web(), path, how);
    return status === 200 ? (JSON.parse(text) as Told & { got: string }).got : `${status} ${text}`;
  };
  const slow = post("/slow");
  await first.waitForErrorOutput(/got \/slow/);
  // The second one under the key joins the first one's call.
  const waiting = ["/w1", "/keyed", "/keyed"].map(post);
  // Their streams are parked by then: the gateway has no copy of the requests.
  await expect.poll(pending, { timeout: 15_000 }).toBe(2);
  process.kill(first.pid, "SIGUSR2");
  await first.waitForErrorOutput(/finishing what is under way/);
  const late = ["/l1", "/keyed", "/l3"].map(post);
  expect(await slow).toBe("body of /slow");
  expect(await first.exited).toEqual({ code: 0, signal: null });
  await startBox({});
  expect(await Promise.all([...waiting, ...late])).toEqual(
    ["/w1", "/keyed", "/keyed", "/l1", "/keyed", "/l3"].map((path) => `body of ${path}`),
  );
  const got = (await lines()).filter((line) => line.includes("got /"));
  expect(got.map((line) => line.replace(/^.*got /, "")).toSorted()).toEqual(
    ["/before", "/keyed", "/l1", "/l3", "/slow", "/w1"].toSorted(),
  );
  expect(loaded()).toEqual([told.pid]);
});

test("a call that comes between two agents begins after those that waited at the first one", async () => {
  const first = await startBox({});
  await deploy({ gpus: 0, max_inputs: 1, exit_grace_period: 20 });
  await ask("/before");
  const answers: Promise<unknown>[] = [ask("/slow")];
  await first.waitForErrorOutput(/got \/slow/);
  // The next agent takes a while to read them: it has its containers, and new calls, before that.
  const body = Buffer.alloc(16 * 1024 * 1024, "a");
  for (const path of ["/a1", "/a2"]) {
    answers.push(send(web(), path, { method: "POST", body, timeoutMs: 60_000 }));
    await expect.poll(pending, { timeout: 15_000 }).toBe(answers.length - 1);
  }
  await handOver(first);
  for (const path of ["/b1", "/b2"]) answers.push(ask(path));
  await startBox({});
  await Promise.all(answers);
  const got = (await lines()).flatMap((line) => /got (\/\w.*)/.exec(line)?.[1] ?? []);
  expect(got.slice(0, 4)).toEqual(["/before", "/slow", "/a1", "/a2"]);
  expect(got.slice(4).toSorted()).toEqual(["/b1", "/b2"]);
});

test("calls that wait at the next agent outlive a kill of it, and only what ran there is lost", async () => {
  const first = await startBox({});
  await deploy({ gpus: 0, max_inputs: 1, exit_grace_period: 20 });
  await ask("/before");
  const post = async (path: string): Promise<number> =>
    (await send(web(), path, { method: "POST", body: path, timeoutMs: 60_000 })).status;
  const running = post("/slow");
  await first.waitForErrorOutput(/got \/slow/);
  const waiting: Promise<number>[] = [];
  for (const path of ["/slow/next", "/w1", "/w2"]) {
    waiting.push(post(path));
    await expect.poll(pending, { timeout: 15_000 }).toBe(waiting.length);
  }
  await handOver(first);
  expect(await running).toBe(200);
  const second = await startBox({});
  await second.waitForErrorOutput(/got \/slow\/next/);
  await second.kill();
  await startBox({});
  expect(await Promise.all(waiting)).toEqual([502, 200, 200]);
  const got = (await lines()).flatMap((line) => /got (\/\w.*)/.exec(line)?.[1] ?? []);
  expect(got.toSorted()).toEqual(["/before", "/slow", "/slow/next", "/w1", "/w2"]);
});

test("an agent that is to hand over while it starts does so when it has started", async () => {
  const first = await startBox();
  await deploy();
  const told = await ask();
  await handOver(first);
  const second = startCommand(["origin", "--name", "gpu-1", "--state", gateway.stateDirectory], {
    env: CARDS,
  });
  boxes.push(second);
  // Before it dials the gateway.
  await second.waitForErrorOutput(/taken over from the last agent/);
  await handOver(second);
  await startBox();
  expect(await ask()).toEqual(told);
  expect(loaded()).toEqual([told.pid]);
});

test("each set of parameters finds its own container again", async () => {
  const first = await startBox();
  const parameters = { model: { type: "str", default: "small" } };
  await deploy({ gpus: 0, parameters });
  const small = await ask("/");
  const large = await ask("/?model=large");
  expect(large.pid).not.toBe(small.pid);
  await handOver(first);
  await startBox();
  expect((await ask("/?model=large")).pid).toBe(large.pid);
  expect((await ask("/?model=small")).pid).toBe(small.pid);
  expect(loaded()).toHaveLength(2);
});

test("each session finds its own container again, and none is lost", async () => {
  let box = await startBox();
  await deploy({
    gpus: 0,
    web_server: ["node", join(APPS, "session-server.ts")],
    max_inputs: 50,
    min_containers: 2,
    max_containers: 2,
    affinity: ["header:x-session", "query:user", "learned:json:id"],
    affinity_mode: "hard",
  });
  const session = async (path: string, more: Parameters<typeof send>[2] = {}) => {
    const { status, headers, text } = await send(web(), path, { timeoutMs: 60_000, ...more });
    expect([status, text]).toEqual([200, expect.any(String)]);
    expect(headers["postern-session"]).toBeUndefined();
    return { container: String(headers["x-container"]), text };
  };
  const handedOut = async (path: string) => {
    const { container, text } = await session(path, { method: "POST" });
    return { container, path: `/sessions/${(JSON.parse(text) as { id: string }).id}` };
  };
  await expect.poll(records, { timeout: 15_000 }).toHaveLength(2);
  const names = Array.from({ length: 6 }, (_, index) => `name ${index}`);
  const byHeader = (name: string) => session("/", { headers: { "x-session": name } });
  const byQuery = (name: string) => session(`/?user=${encodeURIComponent(name)}`);
  const placesOf = async (ids: readonly string[]) =>
    await Promise.all(
      [...names.map(byHeader), ...names.map(byQuery), ...ids.map((id) => session(id))].map(
        async (asked) => (await asked).container,
      ),
    );
  const begun = [];
  for (let count = 0; count < 4; count += 1) begun.push(await handedOut("/sessions"));
  await placesOf([]);
  // Its id is learned while the agent ends.
  const late = handedOut("/sessions?ms=1500");
  await box.waitForErrorOutput(/hands out an id in 1500 ms/);
  const ids = begun.map(({ path }) => path);
  const places = await placesOf(ids);
  expect(new Set(places).size).toBe(2);
  await handOver(box);
  const { path, container } = await late;

  for (const name of records()) {
    const file = join(gateway.stateDirectory, "box", "containers", name);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const text = readFileSync(file, "utf8");
    for (const secret of ["name 0", path.slice(-20)]) expect(text).not.toContain(secret);
    expect(text).toContain('"sessions"');
  }
  // And once more: what was taken over can be left again.
  for (let count = 0; count < 2; count += 1) {
    if (count > 0) await handOver(box);
    box = await startBox();
    expect(await placesOf([...ids, path])).toEqual([...places, container]);
  }
  for (const name of records()) {
    const file = join(gateway.stateDirectory, "box", "containers", name);
    await expect.poll(() => readFileSync(file, "utf8")).not.toContain('"sessions"');
  }
});

test("a container whose variables have changed is ended, and its successor gets its GPU", async () => {
  const first = await startBox();
  await deploy();
  const old = await ask();
  await handOver(first);
  const second = await startBox({ ...CARDS, HF_HOME: "/elsewhere" });
  await second.waitForErrorOutput(/ends ct-\w+, which the last agent left .*HF_HOME has changed/);
  const now = await ask();
  expect(now.pid).not.toBe(old.pid);
  await untilGone(old.pid);
  expect(loaded()).toEqual([old.pid, now.pid]);
});

/** Works on after its client has left, and says how many requests it had at once. */
const ASGI = `import asyncio, json, os
with open(os.environ["LOADS"], "a") as file:
    file.write(f"{os.getpid()}\\n")
running = most = 0
async def app(scope, receive, send):
    global running, most
    assert scope["type"] == "http"
    running += 1
    most = max(most, running)
    print("got " + scope["path"], flush=True)
    await asyncio.sleep(1.5 if scope["path"] == "/slow" else 0)
    running -= 1
    body = json.dumps({"pid": os.getpid(), "most": most}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
`;

test("an ASGI app goes on telling when it has ended its work on a call that was given up", async () => {
  const PATH = `${dirname(await ensureVenv())}:${process.env["PATH"] ?? ""}`;
  writeFileSync(join(directory, "asgi.py"), ASGI);
  const env = { ...CARDS, PATH };
  const first = await startBox(env);
  await deploy({ asgi: "asgi:app", max_inputs: 1 });
  const told = await ask();
  await handOver(first);
  const second = await startBox(env);
  expect(await ask()).toEqual(told);
  const left = new AbortController();
  const given = send(web(), "/slow", { signal: left.signal });
  given.catch(() => undefined);
  await second.waitForErrorOutput(/got \/slow/);
  left.abort();
  // The place is free when the work has ended, and neither before nor never.
  expect(await ask()).toEqual(told);
  expect(loaded()).toEqual([told.pid]);
});

test("a container of an app that was stopped meanwhile is ended", async () => {
  const first = await startBox();
  await deploy();
  const { pid } = await ask();
  await handOver(first);
  const stopped = startCommand([
    "app",
    "stop",
    "models",
    "--yes",
    "--state",
    gateway.stateDirectory,
  ]);
  await stopped.exited;
  const second = await startBox();
  await second.waitForErrorOutput(/this version is not to run here/);
  await untilGone(pid);
  await expect.poll(records, { timeout: 15_000 }).toEqual([]);
});

test("SIGTERM ends the containers, as ever", async () => {
  const box = await startBox();
  await deploy();
  const { pid } = await ask();
  await box.stop("SIGTERM");
  expect(isAlive(pid)).toBe(false);
});
