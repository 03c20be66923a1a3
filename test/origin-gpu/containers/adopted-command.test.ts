/** A command whose agent goes, and which another agent takes over: as both supervisors do it. */
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, onTestFinished, test, vi } from "vitest";

import { identityOf } from "../../../base/node/process-identity.ts";
import { AdoptedCommand } from "../../../origin-gpu/containers/adopted-command.ts";
import { AGENT_DESCRIPTOR } from "../../../origin-gpu/containers/command-descriptors.ts";
import type {
  CommandPipes,
  LeftDescriptors,
} from "../../../origin-gpu/containers/launched-command.ts";
import { ProcessGroup } from "../../../origin-gpu/containers/process-group.ts";
import { SupervisedCommand, taskOf } from "../../../origin-gpu/containers/supervised-command.ts";
import {
  type CommandSupervisor,
  startSupervisor,
  supervisorsOf,
} from "../../../origin-gpu/containers/supervisor.ts";
import { SupervisorConnection } from "../../../origin-gpu/containers/supervisor-connection.ts";
import { isAlive, untilGone } from "../../support/processes.ts";
import { HERE } from "./endpoint.ts";

const SUPERVISORS = supervisorsOf().map((supervisor) => [supervisor.program, supervisor] as const);
const KEY = "key-of-the-test";

/** A command of an agent that can end without the test. */
class FirstAgent {
  readonly options;
  readonly command: SupervisedCommand;

  constructor(supervisor: CommandSupervisor, script: string) {
    this.options = {
      command: ["sh", "-c", script],
      directory: HERE,
      environment: { PATH: process.env["PATH"] ?? "", MARK: `test-${Math.random()}` },
      markedBy: "MARK",
      withChannel: true,
      isLeavable: true,
    };
    this.command = new SupervisedCommand(supervisor, this.options);
    onTestFinished(async () => {
      this.command.kill();
      this.end();
      await this.command.gone;
    });
  }

  async pipes(): Promise<CommandPipes> {
    const pipes = await this.command.pipes;
    if (pipes === undefined) throw new Error("the command has no pipes");
    return pipes;
  }

  async leave(seconds: number): Promise<LeftDescriptors> {
    const left = await this.command.linger(seconds, KEY);
    if (left === undefined) throw new Error("the supervisor does not linger");
    return left;
  }

  end(): void {
    const { stdio } = this.command.child;
    (stdio[AGENT_DESCRIPTOR] as Duplex).destroy();
    void this.command.pipes.then((pipes) => {
      for (const one of [pipes?.stdout, pipes?.stderr]) one?.destroy();
      for (const one of [pipes?.channel?.reads, pipes?.channel?.writes]) one?.destroy();
    });
  }
}

/** The agent that comes after it. */
class NextAgent {
  readonly lines: string[] = [];
  readonly connection: SupervisorConnection;
  readonly group: ProcessGroup;

  constructor(
    { options, command }: Pick<FirstAgent, "options" | "command">,
    descriptors: LeftDescriptors,
  ) {
    this.connection = SupervisorConnection.open(descriptors);
    const supervisor = identityOf(command.child.pid ?? 0);
    if (supervisor === undefined) throw new Error("the supervisor is gone");
    const adopted = new AdoptedCommand(this.connection, { ...options, descriptors, supervisor });
    const onLine = (line: string) => this.lines.push(line);
    this.group = new ProcessGroup({ ...options, adopted, onLine });
    onTestFinished(() => this.connection.close());
  }

  async printed(line: string): Promise<void> {
    await vi.waitUntil(() => this.lines.includes(line), 15_000);
  }
}

