import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";

import { MIB } from "../../../base/units.ts";
import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import { ContainerLogs } from "../../../origin-gpu/logs/container-logs.ts";
import { DiskLogs } from "../../../origin-gpu/logs/disk-logs.ts";
import type { LogRecord } from "../../../origin-gpu/logs/log-record.ts";
import { MemoryLogs } from "../../../origin-gpu/logs/memory-logs.ts";
import { listeners } from "../../../origin-gpu/containers/linux-processes.ts";
import { MAX_LINE_CHARACTERS } from "../../../origin-gpu/containers/output-lines.ts";
import {
  ManagedProcess,
  isAlive,
  openDescriptors,
  processTree,
  untilGone,
} from "../../support/processes.ts";
import { freePort, temporaryDirectory } from "../../support/temporary.ts";
import { HERE, endpointConfig, serverEndpoint } from "./endpoint.ts";
import { start } from "./started.ts";

describe("a start", () => {
  test("is ready when the server takes connections on the port that it was told", async () => {
    const { container } = start(serverEndpoint(["--port", "$PORT"]));
    expect(container.state).toBe("starting");
    expect(container.id).toMatch(/^ct-[0-9a-f]{16}$/);
    const { origin } = await container.ready;
    expect(container.state).toBe("ready");
    expect(origin).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect((await fetch(origin)).status).toBe(200);
  });

  test("waits until the health path answers 200", async () => {
    const { container } = start(serverEndpoint(["--unhealthy", "3"], { healthPath: "/health" }));
    const { origin } = await container.ready;
    expect((await fetch(`${origin}/health`)).status).toBe(200);
  });

  test("finds a server that listens on ::1 alone", async () => {
    const { container } = start(serverEndpoint(["--host", "::1"]));
    const { origin } = await container.ready;
    expect(origin).toMatch(/^http:\/\/\[::1\]:\d+$/);
    expect((await fetch(origin)).status).toBe(200);
  });

  test("uses the fixed port that it was given", async () => {
    const port = await freePort();
    const { container } = start(serverEndpoint([], { port }));
    expect(await container.ready).toEqual({ origin: `http://127.0.0.1:${port}` });
  });

  test("fails at once, with the last lines, when the process ends first", async () => {
    const { container } = start(serverEndpoint(["--exit-at-start", "3"]));
    await expect(container.ready).rejects.toMatchObject({
      name: "StartFailure",
      code: "starting_failed",
      permanent: false,
      message: "ended with code 3 before it was ready",
      lastLines: expect.arrayContaining(["loading weights", "out of memory"]) as unknown,
    });
    expect(container.state).toBe("failed");
  });

  test("fails when the process forks away and ends, and leaves nothing of it behind", async () => {
    const one = start(serverEndpoint(["--daemon"]));
    await expect(one.container.ready).rejects.toMatchObject({
      code: "starting_failed",
      message: "ended with code 0 before it was ready",
    });
    await untilGone(await one.pid("daemon"));
  });

  test("fails when startup_timeout is over, and leaves no process behind", async () => {
    const flags = ["--host", "none", "--child", "group"];
    const one = start(serverEndpoint(flags, { startupTimeout: 1, exitGracePeriod: 0.2 }));
    await expect(one.container.ready).rejects.toMatchObject({
      code: "startup_timeout",
      message: expect.stringMatching(
        /^not ready within startup_timeout, 1 s: nothing takes connections at http:\/\/127\.0\.0\.1:\d+$/,
      ) as unknown,
    });
    expect(one.container.state).toBe("failed");
    for (const whose of ["server", "child"]) await untilGone(await one.pid(whose));
  });

  test("fails clearly when the program does not exist", async () => {
    const kind = { type: "web_server", command: ["no-such-program", "x"] } as const;
    const one = start(endpointConfig({ kind }));
    await expect(one.container.ready).rejects.toMatchObject({
      code: "starting_failed",
      permanent: true,
    });
    expect(one.lines).toEqual(["postern: command not found: no-such-program"]);
  });

  test("fails clearly when the program's file is not executable", async () => {
    const program = join(temporaryDirectory(), "run.sh");
    writeFileSync(program, "#!/bin/sh\n", { mode: 0o644 });
    const one = start(endpointConfig({ kind: { type: "web_server", command: [program] } }));
    await expect(one.container.ready).rejects.toMatchObject({
      code: "starting_failed",
      permanent: true,
    });
    expect(one.lines).toEqual([`postern: ${program} is not executable; chmod +x makes it so`]);
  });

  test("fails clearly when the working directory is gone", async () => {
    const one = start(serverEndpoint([], { directory: `${HERE}gone` }));
    await expect(one.container.ready).rejects.toMatchObject({
      code: "starting_failed",
      permanent: true,
    });
    expect(one.lines).toEqual([
      expect.stringContaining(`postern: can't be started in ${HERE}gone`),
    ]);
  });

  test("takes no other program on the fixed port for the container", async () => {
    const other = createServer();
    onTestFinished(() => void other.close());
    const port = await freePort();
    await new Promise<void>((resolve) => void other.listen(port, "127.0.0.1", resolve));
    const { container } = start(serverEndpoint([], { port }));
    await expect(container.ready).rejects.toMatchObject({
      code: "starting_failed",
      message: `port ${port} is taken by another program`,
    });
    await expect(container.exited).resolves.toEqual({ code: null, signal: null });
  });

  test("that is stopped meanwhile ends as stopped", async () => {
    const { container } = start(serverEndpoint(["--host", "none"]));
    const refused = expect(container.ready).rejects.toMatchObject({
      message: "stopped before it was ready",
    });
    await container.stop();
    await refused;
    expect(container.state).toBe("stopped");
  });
});

