/**
 * A thousand calls whose clients were told that they go on, while all that may happen to a box happens: a deployment, a
 * GPU without memory at a start, a crash, a kill of the agent, a polite restart. None that had not begun is lost, none
 * runs twice, and nothing of all that stays behind.
 */
import { once } from "node:events";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type TomlTable, stringify } from "smol-toml";
import { afterAll, beforeAll, expect, test } from "vitest";
import { REAL_FILES } from "../../origin-gpu/calls/store/files.ts";
import { readJournal } from "../../origin-gpu/calls/store/journal-reader.ts";
import { APPS, type Gateway, startCommand, startGateway, WORKSPACE } from "../support/harness.ts";
import { type Address, type Answer, send } from "../support/http-client.ts";
import { Notes } from "../support/notes.ts";
import { type ManagedProcess, openDescriptors } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const JOBS = 1_000;
const INFERENCES = 60;
/** Calls of the app `jobs` that run at once: two containers with four places. */
const PLACES = 4;
const CONTAINERS = 2;
/** Runs that begin between one fault and the next. */
const BETWEEN = 40;
const AT_ONCE = 20;
/** Of so many calls, one has a client that waits for it all the time. */
const FOLLOWED = 20;
const GPU = `postern-test-${process.pid}`;
const PATIENCE = { timeout: 60_000, interval: 100 };

/** What stays in an agent's directory (docs/storage.md): nothing of a call that waited, of a body, or of a container but its log. */
const KEPT = [
  /^(bodies|code|containers|logs|requests|results)$/,
  /^(identity\.json|identity\.json\.crc32|journal|lock|code-history\.json|loopback-ports\.json)$/,
  /^code\/(arriving|copies|packed)$/,
  /^code\/packed\/[0-9a-f]{64}\.tar\.gz(\.checksums)?$/,
  /^logs\/ct-[0-9a-f]{16}\.\d+\.log$/,
  /^results\/\d+\.pack$/,
];

const notes = new Notes();
const directory = temporaryDirectory();
let gateway: Gateway;
let agent: ManagedProcess;

interface Accepted {
  readonly id: string;
  readonly address: Address;
  readonly resultPath: string;
}

async function startAgent(): Promise<void> {
  agent = startCommand(["origin", "--name", "gpu-1", "--state", gateway.stateDirectory]);
  await agent.waitForErrorOutput(/gpu-1 is connected/);
}

async function postern(...args: string[]) {
  const managed = startCommand([...args, "--state", gateway.stateDirectory]);
  const { code } = await managed.exited;
  return { code, stdout: managed.stdout, stderr: managed.stderr };
}

/** Deploys an edition of an app, whose one function is `run`. */
async function deploy(app: string, edition: string, settings: TomlTable) {
  const place = join(directory, app);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, "edition"), edition);
  const endpoint = {
    function: "run",
    web_server: ["node", join(APPS, "noting-server.ts")],
    scaledown_window: 2,
    startup_timeout: 60,
    exit_grace_period: 1,
    ...settings,
  };
  writeFileSync(join(place, "postern.toml"), stringify({ app, endpoint: [endpoint] }));
  return await postern("deploy", join(place, "postern.toml"));
}

const deployJobs = async (edition: string) =>
  await deploy("jobs", edition, {
    env: { NOTES: notes.file, WORK_MS: "300" },
    max_inputs: PLACES,
    max_containers: CONTAINERS,
  });

const deployModel = async (edition: string) =>
  await deploy("model", edition, {
    // Calls of the first version hold the GPU until the second one has failed, also where commands are slow to start.
    env: { NOTES: notes.file, WORK_MS: "600", GPU },
    max_inputs: 1,
  });

const addressOf = (app: string): Address => ({
  port: gateway.port,
  host: `${WORKSPACE}--${app}-run.localhost:${gateway.port}`,
});

/** Begins asynchronous calls of an app, some at a time. */
async function accept(app: string, count: number): Promise<Accepted[]> {
  const address = addressOf(app);
  return await several(count, async (number) => {
    const headers = { prefer: "respond-async" };
    const body = `input ${number}`;
    const answer = await send(address, `/${app}/${number}`, { method: "POST", headers, body });
    expect(answer.status, answer.text).toBe(202);
    const told = answer.json() as { call_id: string; result_url: string };
    const { pathname, search } = new URL(told.result_url);
    const call = { id: told.call_id, address, resultPath: pathname + search };
    if (number % FOLLOWED === 0) waited.set(call.id, followed(call));
    return call;
  });
}

