/** `postern up` from its first line to its last, with an app that the test answers for. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { isAlive, processTree, type ManagedProcess } from "../support/processes.ts";
import { RawConnection } from "../support/raw-http.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { postern, startPostern } from "./postern.ts";

/** How long a test waits for what comes at once on a machine that has nothing else to do. */
const BUSY_MACHINE_MS = 120_000;

/** Far below the 30 s that a slow request once took, far above what a busy machine needs. */
const AT_ONCE_MS = 10_000;

interface HeldApp {
  readonly port: number;
  /** The next request, for the test to answer. */
  next(): Promise<ServerResponse>;
}

/** An app that answers nothing by itself. */
async function startApp(): Promise<HeldApp> {
  const held: ServerResponse[] = [];
  let came = Promise.withResolvers<void>();
  const server = createServer((_, response) => {
    held.push(response);
    came.resolve();
    came = Promise.withResolvers<void>();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    port: (server.address() as AddressInfo).port,
    async next() {
      while (held.length === 0) await came.promise;
      return held.shift() as ServerResponse;
    },
  };
}

async function startUp(
  app: HeldApp,
  flags: readonly string[] = [],
): Promise<{ up: ManagedProcess; host: string; port: number }> {
  const cwd = temporaryDirectory();
  const config = `
    app = "shop"
    [[endpoint]]
    function = "web"
    upstream = "http://127.0.0.1:${app.port}"
    max_inputs = 10
  `;
  writeFileSync(join(cwd, "postern.toml"), config);
  const args = ["up", "--config", "postern.toml", "--port", "0", ...flags];
  const up = startPostern(args, { cwd });
  const [, host = "", port = ""] = await up.waitForOutput(
    /http:\/\/(local--[a-z-]+\.localhost:(\d+))/,
  );
  return { up, host, port: Number(port) };
}

async function request(host: string, port: number): Promise<RawConnection> {
  const client = await RawConnection.connect(port);
  client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  return client;
}

test("prints each URL on stdout with a curl line; Ctrl-C waits for the answer under way", async () => {
  const app = await startApp();
  const { up, host, port } = await startUp(app);
  expect(host).toBe(`local--shop-web.localhost:${port}`);
  const tree = processTree(up.pid);
  const client = await request(host, port);
  const held = await app.next();
  process.kill(up.pid, "SIGINT");
  await up.waitForErrorOutput(/finishing what is under way/);
  held.end("done");
  expect(await client.response()).toMatchObject({ status: 200, body: Buffer.from("done") });
  expect(await up.exited).toEqual({ code: 0, signal: null });
  expect(up.stdout.split("\n")).toEqual([
    `http://${host}`,
    expect.stringMatching(
      /^ {2}curl (?:--resolve \S+ )?http:\/\/local--shop-web\.localhost:\d+\/$/,
    ),
    "",
  ]);
  expect(tree.filter(isAlive)).toEqual([]);
});

test("Ctrl-C waits for an answer that does not end as long as for any other, and no longer", async () => {
  const app = await startApp();
  const { up, host, port } = await startUp(app);
  const client = await request(host, port);
  (await app.next()).write("the beginning");
  const stoppedAt = performance.now();
  process.kill(up.pid, "SIGINT");
  expect(await up.exited).toEqual({ code: 0, signal: null });
  expect((performance.now() - stoppedAt) / 1_000).toBeLessThan(20);
  expect((await client.response()).ending).not.toBe("complete");
}, 60_000);

test(
  "a second Ctrl-C ends at once, with exit code 1 and a break for the client",
  async () => {
    const app = await startApp();
    const { up, host, port } = await startUp(app);
    const tree = processTree(up.pid);
    const client = await request(host, port);
    await app.next();
    process.kill(up.pid, "SIGINT");
    await up.waitForErrorOutput(/finishing what is under way/);
    // What comes within 300 ms counts as the same key press: the terminal and npm both pass one on.
    await delay(400);
    expect(up.alive).toBe(true);
    const insistedAt = performance.now();
    process.kill(up.pid, "SIGINT");
    // Code 1 tells this end from the polite one, which is that of the first signal.
    expect(await up.exited).toEqual({ code: 1, signal: null });
    expect(performance.now() - insistedAt).toBeLessThan(AT_ONCE_MS);
    await client.ending(BUSY_MACHINE_MS);
    // SIGKILL takes its moment too.
    await expect.poll(() => tree.filter(isAlive), { timeout: BUSY_MACHINE_MS }).toEqual([]);
  },
  BUSY_MACHINE_MS,
);

test("each line that it prints while it runs begins with its time", async () => {
  const startedAt = Date.now();
  const { up } = await startUp(await startApp());
  process.kill(up.pid, "SIGINT");
  expect((await up.exited).code).toBe(0);
  const lines = up.stderr.trimEnd().split("\n");
  const sinceUp = lines.slice(lines.findIndex((line) => line.includes("keys included")));
  expect(sinceUp.at(-1)).toMatch(/ finishing what is under way; /);
  for (const line of sinceUp) {
    const [, time = ""] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) \S/.exec(line) ?? [];
    expect(Date.parse(time), line).toBeGreaterThanOrEqual(startedAt);
    expect(Date.parse(time), line).toBeLessThanOrEqual(Date.now());
  }
});

