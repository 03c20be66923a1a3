import { spawn } from "node:child_process";
import { describe, expect, test } from "vitest";

import { identityOf, isRunning } from "../../../base/node/process-identity.ts";

describe("a process's identity", () => {
  test("is its own for as long as it lives", () => {
    const self = identityOf(process.pid);
    expect(self).toBeDefined();
    expect(identityOf(process.pid)).toEqual(self);
    expect(isRunning({ pid: process.pid, started: "another time" })).toBe(false);
  });

  test("ends with the process", async () => {
    const child = spawn(process.execPath, ["-e", "setInterval(() => undefined, 1000)"]);
    const identity = identityOf(child.pid ?? 0);
    expect(identity !== undefined && isRunning(identity)).toBe(true);
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));
    expect(identity !== undefined && isRunning(identity)).toBe(false);
  });
});