describe("the environment", () => {
  test("has the agent's values above the endpoint's, and none of the agent's own settings", async () => {
    process.env["POSTERN_TOKEN_SECRET"] = "as-secret";
    onTestFinished(() => void delete process.env["POSTERN_TOKEN_SECRET"]);
    const one = start(
      serverEndpoint([], { env: { MODEL: "small", POSTERN_APP: "forged", PORT: "1" } }),
      { POSTERN_APP: "app" },
    );
    const environment = await one.environment();
    const { origin } = await one.container.ready;
    expect(environment).toMatchObject({
      MODEL: "small",
      POSTERN_APP: "app",
      PORT: new URL(origin).port,
      POSTERN_CONTAINER_ID: one.container.id,
      HOME: process.env["HOME"],
    });
    expect(environment).not.toHaveProperty("POSTERN_TOKEN_SECRET");
  });
});

describe("a stop", () => {
  test("is polite: the server sees the signal and what it prints last arrives", async () => {
    const one = start(serverEndpoint());
    await one.container.ready;
    await one.container.stop();
    expect(one.lines).toContain("bye");
    await expect(one.container.exited).resolves.toEqual({ code: 0, signal: null });
    expect(one.container.state).toBe("stopped");
  });

  test("uses the endpoint's own signal", async () => {
    const one = start(serverEndpoint([], { stopSignal: "SIGINT" }));
    await one.container.ready;
    await one.container.stop();
    expect(one.lines).toContain("interrupted");
  });

  test("is certain: what ignores the signal is killed after the grace period, children too", async () => {
    const flags = ["--ignore-sigterm", "--child", "group"];
    const one = start(serverEndpoint(flags, { exitGracePeriod: 0.2 }));
    await one.container.ready;
    const pids = [await one.pid("server"), await one.pid("child")];
    await one.container.stop();
    await expect(one.container.exited).resolves.toEqual({ code: null, signal: "SIGKILL" });
    for (const pid of pids) await untilGone(pid);
  });

  test.each(["session", "stranger"])("reaches a child that has left: %s", async (place) => {
    const one = start(serverEndpoint(["--child", place], { exitGracePeriod: 0.2 }));
    await one.container.ready;
    const pid = await one.pid("child");
    await one.container.stop();
    await untilGone(pid);
  });

  test("reaches all that the app has leaked", async () => {
    const one = start(serverEndpoint([], { exitGracePeriod: 0.2 }));
    const { origin } = await one.container.ready;
    const leaked = () => one.lines.filter((line) => line.startsWith("child pid "));
    for (let calls = 0; calls < 3; calls += 1) await fetch(`${origin}/leak`);
    await expect.poll(() => leaked().length).toBe(3);
    const pids = leaked().map((line) => Number(line.split(" ").at(-1)));
    expect(pids.every(isAlive)).toBe(true);
    await one.container.stop();
    expect(pids.filter(isAlive)).toEqual([]);
  });

  test("ends a server that is frozen", async () => {
    const one = start(serverEndpoint(["--child", "group"], { exitGracePeriod: 0.2 }));
    await one.container.ready;
    const pids = [await one.pid("server"), await one.pid("child")];
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    await one.container.stop();
    expect(pids.filter(isAlive)).toEqual([]);
  });

  test("lets a worker finish whose leader is gone already", async () => {
    const worker = `process.on("SIGTERM", () => setTimeout(() => { console.log("finished"); process.exit(); }, 300));
      require("node:http").createServer().listen(process.env.PORT, "127.0.0.1")`;
    const command = ["sh", "-c", `node -e '${worker}'; true`];
    const one = start(endpointConfig({ kind: { type: "web_server", command } }));
    await one.container.ready;
    await one.container.stop();
    expect(one.lines).toContain("finished");
  });

  test("may be asked for twice, and of what has ended", async () => {
    const { container } = start(serverEndpoint());
    await container.ready;
    await Promise.all([container.stop(), container.stop()]);
    await container.stop();
    expect(container.state).toBe("stopped");
  });
});