test("--json prints one object", async () => {
  const app = await startApp();
  const { up, host, port } = await startUp(app, ["--json"]);
  expect(JSON.parse(up.stdout)).toEqual({
    gateway: `http://localhost:${port}`,
    urls: [{ function: "web", url: `http://${host}` }],
  });
});

test("serves its app in the environment of POSTERN_ENVIRONMENT, and in no other one instead", async () => {
  const env = { POSTERN_ENVIRONMENT: "nowhere" };
  const { code, stdout, stderr } = await postern(["up", "--port", "0"], { env });
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/there is no environment nowhere\n$/);
});

test("without --config it says that the postern.toml beside it is not what it serves", async () => {
  const { port } = await startApp();
  const cwd = temporaryDirectory();
  writeFileSync(join(cwd, "postern.toml"), 'app = "shop"\n');
  const { code, stderr } = await postern(["up", "--port", String(port)], { cwd });
  expect(code).toBe(1);
  expect(stderr.split("\n")).toEqual([
    "this is the demo; --config postern.toml serves the app that is described here",
    `postern: port ${port} is already taken; choose another with --port`,
    "",
  ]);
});

test("each of several mistakes has a line that begins with its place", async () => {
  const cwd = temporaryDirectory();
  const file = 'app = "a b"\n[[endpoint]]\nfunction = "f"\nasgi = "m:a"\ntimeout = 0\n';
  writeFileSync(join(cwd, "postern.toml"), file);
  const { code, stderr } = await postern(["up", "--config", "postern.toml"], { cwd });
  expect(code).toBe(1);
  expect(stderr.split("\n")).toEqual([
    "postern: 2 mistakes",
    expect.stringMatching(/^postern\.toml:1: app = "a b": must be /),
    expect.stringMatching(/^postern\.toml:5: endpoint\.f\.timeout = 0: must be /),
    "",
  ]);
});

test("a public base domain without TLS or a proxy: a notice, and a curl line that works here", async () => {
  const app = await startApp();
  const cwd = temporaryDirectory();
  const config = `app = "shop"\n[[endpoint]]\nfunction = "web"\nupstream = "http://127.0.0.1:${app.port}"\n`;
  writeFileSync(join(cwd, "postern.toml"), config);
  const args = ["--config", "postern.toml", "--port", "0", "--base-domain", "example.com"];
  const up = startPostern(["up", ...args], { cwd });
  const [, line = ""] = await up.waitForOutput(/^ {2}(curl .*)$/m);
  expect(up.stdout).toContain("https://local--shop-web.example.com\n");
  expect(up.stderr.match(/plain HTTP at http:\/\/127\.0\.0\.1:\d+ alone/g)).toHaveLength(1);
  const asked = promisify(execFile)("sh", ["-c", `${line} --silent --max-time 60`]);
  (await app.next()).end("hello");
  expect((await asked).stdout).toBe("hello");
}, 60_000);