/** Does something so many times, some at a time. */
async function several<Result>(
  count: number,
  act: (number: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const number = (next += 1) - 1;
      results[number] = await act(number);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}

/** Waits until apps have begun so many more runs. */
async function moreRuns(count: number): Promise<void> {
  const goal = notes.begun.length + count;
  await expect.poll(() => notes.begun.length, PATIENCE).toBeGreaterThanOrEqual(goal);
}

/** The statuses of all calls, as `postern call list` has them. */
async function statuses(): Promise<Map<string, string>> {
  const { stdout, stderr } = await postern("call", "list", "--json", "--limit", "2000");
  expect(stderr).toBe("");
  const calls = JSON.parse(stdout) as { call: string; status: string }[];
  return new Map(calls.map(({ call, status }) => [call, status]));
}

async function isAllOver(): Promise<boolean> {
  const found = new Set((await statuses()).values());
  return !found.has("pending") && !found.has("running");
}

async function readLeftJournal(): Promise<void> {
  await readJournal(REAL_FILES, join(gateway.stateDirectory, "box", "journal"), (record) => {
    if (record.kind === "accepted") arrived.push(record.callId);
    // Only in a journal that was written anew.
    const hasStarted = record.kind === "accepted" && record.entry.startedAtMs !== undefined;
    if (hasStarted || record.kind === "started") started.add(record.callId);
    else if (record.kind === "requeued") started.delete(record.callId);
  });
}

/** The memory of the GPU is somebody else's until this is closed. */
async function holdGpu(): Promise<Server> {
  const holder = createServer().listen(`\0${GPU}`);
  await once(holder, "listening");
  return holder;
}

beforeAll(async () => {
  gateway = await startGateway({ flags: ["--rate-limit", "0"] });
  await startAgent();
  expect(await deployJobs("first")).toMatchObject({ code: 0 });
  expect(await deployModel("first")).toMatchObject({ code: 0 });
});
afterAll(async () => {
  await agent.stop();
  await gateway.stop();
});

/** Follows a result URL until it has the call's end, as a client does that nobody is to notice. */
async function followed({ address, resultPath }: Accepted): Promise<string> {
  let path = resultPath;
  for (;;) {
    const answer = await send(address, path, { timeoutMs: 170_000 });
    const { status, headers } = answer;
    if (status === 303) path = headers.location ?? "";
    // The box is away.
    else if (status === 503) await delay(Number(headers["retry-after"]) * 1000);
    else if (status !== 202) return outcomeOf(answer);
  }
}

function outcomeOf({ status, text }: Answer): string {
  if (status === 200) return text.startsWith("ct-") ? "answer" : text;
  return /"code":"(\w+)"/.exec(text)?.[1] ?? text;
}

/** The outcome that belongs to a status. */
const OUTCOMES: Readonly<Record<string, string>> = {
  success: "answer",
  lost: "call_lost",
  failure: "origin_error",
};

const descriptors = (): number[] =>
  [agent.pid, gateway.process.pid, gateway.workerdPid].map((pid) => openDescriptors(pid));

let accepted: Accepted[];
/** By call, what a client has got that waited all the time. */
const waited = new Map<string, Promise<string>>();
/** By the journal of the agent that was killed: calls in the order of their arrival, and those that an app may know. */
const arrived: string[] = [];
const started = new Set<string>();
let descriptorsBefore: number[];

test("a thousand accepted calls outlive a deployment, an OOM at a start, a crash, a kill and a restart", async () => {
  await expect.poll(() => notes.alive, PATIENCE).toEqual([]);
  descriptorsBefore = descriptors();
  const holder = await holdGpu();
  const inferences = accept("model", INFERENCES);
  await agent.waitForErrorOutput(/CUDA out of memory/);
  holder.close();
  const jobs = accept("jobs", JOBS);
  await expect
    .poll(() => notes.paths.some((path) => path.startsWith("/model/")), PATIENCE)
    .toBe(true);

  const [deployed, failed] = await Promise.all([deployJobs("second"), deployModel("second")]);
  expect(deployed).toMatchObject({ code: 0 });
  expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining("CUDA out of memory") });

  await moreRuns(BETWEEN);
  const victim = notes.alive.at(-1);
  process.kill(victim?.pid ?? 0, "SIGKILL");

  // A kill would also end those that nobody was told of yet.
  accepted = [...(await inferences), ...(await jobs)];
  await moreRuns(BETWEEN);
  await agent.kill();
  await readLeftJournal();
  await startAgent();

  await moreRuns(BETWEEN);
  await agent.stop();
  expect(notes.alive).toEqual([]);
  const left = JOBS + INFERENCES - notes.begun.length;
  expect(left, "calls that the last agent has to run").toBeGreaterThan(BETWEEN);
  await startAgent();

  await expect.poll(isAllOver, PATIENCE).toBe(true);
}, 240_000);