describe("an end by itself", () => {
  test("is reported with its code, and takes the rest of the group with it", async () => {
    const one = start(serverEndpoint(["--child", "group"]));
    const { origin } = await one.container.ready;
    const child = await one.pid("child");
    await expect(fetch(`${origin}/crash`)).rejects.toThrow();
    await expect(one.unexpected.promise).resolves.toEqual({ code: 7, signal: null });
    expect(one.container.state).toBe("failed");
    await untilGone(child);
  });
});

test("a container that listens on more than loopback is served with a warning, and others without", async () => {
  const quiet = start(serverEndpoint());
  await quiet.container.ready;
  const loud = start(serverEndpoint(["--host", "0.0.0.0"]));
  const { port } = new URL((await loud.container.ready).origin);
  const warning = `postern: warning: it listens on 0.0.0.0:${port}, open to the network`;
  await expect.poll(() => loud.lines.join("\n")).toContain(warning);
  // It was looked at before.
  expect(quiet.lines.filter((line) => line.includes("warning"))).toEqual([]);
  const away = start(inOwnSession(["--host", "0.0.0.0"]));
  await away.container.ready;
  await expect.poll(() => away.lines.join("\n")).toContain("open to the network");
});

/** The server of server.ts, neither in the group nor in the session of the first process. */
function inOwnSession(flags: readonly string[]): EndpointConfig {
  const command = ["setsid", "--wait", "node", `${HERE}server.ts`, ...flags];
  const kind = { type: "web_server", command } as const;
  return endpointConfig({ kind, startupTimeout: 300, exitGracePeriod: 0 });
}

