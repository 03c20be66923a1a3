import { createServer } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";

import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import { ownerProblem } from "../../../origin-gpu/containers/port-owner.ts";
import { ManagedProcess } from "../../support/processes.ts";
import { freePort } from "../../support/temporary.ts";
import { endpointConfig, HERE, serverEndpoint } from "./endpoint.ts";
import { start, type Started } from "./started.ts";

/** Listens as a program that has nothing to do with the container. Resolves at each connection. */
async function stranger(port: number, host: string): Promise<{ asked: Promise<void> }> {
  const asked = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end("HTTP/1.1 200 OK\r\n\r\n");
    asked.resolve();
  });
  await new Promise<void>((resolve) => {
    server.listen({ port, host, ipv6Only: host === "::1" }, resolve);
  });
  onTestFinished(() => void server.close());
  return { asked: asked.promise };
}

/** A server that is started after the container, and is none of its processes. */
async function elsewhere(
  port: number,
  { environment = {}, inside = [] }: { environment?: NodeJS.ProcessEnv; inside?: string[] } = {},
): Promise<void> {
  const server = [process.execPath, `${HERE}server.ts`, "--port", `${port}`];
  const [program = "", ...words] = [...inside, ...server];
  const managed = new ManagedProcess([program, ...words], {
    env: { ...process.env, ...environment },
  });
  onTestFinished(() => managed.kill());
  await managed.waitForOutput(/^server pid/m);
}

/** Its own server listens when it is told to, by a signal to the process `late`. */
function startLate(port: number, settings: Partial<EndpointConfig> = {}): Started {
  return start(serverEndpoint(["--port", `${port}`, "--listen-late"], { port, ...settings }));
}

