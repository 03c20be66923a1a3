import { onTestFinished, describe, expect, test } from "vitest";

import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import type { Container } from "../../../origin-gpu/containers/container.ts";
import { startContainer } from "../../../origin-gpu/containers/start-container.ts";
import { ManagedProcess, isAlive, untilGone } from "../../support/processes.ts";
import { HERE, listening, plainPython, serverEndpoint } from "./endpoint.ts";

interface Started {
  readonly container: Container;
  readonly lines: string[];
}

function start(
  stopCommand: readonly string[],
  { flags = [], ...settings }: Partial<EndpointConfig> & { flags?: string[] } = {},
): Started {
  const lines: string[] = [];
  const container = startContainer({
    endpoint: serverEndpoint(flags, { stopCommand, ...settings }),
    environment: {},
    usePython: plainPython,
    ...listening((line) => lines.push(line)),
  });
  onTestFinished(async () => await container.stop());
  return { container, lines };
}

/** A program that is no process of the container, as what Docker runs for it. */
async function outside(): Promise<ManagedProcess> {
  const managed = new ManagedProcess(["sh", "-c", "echo there; exec sleep 1000"]);
  onTestFinished(async () => await managed.kill());
  await managed.waitForOutput(/^there$/m);
  return managed;
}

describe("a stop_command", () => {
  test("runs before stop_signal, with the container's variables, port and output", async () => {
    const { container, lines } = start([
      "sh",
      "-c",
      'echo "ends $POSTERN_CONTAINER_ID at $PORT, $0"',
      "port=$PORT",
    ]);
    const { port } = new URL((await container.ready).origin);
    await container.stop();
    const said = `ends ${container.id} at ${port}, port=${port}`;
    expect(lines.slice(-2)).toEqual([said, "bye"]);
  });

  test("has ended what is no process of the container when the container has exited", async () => {
    const { pid } = await outside();
    const { container } = start(["kill", `${pid}`]);
    await container.ready;
    await container.stop();
    expect(isAlive(pid)).toBe(false);
  });

  test("runs once, however often the container is stopped", async () => {
    const { container, lines } = start(["echo", "ends"]);
    await container.ready;
    await Promise.all([container.stop(), container.stop()]);
    expect(lines.filter((line) => line === "ends")).toHaveLength(1);
  });

  test.each([
    ["ended by itself", ["--exit-at-start", "3"], 15],
    ["did not become ready", ["--host", "none"], 1],
  ])("runs after a container that %s", async (_what, flags, startupTimeout) => {
    const { container, lines } = start(["echo", "ends"], { flags, startupTimeout });
    await expect(container.ready).rejects.toThrow();
    await container.exited;
    expect(lines).toContain("ends");
  });

  test("has exit_grace_period, then the stop goes on, and says so", async () => {
    const { container, lines } = start(["sleep", "1000"], { exitGracePeriod: 0.2 });
    await container.ready;
    await container.stop();
    expect(lines.slice(-2)).toEqual([
      "postern: stop_command did not end within exit_grace_period, 0.2 s",
      "bye",
    ]);
  });

  test.each([
    ["fails", ["sh", "-c", "exit 3"], "code 3"],
    ["is not there", ["no-such-program"], "code 127"],
  ])("that %s is reported", async (_what, command, how) => {
    const { container, lines } = start(command);
    await container.ready;
    await container.stop();
    expect(lines).toContain(`postern: stop_command ended with ${how}`);
  });

  test("runs when the agent was killed", async () => {
    const { pid } = await outside();
    const agent = new ManagedProcess([process.execPath, `${HERE}agent.ts`], {
      env: { ...process.env, STOP_COMMAND: `kill ${pid}` },
    });
    onTestFinished(() => agent.killTree());
    await agent.waitForOutput(/^ready$/m);
    await agent.kill();
    await untilGone(pid);
  });
});