describe("when the agent is killed", () => {
  test.each(["group", "session", "stranger"])(
    "neither the server nor its child survives: %s",
    async (place) => {
      const flags = ["--ignore-sigterm", "--child", place];
      const agent = new ManagedProcess([process.execPath, `${HERE}agent.ts`, ...flags]);
      onTestFinished(() => agent.killTree());
      await agent.waitForOutput(/^ready$/m);
      const pids = await Promise.all(
        ["server", "child"].map(async (whose) =>
          Number((await agent.waitForOutput(new RegExp(`^${whose} pid (\\d+)$`, "m")))[1]),
        ),
      );
      expect(pids.every(isAlive)).toBe(true);
      await agent.kill();
      for (const pid of pids) await untilGone(pid);
    },
  );
});

test.runIf(process.getuid?.() === 0)(
  "an agent that is the first process of its machine leaves no process and no zombie behind",
  async () => {
    const unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"] as const;
    const agent = new ManagedProcess([...unshare, process.execPath, `${HERE}first-process.ts`]);
    onTestFinished(() => agent.killTree());
    expect((await agent.waitForOutput(/^left: (.*)$/m))[1]).toBe("1");
  },
);

test("a server that listens elsewhere is told of before startup_timeout, and then again", async () => {
  const other = await freePort();
  const one = start(serverEndpoint(["--port", `${other}`], { startupTimeout: 7 }));
  const failed = expect(one.container.ready).rejects.toMatchObject({
    code: "startup_timeout",
    message: expect.stringContaining(
      `startup_timeout, 7 s: it listens on 127.0.0.1:${other}, and`,
    ) as unknown,
  });
  await failed;
  const hint = `postern: warning: it listens on 127.0.0.1:${other}, and not on the port that it was given, `;
  expect(one.lines.filter((line) => line.startsWith(hint))).toHaveLength(1);
  expect(one.doubts.map((doubt) => `postern: warning: ${doubt}`)).toEqual(
    one.lines.filter((line) => line.startsWith(hint)),
  );
});

test("a server that loads for longer and has a session of its own is told of when it listens elsewhere", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"], shouldAdvanceTime: true });
  onTestFinished(() => void vi.useRealTimers());
  const other = await freePort();
  const one = start(inOwnSession(["--port", `${other}`, "--listen-late"]));
  void one.container.ready.catch(() => undefined);
  const pid = await one.pid("late");
  vi.advanceTimersByTime(5_000);
  process.kill(pid, "SIGUSR2");
  await vi.waitUntil(() => listeners([pid]).length > 0, { timeout: 10_000 });
  const warnings = () => one.lines.filter((line) => line.includes("warning"));
  expect(warnings()).toEqual([]);
  vi.advanceTimersByTime(10_000);
  expect(warnings()).toEqual([
    expect.stringContaining(`it listens on 127.0.0.1:${other}, and not`),
  ]);
  vi.advanceTimersByTime(120_000);
  expect(warnings()).toHaveLength(1);
});

describe("warm-up requests", () => {
  const get = (path: string) => ({ method: "GET", path, headers: {} }) as const;

  test("are sent one after the other before the container is ready", async () => {
    const body = '{"model":"m"}';
    const one = start(
      serverEndpoint([], {
        warmup: [
          { method: "POST", path: "/echo?1", headers: { "content-type": "text/x" }, body },
          get("/echo?2"),
          { method: "PUT", path: "/echo?3", headers: {}, body: "ü" },
        ],
      }),
    );
    await one.container.ready;
    // The last line may come after the answer.
    const got = () => one.lines.filter((line) => line.startsWith("got "));
    await expect
      .poll(got)
      .toEqual([`got POST /echo?1 text/x ${body}`, "got GET /echo?2 - ", "got PUT /echo?3 - ü"]);
  });

  test.each([
    [get("/status/500"), "warmup[1], GET /status/500, was answered 500"],
    [get("/crash"), "ended with code 7 at warmup[1], GET /crash, before it was ready"],
  ])("fail the start where one of them fails, which is said", async (request, message) => {
    const { container } = start(serverEndpoint([], { warmup: [get("/"), request, get("/hang")] }));
    await expect(container.ready).rejects.toMatchObject({ code: "starting_failed", message });
    await container.exited;
  });

  test("have until startup_timeout", async () => {
    const endpoint = serverEndpoint([], { warmup: [get("/hang")], startupTimeout: 3 });
    const { container } = start(endpoint);
    await expect(container.ready).rejects.toMatchObject({
      code: "startup_timeout",
      message: "not ready within startup_timeout, 3 s: warmup[0], GET /hang, was not answered",
    });
    await container.exited;
  });
});

