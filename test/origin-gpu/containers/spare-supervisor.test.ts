/** A supervisor that is started before there is a command for it. */
import { once } from "node:events";
import { existsSync } from "node:fs";
import { describe, expect, onTestFinished, test, vi } from "vitest";

import { ProcessGroup } from "../../../origin-gpu/containers/process-group.ts";
import { SpareSupervisor } from "../../../origin-gpu/containers/spare-supervisor.ts";
import { supervisorsOf } from "../../../origin-gpu/containers/supervisor.ts";
import { isAlive, processTree } from "../../support/processes.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { HERE } from "./endpoint.ts";

const SUPERVISORS = supervisorsOf().map((supervisor) => [supervisor.program, supervisor] as const);
const LATER_MS = 5_000;

describe.each(SUPERVISORS)("a spare %s", (_name, supervisor) => {
  test("runs the next command, with its own words, directory, variables and channel", async () => {
    const { spares, started } = await withSpare();
    const lines: string[] = [];
    const group = begin(spares, lines, {
      command: ["sh", "-c", 'echo "$PWD $OWN $LD_LIBRARY_PATH"; read -r line <&4; echo "$line"'],
      environment: { ...PATH, OWN: "ä=\nb", LD_LIBRARY_PATH: "/none" },
      withChannel: true,
    });
    expect(group.supervisor).toBe(started);
    (await group.channel())?.writes.write("question\n");
    expect(await group.exited).toEqual({ code: 0, signal: null });
    expect(lines).toEqual([`${HERE.replace(/\/$/, "")} ä=`, "b /none", "question"]);
  });

  test("leaves a command without a channel none", async () => {
    const { spares } = await withSpare();
    const lines: string[] = [];
    const group = begin(spares, lines, { command: ["sh", "-c", "ls /proc/$$/fd"] });
    expect(await group.channel()).toBeUndefined();
    await group.exited;
    expect(lines.filter((line) => Number(line) > 2 && Number(line) < 10)).toEqual([]);
  });

  test("that was killed is not taken", async () => {
    const { spares, started } = await withSpare();
    process.kill(started, "SIGKILL");
    // Until Node has waited for it: a zombie is still there.
    await vi.waitUntil(() => !existsSync(`/proc/${started}`), 15_000);
    expect(spares.take(supervisor)).toBeUndefined();
  });

  test("ends with its agent's end of its pipe, and when it is closed", async () => {
    const first = await withSpare();
    const child = first.spares.take(supervisor);
    child?.stdio[3]?.destroy();
    if (child?.exitCode === null) await once(child, "exit");
    expect(child?.exitCode).toBe(0);

    const second = await withSpare();
    second.spares.close();
    await vi.waitUntil(() => !isAlive(second.started), 15_000);
  });

  /** After a first command, which had none. */
  async function withSpare(): Promise<{ spares: SpareSupervisor; started: number }> {
    const clock = new VirtualClock();
    const spares = new SpareSupervisor(clock.timer);
    onTestFinished(() => spares.close());
    const before = processTree(process.pid);
    expect(spares.take(supervisor)).toBeUndefined();
    await clock.advance(LATER_MS);
    const started = processTree(process.pid).find((pid) => !before.includes(pid)) ?? 0;
    return { spares, started };
  }

  function begin(
    spares: SpareSupervisor,
    lines: string[],
    options: Partial<ConstructorParameters<typeof ProcessGroup>[0]>,
  ): ProcessGroup {
    return new ProcessGroup({
      command: [],
      directory: HERE,
      environment: PATH,
      markedBy: "MARK",
      ...options,
      spares,
      supervisor,
      onLine: (line) => lines.push(line),
    });
  }
});

const PATH = { PATH: process.env["PATH"] ?? "" };