describe.each(SUPERVISORS)("a command under %s that its agent leaves", (_name, supervisor) => {
  test("is taken over with its output, its channel and its end", async () => {
    const first = new FirstAgent(
      supervisor,
      'echo before; read -r line <&4; echo "got $line"; echo answer >&5; echo late >&2; exec sleep 1000',
    );
    const { stdout } = await first.pipes();
    expect(String((await once(stdout, "data"))[0])).toBe("before\n");
    const leader = (await first.command.started) ?? 0;
    const left = await first.leave(30);
    first.end();

    const next = new NextAgent(first, left);
    expect(await next.connection.key).toBe(KEY);
    expect(await next.group.started).toBe(leader);
    const channel = await next.group.channel();
    channel?.writes.write("question\n");
    await next.printed("got question");
    await next.printed("late");
    expect(String((await once(channel?.reads as Duplex, "data"))[0])).toBe("answer\n");
    expect(await next.group.stop("SIGTERM", 5_000)).toBe(true);
    expect(await next.group.exited).toEqual({ code: null, signal: "SIGTERM" });
    expect(isAlive(leader)).toBe(false);
  });

  test("loses no line that it prints between the two", async () => {
    const first = new FirstAgent(
      supervisor,
      "read -r line <&4; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done; exec sleep 1000",
    );
    const { channel, stdout, stderr } = await first.pipes();
    const left = await first.leave(30);
    for (const one of [stdout, stderr]) one.destroy();
    await new Promise((resolve) => channel?.writes.write("go\n", resolve));
    first.end();
    await delay(100);
    const next = new NextAgent(first, left);
    await next.printed("line 20000");
    expect(next.lines).toHaveLength(20_000);
  });

  test("ends with all that it started when nobody comes", async () => {
    const first = new FirstAgent(supervisor, "setsid sleep 1000 & exec sleep 1000");
    const leader = (await first.command.started) ?? 0;
    const left = await first.leave(1);
    first.end();
    await untilGone(leader);
    await untilGone(left.pid);
    await first.command.gone;
  });

  test("that ends meanwhile leaves nothing behind", async () => {
    const first = new FirstAgent(supervisor, "setsid sleep 1000 & read -r line <&4");
    const { channel } = await first.pipes();
    const left = await first.leave(30);
    channel?.writes.end("go\n");
    first.end();
    await untilGone(left.pid);
    await first.command.gone;
  });

  test("ends with the agent that took it over, when that one says nothing", async () => {
    const first = new FirstAgent(supervisor, "exec sleep 1000");
    const leader = (await first.command.started) ?? 0;
    const left = await first.leave(30);
    first.end();
    const reads = SupervisorConnection.open(left);
    await reads.key;
    reads.adopt(left);
    expect(await reads.started).toBe(leader);
    reads.close();
    await untilGone(leader);
    await untilGone(left.pid);
  });

  test("is told to end by a next agent that does not want it", async () => {
    const first = new FirstAgent(supervisor, "exec sleep 1000");
    const leader = (await first.command.started) ?? 0;
    const left = await first.leave(30);
    first.end();
    const connection = SupervisorConnection.open(left);
    connection.kill();
    await connection.closed;
    await untilGone(leader);
  });

  test("can be left again", async () => {
    const first = new FirstAgent(supervisor, "read -r line <&4; echo got $line; exec sleep 1000");
    const left = await first.leave(30);
    first.end();
    const second = new NextAgent(first, left);
    await second.group.started;
    const again = await second.group.leave(30, "another");
    second.connection.close();

    const third = new NextAgent(first, again as LeftDescriptors);
    expect(await third.connection.key).toBe("another");
    (await third.group.channel())?.writes.write("this\n");
    await third.printed("got this");
    await third.group.stop("SIGTERM", 5_000);
  });

  test("prints to its agent where the agent can't open pipes, and is not left", async () => {
    const child = startSupervisor(supervisor, false);
    const agent = child.stdio[AGENT_DESCRIPTOR] as Duplex;
    const command = ["sh", "-c", "echo printed; exec sleep 1000"];
    const environment = { PATH: process.env["PATH"] ?? "" };
    agent.write(taskOf({ ...LAUNCH, command, environment, isLeavable: true }));
    expect(String((await once(agent, "data"))[0])).toMatch(/^pipes \d+ \d+ \d+\n$/);
    agent.write("refused\n");
    const [[printed]] = await Promise.all([
      once(child.stdout as Duplex, "data"),
      once(agent, "data"),
    ]);
    expect(String(printed)).toBe("printed\n");
    agent.destroy();
    await once(child, "exit");
  });
});

const LAUNCH = { command: [], directory: HERE, environment: {}, markedBy: "MARK" } as const;

test("a command without pipes is not left", async () => {
  const [[, supervisor] = []] = SUPERVISORS;
  const options = {
    ...LAUNCH,
    command: ["sleep", "1000"],
    environment: { PATH: process.env["PATH"] ?? "" },
  };
  const command = new SupervisedCommand(supervisor as CommandSupervisor, options);
  onTestFinished(async () => {
    command.kill();
    await command.gone;
  });
  await command.started;
  expect(await command.linger(30, KEY)).toBeUndefined();
});
