import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { lock, type LockMode, tryLock } from "../../../base/node/file-lock.ts";
import { ManagedProcess } from "../../support/processes.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

const HOLDER = fileURLToPath(new URL("lock-holder.ts", import.meta.url));

/** Another process that has the lock. */
async function holder(path: string, mode: LockMode): Promise<ManagedProcess> {
  const other = new ManagedProcess([process.execPath, HOLDER, path, mode]);
  onTestFinished(() => other.kill());
  await other.waitForOutput(/held/);
  return other;
}

const file = () => join(temporaryDirectory(), "lock");
const never = new AbortController().signal;

test.each<[LockMode, LockMode, boolean]>([
  ["shared", "shared", true],
  ["shared", "exclusive", false],
  ["exclusive", "shared", false],
  ["exclusive", "exclusive", false],
])("%s by another process and %s here: %s", async (theirs, ours, together) => {
  const path = file();
  await holder(path, theirs);
  const taken = tryLock(path, ours);
  expect(taken !== undefined).toBe(together);
  taken?.release();
});

test("two of one process are two holders", () => {
  const path = file();
  const users = [tryLock(path, "shared"), tryLock(path, "shared")];
  expect(users).not.toContain(undefined);
  users[0]?.release();
  expect(tryLock(path, "exclusive")).toBeUndefined();
  users[1]?.release();
  const alone = tryLock(path, "exclusive");
  expect(alone).toBeDefined();
  expect(tryLock(path, "exclusive")).toBeUndefined();
  alone?.release();
});

test("a lock is free when its holder was killed", async () => {
  const path = file();
  const other = await holder(path, "exclusive");
  const waiting = lock(path, "shared", never);
  await other.kill();
  (await waiting).release();
});

test("nobody waits longer than wanted", async () => {
  const path = file();
  tryLock(path, "exclusive");
  const enough = new AbortController();
  const waiting = lock(path, "shared", enough.signal);
  enough.abort(new Error("enough"));
  await expect(waiting).rejects.toThrow();
  await expect(lock(path, "shared", enough.signal)).rejects.toThrow("enough");
});
