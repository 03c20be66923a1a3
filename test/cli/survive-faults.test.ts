/** A real process with real faults: which of them end it. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const COMMAND = fileURLToPath(new URL("faulty-command.ts", import.meta.url));

const START = fileURLToPath(new URL("faulty-start.ts", import.meta.url));

function run(...faults: string[]): { status: number | null; stdout: string } {
  return spawnSync(process.execPath, [COMMAND, ...faults], { encoding: "utf8" });
}

test("a promise without an owner and a full disk are said, and the command goes on", () => {
  const { status, stdout } = run("rejection", "disk");
  expect(stdout).toContain("a fault that nothing handled: Error: a promise without an owner");
  expect(stdout).toContain("a fault that nothing handled: Error: ENOSPC");
  expect(stdout).toContain("still running");
  expect(status).toBe(0);
});

test("an error that leaves an unknown state is said, and ends the command", () => {
  const { status, stdout } = run("bug");
  expect(stdout).toContain("a fault that nothing handled: TypeError: undefined is not a function");
  expect(stdout).not.toContain("still running");
  expect(status).toBe(1);
});

test("a fault while the agent starts is said, and the start goes on", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [START], { encoding: "utf8" });
  expect(stderr).toContain("a fault that nothing handled: Error: a promise without an owner");
  expect(stdout).toContain("still starting");
  expect(status).toBe(0);
});
