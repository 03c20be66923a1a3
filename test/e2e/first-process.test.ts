/** The command as process 1 of a container, with a namespace of processes in the container's place. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { ROOT, WORKSPACE, webServer, writeConfig } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import { ManagedProcess, processTree, untilGone } from "../support/processes.ts";
import { freePort, temporaryDirectory } from "../support/temporary.ts";

const UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"] as const;

/** Leaves an orphan for each request, and dies at /die. */
const SERVER = `
  const { spawnSync } = require("node:child_process");
  require("node:http").createServer(({ url }, response) => {
    if (url === "/die") process.exit(1);
    spawnSync("sh", ["-c", "(sleep 0 &)"]);
    response.end();
  }).listen(process.env.PORT, "127.0.0.1");
`;

interface Container {
  readonly unshare: ManagedProcess;
  /** Process 1 by its number outside. */
  readonly first: number;
  readonly address: Address;
}

/** @param command before the arguments of `postern` */
async function startContainer(command: readonly string[]): Promise<Container> {
  const port = await freePort();
  const config = writeConfig([webServer({ web_server: ["node", "-e", SERVER] })]);
  const state = join(temporaryDirectory(), "state");
  const flags = ["up", "--config", config, "--port", `${port}`, "--state", state];
  const unshare = new ManagedProcess([...UNSHARE, ...command, ...flags], {
    cwd: temporaryDirectory(),
    env: process.env,
  });
  onTestFinished(() => unshare.killTree());
  await unshare.waitForErrorOutput(/postern: ready/);
  const [, first = 0] = processTree(unshare.pid);
  const host = `${WORKSPACE}--e2e-web.localhost:${port}`;
  return { unshare, first, address: { port, host } };
}

/** Ended children of a process for which it has not waited. */
function zombiesOf(parent: number): number {
  return readdirSync("/proc").filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      const [state, ppid] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return state === "Z" && Number(ppid) === parent;
    } catch {
      return false;
    }
  }).length;
}

test.each(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"] as const)(
  "%s gets through the shell to the command, whose exit code is the shell's",
  async (signal) => {
    const told = `process.on("${signal}", () => process.exit(7)); console.error("there"); setInterval(() => {}, 1000)`;
    const shell = join(ROOT, "cli/first-process.sh");
    const first = new ManagedProcess(["sh", shell, process.execPath, "-e", told], {
      cwd: temporaryDirectory(),
      env: process.env,
    });
    onTestFinished(() => first.killTree());
    await first.waitForErrorOutput(/there/);
    process.kill(first.pid, signal);
    expect(await first.exited).toEqual({ code: 7, signal: null });
  },
);

describe.runIf(process.getuid?.() === 0)("as process 1", () => {
  test("the command leaves no ended process behind, and ends by a signal", async () => {
    const { first, address, unshare } = await startContainer([
      process.execPath,
      join(ROOT, "cli/postern.js"),
    ]);
    for (const path of ["/", "/", "/die", "/"]) await send(address, path);
    await expect.poll(() => zombiesOf(first)).toBe(0);
    expect(unshare.stderr).not.toContain("process 1");
    process.kill(first, "SIGTERM");
    expect(await unshare.exited).toEqual({ code: 0, signal: null });
    expect(unshare.stderr).toContain("finishing what is under way");
    await untilGone(first);
  });

  test("of another Node, it says that an init is missing", async () => {
    const start = `require("node:child_process").spawn(process.execPath, process.argv.slice(1), { stdio: "inherit" })`;
    const { unshare } = await startContainer([
      process.execPath,
      "-e",
      start,
      join(ROOT, "cli/postern.js"),
    ]);
    await unshare.waitForErrorOutput(/process 1 of this container is Node, .* docker run --init/);
  });
});
