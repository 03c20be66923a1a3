import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";

import { identityOf } from "../../../base/node/process-identity.ts";
import { ProcessRecords } from "../../../origin-gpu/containers/process-records.ts";
import { ManagedProcess, isAlive, untilGone } from "../../support/processes.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { HERE } from "./endpoint.ts";

/** An agent with a container, and where it keeps its records. */
class RecordingAgent {
  readonly directory = temporaryDirectory();
  readonly agent: ManagedProcess;

  constructor(flags: readonly string[], environment: NodeJS.ProcessEnv = {}) {
    this.agent = new ManagedProcess([process.execPath, `${HERE}agent.ts`, ...flags], {
      env: { ...process.env, ...environment, RECORDS: this.directory },
    });
    onTestFinished(() => this.agent.killTree());
  }

  async pid(whose: string): Promise<number> {
    const line = await this.agent.waitForOutput(new RegExp(`^${whose} pid (\\d+)$`, "m"));
    return Number(line[1]);
  }

  /** The one record, once the container is ready. */
  async record(): Promise<Recorded> {
    await this.agent.waitForOutput(/^ready$/m);
    const [name = ""] = readdirSync(this.directory);
    return JSON.parse(readFileSync(join(this.directory, name), "utf8")) as Recorded;
  }
}

interface Recorded {
  readonly container: string;
  readonly leader: { readonly pid: number };
  readonly supervisor: { readonly pid: number };
  readonly left?: Readonly<Record<string, unknown>>;
}

/** What the next agent says. */
async function next(
  directory: string,
  options: Partial<Parameters<typeof ProcessRecords.open>[0]> = {},
): Promise<string[]> {
  const notices: string[] = [];
  await ProcessRecords.open({ directory, notice: (text) => notices.push(text), ...options });
  return notices;
}

function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return Number(stat.slice(stat.lastIndexOf(")")).split(" ")[2]);
}

async function stranger(environment: NodeJS.ProcessEnv = {}): Promise<number> {
  const managed = new ManagedProcess(["sh", "-c", "echo there; exec sleep 1000"], {
    env: { ...process.env, ...environment },
  });
  onTestFinished(async () => await managed.kill());
  await managed.waitForOutput(/^there$/m);
  return managed.pid;
}

test("a record is there until its container has exited", async () => {
  const directory = temporaryDirectory();
  const records = await ProcessRecords.open({ directory, notice: console.log });
  const exited = Promise.withResolvers<void>();
  const of = { container: "ct-1", source: "web", variable: "MARK", limit: 0 };
  const processes = { ...of, leader: process.pid, supervisor: undefined };
  const kept = records.add(processes, exited.promise);
  await vi.waitUntil(() => existsSync(join(directory, "ct-1.json")));
  exited.resolve();
  await kept;
  expect(readdirSync(directory)).toEqual([]);
});

describe("the next agent", () => {
  test("ends what an agent left that was killed with both supervisors", async () => {
    const left = new RecordingAgent(["--child", "session"]);
    const { leader, supervisor } = await left.record();
    const child = await left.pid("child");
    const inner = parentOf(leader.pid);
    // Neither of them gets to end anything.
    for (const pid of [supervisor.pid, inner]) process.kill(pid, "SIGSTOP");
    await left.agent.kill();
    for (const pid of [supervisor.pid, inner]) process.kill(pid, "SIGKILL");
    await untilGone(inner);
    expect(isAlive(child)).toBe(true);
    expect(await next(left.directory)).toEqual([expect.stringMatching(/^\[web\] ends what/)]);
    for (const pid of [child, leader.pid]) expect(isAlive(pid)).toBe(false);
    expect(readdirSync(left.directory)).toEqual([]);
  });

  test("ends a container whose supervisors hang", async () => {
    const left = new RecordingAgent([]);
    const { leader, supervisor } = await left.record();
    const inner = parentOf(leader.pid);
    for (const pid of [supervisor.pid, inner]) process.kill(pid, "SIGSTOP");
    await left.agent.kill();
    await next(left.directory, { supervisorTimeMs: 50 });
    for (const pid of [leader.pid, inner, supervisor.pid]) expect(isAlive(pid)).toBe(false);
  });

  test("leaves the time that a stop_command has to the supervisor", async () => {
    const file = join(temporaryDirectory(), "stopped");
    const left = new RecordingAgent([], { STOP_COMMAND: `${HERE}slow-stop.sh ${file}` });
    const { supervisor } = await left.record();
    await left.agent.kill();
    expect(await next(left.directory, { supervisorTimeMs: 0 })).toEqual([]);
    expect(existsSync(file)).toBe(true);
    expect(isAlive(supervisor.pid)).toBe(false);
  });

  test("ends no process that got the number of another one", async () => {
    const directory = temporaryDirectory();
    const pid = await stranger();
    const started = identityOf(pid)?.started ?? "";
    const others = [started.replace(/\d+$/, "1"), started.replace(/^\S+/, "another-boot")];
    for (const [index, time] of others.entries()) {
      const container = `ct-${index}`;
      const identity = { pid, started: time };
      const known = { container, source: "web", variable: "POSTERN_CONTAINER_ID", limit: 0 };
      const record = { ...known, leader: identity, supervisor: identity };
      writeFileSync(join(directory, `${container}.json`), JSON.stringify(record));
    }
    expect(await next(directory)).toEqual([]);
    expect(isAlive(pid)).toBe(true);
    expect(readdirSync(directory)).toEqual([]);
  });

  test("ends no container of another agent, and none by what is no record", async () => {
    const directory = temporaryDirectory();
    const pid = await stranger({ POSTERN_CONTAINER_ID: "ct-other" });
    writeFileSync(join(directory, "ct-1.json"), "{");
    writeFileSync(join(directory, "ct-2.json"), JSON.stringify({ leader: { pid: -1 } }));
    writeFileSync(join(directory, "ct-3.json.draft"), "");
    expect(await next(directory)).toEqual([]);
    expect(isAlive(pid)).toBe(true);
    expect(readdirSync(directory)).toEqual([]);
  });

  test("says what it can't end, and remembers it", async () => {
    const left = new RecordingAgent([]);
    const { leader, container } = await left.record();
    const options = { supervisorTimeMs: 0, killTimeMs: 20, kill: () => undefined };
    expect(await next(left.directory, options)).toEqual([
      `[web] ends what the last agent left of ${container}`,
      expect.stringMatching(
        `^warning: \\[web\\] .* ${container} \\(pid ${leader.pid}\\) survived SIGKILL`,
      ),
    ]);
    expect(readdirSync(left.directory)).toEqual([`${container}.json`]);
  });
});