test("none of them is lost that had not begun, none ran twice, and the list of calls says how each ended", async () => {
  const found = await statuses();
  const withStatus = (...wanted: string[]) =>
    accepted.map(({ id }) => id).filter((id) => wanted.includes(found.get(id) ?? "unknown"));
  const succeeded = withStatus("success");
  const broken = withStatus("failure");
  const lost = withStatus("lost");
  console.log(
    `of ${accepted.length}: ${broken.length} crashed, ${lost.length} ran when the agent ended`,
  );
  expect(succeeded.length + broken.length + lost.length).toBe(JOBS + INFERENCES);
  const { begun, ended } = notes;
  // A start is in the journal before the app gets a byte: the kill may have come between the two.
  expect([...begun, ...started]).toEqual(expect.arrayContaining(lost));
  expect(broken.length).toBeLessThanOrEqual(PLACES);
  // At the kill: one that is stopped lets its calls finish.
  expect(lost.length).toBeLessThanOrEqual(PLACES * CONTAINERS + 1);

  expect(new Set(begun).size).toBe(begun.length);
  expect(begun).toEqual(expect.arrayContaining([...succeeded, ...broken]));
  expect(ended).toEqual(expect.arrayContaining(succeeded));
  const unfinished = begun.filter((id) => !ended.includes(id));
  expect([...broken, ...lost]).toEqual(expect.arrayContaining(unfinished));
});

test("they began in the order of their arrival, over deployment, kill and restart", () => {
  const { begun, paths } = notes;
  const jobs = begun.filter((_, run) => paths[run]?.startsWith("/jobs/"));
  const known = new Set(jobs);
  const places = new Map(arrived.filter((id) => known.has(id)).map((id, place) => [id, place]));
  const moves = jobs.map((id, run) => Math.abs(run - (places.get(id) ?? Infinity)));
  // Those that run side by side, of two versions where one takes over, begin in any order.
  expect(Math.max(...moves)).toBeLessThan(2 * PLACES * CONTAINERS);
});

test("each is answered at its result URL as the list says, to clients that waited all the time too", async () => {
  const found = await statuses();
  const outcomes = await several(accepted.length, async (number) => {
    const { id, address, resultPath } = accepted[number] as Accepted;
    const later = outcomeOf(await send(address, resultPath));
    return [id, later, (await waited.get(id)) ?? later];
  });
  expect(waited.size).toBeGreaterThan(JOBS / FOLLOWED);
  const right = accepted.map(({ id }) => {
    const outcome = OUTCOMES[found.get(id) ?? ""];
    return [id, outcome, outcome];
  });
  expect(outcomes).toEqual(right);
});

test("no process, port, descriptor or file of a container is left", async () => {
  await expect.poll(() => notes.alive, PATIENCE).toEqual([]);
  for (const app of ["jobs", "model"]) {
    expect(await postern("app", "stop", app, "--yes")).toMatchObject({ code: 0 });
  }
  await expect.poll(() => notes.alive, PATIENCE).toEqual([]);
  expect(notes.openPorts).toEqual([]);
  const grown = () => descriptors().map((count, index) => count - (descriptorsBefore[index] ?? 0));
  await expect.poll(() => Math.max(...grown()), PATIENCE).toBeLessThanOrEqual(0);
  // The copies of an app's code go after its containers.
  const files = () =>
    readdirSync(join(gateway.stateDirectory, "box"), { recursive: true })
      .map(String)
      .filter((file) => !KEPT.some((kept) => kept.test(file)));
  await expect.poll(files, PATIENCE).toEqual([]);
});