describe("a container beside other programs", () => {
  test("may be served by the daemon of rootless Docker, which is older", async () => {
    const port = await freePort();
    const daemon = new ManagedProcess([
      process.execPath,
      "-e",
      `process.title = "rootlesskit";
      process.on("SIGUSR2", () => require("node:http").createServer().listen(${port}, "127.0.0.1"));
      setInterval(() => undefined, 1000);
      console.log("there");`,
    ]);
    onTestFinished(() => daemon.kill());
    await daemon.waitForOutput(/^there$/m);
    const own = startLate(port);
    await own.pid("late");
    process.kill(daemon.pid, "SIGUSR2");
    expect(await own.container.ready).toEqual({ origin: `http://127.0.0.1:${port}` });
  });

  test("is not the one that stood at [::1] before, but its own process", async () => {
    const port = await freePort();
    await stranger(port, "::1");
    const own = startLate(port);
    process.kill(await own.pid("late"), "SIGUSR2");
    expect(await own.container.ready).toEqual({ origin: `http://127.0.0.1:${port}` });
  });

  test("is not the one that took [::1] after the start, but its own process", async () => {
    const port = await freePort();
    const own = startLate(port);
    const pid = await own.pid("late");
    const { asked } = await stranger(port, "::1");
    await asked;
    process.kill(pid, "SIGUSR2");
    expect(await own.container.ready).toEqual({ origin: `http://127.0.0.1:${port}` });
  });

  test.each(["127.0.0.1", "0.0.0.0", "::1", "::"])(
    "is none where another program took %s after the start",
    async (host) => {
      const port = await freePort();
      const own = startLate(port, { startupTimeout: 6 });
      await own.pid("late");
      const { asked } = await stranger(port, host);
      await asked;
      await expect(own.container.ready).rejects.toMatchObject({
        code: "startup_timeout",
        message: expect.stringContaining("another program listens at http://") as unknown,
      });
    },
  );

  test("is told of that program, and not of another port that it has opened itself", async () => {
    const [port, other] = [await freePort(), await freePort()];
    const own = start(serverEndpoint(["--port", `${other}`], { port, startupTimeout: 7 }));
    await own.pid("server");
    await elsewhere(port);
    const message = `another program listens at http://127.0.0.1:${port}, and no process of the container;`;
    await expect(own.container.ready).rejects.toMatchObject({
      message: expect.stringContaining(`startup_timeout, 7 s: ${message}`) as unknown,
    });
    const warning = `postern: warning: ${message}`;
    expect(own.lines.filter((line) => line.startsWith(warning))).toHaveLength(1);
  });

  test("is none where another container took its port", async () => {
    const port = await freePort();
    const own = startLate(port, { startupTimeout: 6 });
    await own.pid("late");
    await elsewhere(port, { environment: { POSTERN_CONTAINER_ID: "ct-other" } });
    await expect(own.container.ready).rejects.toMatchObject({
      message: expect.stringContaining("another program listens at") as unknown,
    });
  });

  test.runIf(process.getuid?.() === 0)("is none where another user took its port", async () => {
    const port = await freePort();
    const own = startLate(port, { startupTimeout: 6 });
    await own.pid("late");
    await elsewhere(port, { inside: ["setpriv", "--reuid=nobody", "--clear-groups", "--"] });
    await expect(own.container.ready).rejects.toMatchObject({
      message: expect.stringContaining("another program listens at") as unknown,
    });
  });

  test("may be a server that was started for it elsewhere, where a stop_command ends it", async () => {
    const port = await freePort();
    const own = startLate(port, { stopCommand: ["true"] });
    await own.pid("late");
    await elsewhere(port);
    expect(await own.container.ready).toEqual({ origin: `http://127.0.0.1:${port}` });
  });

  test("may be a program that left its group and session, with an empty environment", async () => {
    const port = await freePort();
    const server = `env -i setsid ${process.execPath} ${HERE}server.ts --port ${port}`;
    const command = ["sh", "-c", `(${server} &); exec sleep 1000`];
    const kind = { type: "web_server", command, port } as const;
    // It hears no signal of its group.
    const own = start(endpointConfig({ kind, exitGracePeriod: 0.2 }));
    expect(await own.container.ready).toEqual({ origin: `http://127.0.0.1:${port}` });
  });

  test("may be a program that a daemon runs for it, with its id in the environment", async () => {
    const port = await freePort();
    const own = startLate(port);
    await own.pid("late");
    await elsewhere(port, { environment: { POSTERN_CONTAINER_ID: own.container.id } });
    expect(await own.container.ready).toEqual({ origin: `http://127.0.0.1:${port}` });
  });

  test.each(["dockerd", "containerd-shim"])("may be a child of %s", async (engine) => {
    const port = await freePort();
    const own = startLate(port);
    await own.pid("late");
    const parent = new ManagedProcess([
      process.execPath,
      "-e",
      `process.title = "${engine}";
      const words = ["${HERE}server.ts", "--port", "${port}"];
      require("node:child_process").spawn(process.execPath, words, { stdio: "inherit" });`,
    ]);
    onTestFinished(() => parent.killTree());
    expect(await own.container.ready).toEqual({ origin: `http://127.0.0.1:${port}` });
  });

  test.runIf(process.getuid?.() === 0)("may be in another namespace of processes", async () => {
    const port = await freePort();
    const own = startLate(port);
    await own.pid("late");
    await elsewhere(port, { inside: ["unshare", "--pid", "--fork", "--kill-child"] });
    expect(await own.container.ready).toEqual({ origin: `http://127.0.0.1:${port}` });
  });
});

test("a program of its user is another one, if a supervisor keeps the container's processes together", async () => {
  const leader = new ManagedProcess(["sleep", "1000"]);
  onTestFinished(() => leader.kill());
  const port = await freePort();
  await elsewhere(port);
  const origin = `http://127.0.0.1:${port}`;
  const container = { id: "ct-1", leader: leader.pid, endpoint: serverEndpoint(), user: undefined };
  const problem = (supervisor: number | undefined): string | undefined =>
    ownerProblem(origin, { ...container, supervisor });
  // From when on it listens.
  await expect
    .poll(() => problem(leader.pid))
    .toBe(
      `another program listens at ${origin}, and no process of the container; a server that its command starts elsewhere needs a stop_command`,
    );
  expect(problem(undefined)).toBeUndefined();
});
