import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { afterEach, describe, expect, test } from "vitest";

import { AGENT_DESCRIPTOR } from "../../../origin-gpu/containers/command-descriptors.ts";
import { processes } from "../../../origin-gpu/containers/linux-processes.ts";
import {
  ProcessGroup,
  type ProcessGroupOptions,
} from "../../../origin-gpu/containers/process-group.ts";
import { taskOf } from "../../../origin-gpu/containers/supervised-command.ts";
import {
  findSupervisor,
  startSupervisor,
  supervisorsOf,
} from "../../../origin-gpu/containers/supervisor.ts";
import { commandLine, isAlive, parentsOf, untilGone } from "../../support/processes.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { HERE } from "./endpoint.ts";

const SUPERVISORS = supervisorsOf().map((supervisor) => [supervisor.program, supervisor] as const);

class Started {
  readonly lines: string[] = [];
  readonly group: ProcessGroup;
  #changed = Promise.withResolvers<void>();

  constructor(command: readonly string[], options: Partial<ProcessGroupOptions>) {
    this.group = new ProcessGroup({
      command,
      directory: HERE,
      environment: { PATH: process.env["PATH"] ?? "", MARK: `test-${Math.random()}` },
      markedBy: "MARK",
      ...options,
      onLine: (line) => {
        this.lines.push(line);
        this.#changed.resolve();
        this.#changed = Promise.withResolvers();
      },
    });
  }

  /** The number in a line such as `stray pid 17`, once it has been printed. */
  async pid(whose: string): Promise<number> {
    for (;;) {
      const line = this.lines.find((text) => text.startsWith(`${whose} pid `));
      if (line !== undefined) return Number(line.split(" ").at(-1));
      await this.#changed.promise;
    }
  }
}

const started: Started[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map(({ group }) => group.stop("SIGKILL", 0)));
});

function start(
  command: string | readonly string[],
  options: Partial<ProcessGroupOptions> = {},
): Started {
  const words = typeof command === "string" ? ["sh", "-c", command] : command;
  const one = new Started(words, options);
  started.push(one);
  return one;
}

/** Leaves its group, its session, its parent and its environment, and prints its number. */
const STRAY = 'setsid sh -c "env -i sleep 1000 >/dev/null 2>&1 & echo stray pid \\$!"';

