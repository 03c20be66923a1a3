/** The Worker's bundle, where the process that makes it is ended. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const PROGRAM = fileURLToPath(new URL("killed-bundler.ts", import.meta.url));

/** Without a mend eleven of twelve ended in the middle of an `await`, with exit code 13. */
const TRIES = 3;

test("a bundle whose process is killed fails with a reason", () => {
  for (let i = 0; i < TRIES; i++) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM], { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toContain("can't bundle the Worker: The service was stopped");
  }
});
