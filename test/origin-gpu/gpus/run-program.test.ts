import { expect, test } from "vitest";
import { programRunner } from "../../../origin-gpu/gpus/run-program.ts";

test("gives output and exit code", async () => {
  const run = programRunner(10_000);
  expect(await run("sh", ["-c", "echo out; echo err >&2; exit 3"])).toEqual({
    exitCode: 3,
    stdout: "out\n",
    stderr: "err\n",
  });
});

test("a program that is not there is absent", async () => {
  expect(await programRunner(10_000)("no-such-program-here", [])).toBe("absent");
});

test("a program that does not end is killed, and is late", async () => {
  const run = programRunner(200);
  expect(await run("sleep", ["60"])).toBe("late");
  await expect.poll(() => run("sleep", ["0"]), { timeout: 5_000 }).toMatchObject({ exitCode: 0 });
});

test("one that outlives the signal is not started again while it lives", async () => {
  const run = programRunner(200, "SIGTERM");
  expect(await run("sh", ["-c", "trap '' TERM; sleep 1; echo done"])).toBe("late");
  expect(await run("sh", ["-c", "echo again"])).toBe("late");
  await expect
    .poll(() => run("sh", ["-c", "echo again"]), { timeout: 10_000 })
    .toMatchObject({ stdout: "again\n" });
});