describe.each(SUPERVISORS)("a command under %s", (_name, supervisor) => {
  test("is started in a session of its own, with its own words, environment and output", async () => {
    const environment = {
      PATH: process.env["PATH"] ?? "",
      MARK: "own",
      PERL5OPT: "-Mno_such_module",
      LD_LIBRARY_PATH: "/none",
      TEXT: "ä\nb",
    };
    const one = start(
      [process.execPath, "-p", "JSON.stringify([process.argv.slice(1), process.env])", "ö b", ""],
      { supervisor, environment },
    );
    expect(await one.group.exited).toEqual({ code: 0, signal: null });
    const [words, seen] = JSON.parse(one.lines[0] ?? "") as [string[], Record<string, string>];
    expect(words).toEqual(["ö b", ""]);
    expect(seen).toMatchObject(environment);
    expect(Object.keys(seen).filter((name) => name.includes("KEPT"))).toEqual([]);
  });

  test("tells how it ended", async () => {
    expect(await start("exit 7", { supervisor }).group.exited).toEqual({ code: 7, signal: null });
    expect(await start("kill -9 $$", { supervisor }).group.exited).toEqual({
      code: null,
      signal: "SIGKILL",
    });
  });

  test("has ended with what left its group, session and environment", async () => {
    const one = start(`${STRAY}; exec sleep 1000`, { supervisor });
    const stray = await one.pid("stray");
    expect(isAlive(stray)).toBe(true);
    await one.group.stop("SIGTERM", 5_000);
    expect(isAlive(stray)).toBe(false);
  });

  test("that forks away at once has ended with what it left behind", async () => {
    const one = start(STRAY, { supervisor });
    expect(await one.group.exited).toEqual({ code: 0, signal: null });
    expect(isAlive(await one.pid("stray"))).toBe(false);
  });

  test("has ended with a process that has overwritten its name and its environment", async () => {
    const program = `exit if fork; setpgrp; $0 = "x" x 9000; $| = 1; print "stray pid $$\\n"; sleep 1000`;
    const one = start(`perl -e '${program}'; exec sleep 1000`, { supervisor });
    const stray = await one.pid("stray");
    expect(readFileSync(`/proc/${stray}/environ`, "utf8")).not.toContain("MARK=");
    await one.group.stop("SIGTERM", 200);
    expect(isAlive(stray)).toBe(false);
  });

  test("has ended with one that forks away again and again", async () => {
    const program = `$| = 1; print "stray pid $$\\n"; while (1) { exit if fork; setpgrp; select undef, undef, undef, 0.001 }`;
    const name = `again-${process.pid}`;
    const one = start(["perl", "-e", program, name], { supervisor });
    await one.group.leaderExited;
    await one.group.stop("SIGTERM", 0);
    expect(processes().filter((pid) => commandLine(pid).includes(name))).toEqual([]);
  });

  test("may kill its group: its end is seen, and the rest ends", async () => {
    const one = start(`${STRAY}; kill -9 0`, { supervisor });
    expect(await one.group.exited).toEqual({ code: null, signal: "SIGKILL" });
    expect(isAlive(await one.pid("stray"))).toBe(false);
  });

  test.each([
    ["its parent", "$PPID"],
    ["its parent's parent", "$(cut -d ' ' -f 4 /proc/$PPID/stat)"],
  ])("has ended with everything when it kills %s", async (_whom, victim) => {
    const one = start(`${STRAY}; kill -9 ${victim}; exec sleep 1000`, { supervisor });
    await one.group.exited;
    for (const pid of [await one.pid("stray"), (await one.group.started) ?? 0]) {
      expect(isAlive(pid)).toBe(false);
    }
  });

  test("ends with both supervisors, and so does what carries its mark", async () => {
    const one = start(
      `sleep 1000 >/dev/null 2>&1 & echo child pid $!
       kill -9 $(cut -d ' ' -f 4 /proc/$PPID/stat) $PPID; exec sleep 1000`,
      { supervisor },
    );
    await one.group.exited;
    await untilGone(await one.pid("child"));
  });

  test("leaves no zombie of a process that lost its parent", async () => {
    const one = start(`(sh -c 'echo stray pid $$' &); exec sleep 1000`, { supervisor });
    await untilGone(await one.pid("stray"));
  });

  test.each([
    ["within its limit", 5, "echo stopped >$0"],
    ["no longer than its limit", 0.2, "echo stopped >$0; exec sleep 1000"],
  ])("ends after its stop command when the agent is gone, %s", async (_how, limit, script) => {
    const file = join(temporaryDirectory(), "stopped");
    const stop = ["sh", "-c", script, file];
    const child = startSupervisor(supervisor, false);
    const exited = once(child, "exit");
    const pipe = child.stdio[AGENT_DESCRIPTOR] as Duplex;
    pipe.write(
      taskOf({
        command: ["sleep", "1000"],
        directory: HERE,
        environment: { PATH: process.env["PATH"] ?? "" },
        markedBy: "MARK",
        stopCommand: { command: stop, limit },
      }),
    );
    const [line] = (await once(pipe, "data")) as [Buffer];
    pipe.destroy();
    await exited;
    expect(readFileSync(file, "utf8")).toBe("stopped\n");
    expect(isAlive(Number(String(line).split(" ")[1]))).toBe(false);
  });

  test("is stuck while SIGKILL does not end it, and has exited when it is gone", async () => {
    const one = start("exec sleep 1000", { supervisor, killTimeoutMs: 50 });
    const leader = (await one.group.started) ?? 0;
    const supervisors = parentsOf(leader).slice(0, 2);
    for (const pid of supervisors) process.kill(pid, "SIGSTOP");
    expect(await one.group.stop("SIGTERM", 0)).toBe(false);
    expect(isAlive(leader)).toBe(true);
    for (const pid of supervisors) process.kill(pid, "SIGCONT");
    await one.group.exited;
    expect(isAlive(leader)).toBe(false);
  });
});

describe("a command without a supervisor", () => {
  const supervisor = undefined;

  test("ends with its group", async () => {
    const one = start("sleep 1000 & echo child pid $!; exec sleep 1000", { supervisor });
    const child = await one.pid("child");
    await one.group.stop("SIGTERM", 5_000);
    await untilGone(child);
    expect(await one.group.exited).toEqual({ code: null, signal: "SIGTERM" });
  });

  test("ends with what left its group and carries its mark", async () => {
    const one = start(
      'setsid sh -c "sleep 1000 >/dev/null 2>&1 & echo stray pid \\$!"; exec sleep 1000',
      { supervisor },
    );
    const stray = await one.pid("stray");
    await one.group.stop("SIGTERM", 5_000);
    await untilGone(stray);
  });
});

describe("a machine's supervisor", () => {
  const linux = { platform: "linux", arch: "x64", path: "" } as const;

  test("is perl, which starts faster, else python3, else none", () => {
    const has = (...names: string[]) => ({
      ...linux,
      isExecutable: (file: string) => names.some((name) => file.endsWith(`/${name}`)),
    });
    expect(findSupervisor(has("perl", "python3"))?.program).toBe("perl");
    expect(findSupervisor(has("python3"))?.program).toBe("python3");
    expect(findSupervisor(has())).toBeUndefined();
  });

  test("is the system's own before that of an environment, and this one where it is alone", () => {
    const at = (...files: string[]) =>
      findSupervisor({
        ...linux,
        path: "/venv/bin:/opt/bin",
        isExecutable: (file) => files.includes(file),
      })?.command[0];
    expect(at("/venv/bin/python3", "/usr/bin/python3")).toBe("/usr/bin/python3");
    expect(at("/opt/bin/python3")).toBe("/opt/bin/python3");
  });

  test.each([{ platform: "darwin" }, { arch: "ia32" }] as const)("is none on %j", (machine) => {
    expect(findSupervisor({ ...linux, ...machine })).toBeUndefined();
  });
});