describe("the log", () => {
  const of = { environment: "main", app: "demo", function: "web", version: 1 };

  /** The log of a container that has ended, and what it said to the operator. */
  async function logged(endpoint: EndpointConfig) {
    const store = new MemoryLogs();
    const logs = new ContainerLogs(store);
    const { container, lines } = start(endpoint, {}, (id) => logs.begin({ container: id, ...of }));
    await container.ready.catch(() => undefined);
    await container.stop();
    const [log] = store.logs;
    const text = await log?.pieces[0]?.read();
    const records = (text ?? "").trim().split("\n");
    return { lines, records: records.map((line) => JSON.parse(line) as LogRecord) };
  }

  test("has both streams of the container, and what became of it", async () => {
    const { records } = await logged(serverEndpoint(["--exit-at-start", "3"]));
    const lines = records.map(({ stream, text }) => `${stream}: ${text}`);
    expect(lines).toContain("stdout: loading weights");
    expect(lines).toContain("stderr: out of memory");
    expect(lines.at(-1)).toMatch(/^postern: postern: failed: .*ended with code 3/);
  });

  test("of a container that failed to start is one file, with the failure, and leaves none open", async () => {
    const directory = temporaryDirectory();
    const logs = new ContainerLogs(await DiskLogs.open({ directory, notice: () => undefined }));
    const before = openDescriptors(process.pid);
    const log = Promise.withResolvers<ReturnType<typeof logs.begin>>();
    const { container } = start(serverEndpoint(["--exit-at-start", "3"]), {}, (id) => {
      const begun = logs.begin({ container: id, ...of });
      log.resolve(begun);
      return begun;
    });
    await expect(container.ready).rejects.toThrow("ended with code 3");
    await container.exited;
    await (
      await log.promise
    ).ended;
    // What is written after the end would be on the disk then.
    await (await log.promise).flushed();
    const names = readdirSync(directory);
    expect(names).toEqual([`${container.id}.0.log`]);
    const text = readFileSync(join(directory, names[0] ?? ""), "utf8");
    expect(text.trimEnd().split("\n").at(-1)).toContain("postern: failed: ");
    await expect.poll(() => openDescriptors(process.pid)).toBeLessThanOrEqual(before);
  });

  /** It never serves, and a busy machine may take long to print what it prints. */
  const shell = (program: string): EndpointConfig => {
    const kind = { type: "web_server", command: ["sh", "-c", program] } as const;
    return endpointConfig({ kind, startupTimeout: 120 });
  };

  /** Prints so many bytes, and no end of a line. */
  const unending = (bytes: number): string => `head -c ${bytes} /dev/zero | tr '\\0' x`;

  test("has the last words of a container that ends without a line's end", async () => {
    const { records } = await logged(shell("printf 'loading weights'; exit 3"));
    expect(records.map(({ text }) => text)).toContain("loading weights");
  });

  test("has a line that does not end in pieces, while it is being printed", async () => {
    const { container, lines } = start(shell(`${unending(20_000)}; exec sleep 1000`));
    const pieces = () => lines.map(({ length }) => length);
    await expect.poll(pieces).toEqual([MAX_LINE_CHARACTERS, MAX_LINE_CHARACTERS]);
    await container.stop();
    expect(pieces().at(-1)).toBe(20_000 - 2 * MAX_LINE_CHARACTERS);
  });

  test("has no more than its rate of a line that does not end, and a neighbour answers meanwhile", async () => {
    const neighbour = start(serverEndpoint());
    const { origin } = await neighbour.container.ready;
    const printed = 64 * MIB;
    const { container, lines } = start(shell(`${unending(printed)}; exec sleep 1000`));
    const isCut = (): boolean => lines.some((line) => line.includes("of stdout were left out"));
    while (!isCut()) expect((await fetch(origin)).status).toBe(200);
    await container.stop();
    const pieces = lines.filter((line) => line.startsWith("x"));
    expect(Math.max(...pieces.map(({ length }) => length))).toBe(MAX_LINE_CHARACTERS);
    expect(pieces.join("").length).toBeLessThan(printed / 2);
  });

  test("has the last words of a container that prints 100 MB, and counts what it lacks", async () => {
    const printed = 1_000_000;
    const program = `yes ${"x".repeat(99)} | head -n ${printed}; echo the end`;
    const { records, lines } = await logged(shell(program));
    expect(records.map(({ text }) => text)).toContain("the end");
    const gaps = lines.filter((line) => line.includes("were left out: they came too fast"));
    const leftOut = gaps.reduce((sum, line) => sum + Number(/\d+/.exec(line)?.[0]), 0);
    expect(leftOut).toBeGreaterThan(printed / 2);
    const passed = lines.filter((line) => line.startsWith("x")).length;
    // A line that is cut by a loss may count twice, and one whose rest begins the newest piece not at all.
    expect(Math.abs(passed + leftOut - printed)).toBeLessThan(printed / 1000);
  });
});