describe("a container that was left running", () => {
  async function left(environment: NodeJS.ProcessEnv = {}): Promise<RecordingAgent> {
    const agent = new RecordingAgent([], environment);
    await agent.record();
    process.kill(agent.agent.pid, "SIGUSR2");
    await agent.agent.waitForOutput(/^left: it runs on$/m);
    return agent;
  }

  async function open({ directory }: RecordingAgent, notices: string[] = []) {
    return await ProcessRecords.open({ directory, notice: (text) => notices.push(text) });
  }

  test("is found by the next agent, which ends it as asked to, and then its record", async () => {
    const file = join(temporaryDirectory(), "stopped");
    const last = await left({ STOP_COMMAND: `${HERE}slow-stop.sh ${file}` });
    const { leader, container } = await last.record();
    await last.agent.kill();
    const notices: string[] = [];
    const [found] = (await open(last, notices)).left;
    expect(found).toMatchObject({ id: container, source: "web" });
    expect(found?.record).toMatchObject({ endpoint: "main/shop/web", version: 1 });
    expect(isAlive(leader.pid)).toBe(true);
    found?.end();
    await untilGone(leader.pid);
    await vi.waitUntil(() => readdirSync(last.directory).length === 0, 15_000);
    expect(existsSync(file)).toBe(true);
    expect(notices).toEqual([]);
  });

  test("has its sessions for its taker, in a file that nobody else reads", async () => {
    const last = await left();
    const { container, leader } = await last.record();
    await last.agent.kill();
    const path = join(last.directory, `${container}.json`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, "utf8")).not.toContain("a-secret");
    const [found] = (await open(last)).left;
    const sessions = [{ idleMs: 0, keys: ["x-session=a-secret"] }];
    expect(found?.takeSessions()).toEqual({ sessions, ofTheBox: [] });
    expect(found?.takeSessions()).toBeUndefined();
    found?.end();
    await untilGone(leader.pid);
  });

  test.each([
    ["are damaged", "unreadable", { sessions: "AAAA" }],
    ["have a form that is not known", undefined, { sessions: { format: 2 } }],
    ["were not noted, as by an older Postern", undefined, { sessions: undefined }],
  ])("is found without its sessions where they %s", async (_how, sessions, change) => {
    const last = await left();
    const { left: noted, leader, container, ...record } = await last.record();
    await last.agent.kill();
    const other = { ...record, leader, container, left: { ...noted, ...change } };
    writeFileSync(join(last.directory, `${container}.json`), JSON.stringify(other));
    const [found] = (await open(last)).left;
    expect(found?.id).toBe(container);
    expect(found?.takeSessions()).toBe(sessions);
    found?.end();
    await untilGone(leader.pid);
  });

  test("is ended where another Postern left it in a form of its own", async () => {
    const last = await left();
    const { leader, container, ...record } = await last.record();
    await last.agent.kill();
    const other = { ...record, leader, container, left: { format: 2 } };
    writeFileSync(join(last.directory, `${container}.json`), JSON.stringify(other));
    const { directory } = last;
    const notice = () => undefined;
    const records = await ProcessRecords.open({ directory, notice, supervisorTimeMs: 50 });
    expect(records.left).toEqual([]);
    expect(isAlive(leader.pid)).toBe(false);
  });
});