describe("an app that waits for all of its children", () => {
  test("ends when it is asked to: the watcher is none of them", async () => {
    const program = [
      "import http.server, os, signal, sys",
      "def stop(*_):",
      "    try:",
      "        while True: os.wait()",
      "    except ChildProcessError:",
      "        print('no children', flush=True)",
      "        os._exit(0)",
      "signal.signal(signal.SIGTERM, stop)",
      "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler).serve_forever()",
    ].join("\n");
    const command = ["python3", "-c", program];
    const waiting = start(
      endpointConfig({ kind: { type: "web_server", command }, exitGracePeriod: 15 }),
    );
    await waiting.container.ready;
    await waiting.container.stop();
    expect(await waiting.container.exited).toEqual({ code: 0, signal: null });
    expect(waiting.lines).toContain("no children");
  });
});

test("a container that has ended leaves the agent no descriptor and no process", async () => {
  const cycle = async (): Promise<void> => {
    const { container } = start(serverEndpoint());
    await container.ready;
    await container.stop();
  };
  await cycle();
  const before = openDescriptors(process.pid);
  for (let times = 0; times < 5; times += 1) await cycle();
  expect(openDescriptors(process.pid)).toBeLessThanOrEqual(before);
  expect(processTree(process.pid)).toEqual([process.pid]);
});

test("a start with few free descriptors fails and says why, and the next one succeeds", async () => {
  const script = join(HERE, "out-of-descriptors.ts");
  const agent = new ManagedProcess(["/bin/sh", "-c", `ulimit -n 64; exec node ${script}`]);
  onTestFinished(async () => await agent.kill());
  await agent.waitForOutput(/^with enough: ready$/m);
  const starts = [...agent.stdout.matchAll(/^with \d: (.*)$/gm)].map(([, outcome]) => outcome);
  const noPort = /^failed: Error: listen EMFILE: too many open files/;
  const noProcess = "failed: ended with code 71 before it was ready";
  expect(starts[0]).toMatch(noPort);
  expect(starts.at(-1)).toBe(noProcess);
  const others = starts.filter((outcome = "") => !noPort.test(outcome));
  expect(others).toEqual(others.map(() => noProcess));
  const reasons = agent.stdout.match(/^postern: can't be started in .*: spawn \S+ EMFILE$/gm);
  expect(reasons).toHaveLength(others.length);
});
