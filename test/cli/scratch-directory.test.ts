/** Directories of commands that were killed: the next command of their kind removes them, and no other one's. */
import { chownSync, mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { scratchDirectory } from "../../cli/scratch-directory.ts";
import { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const HOLDER = fileURLToPath(new URL("../base/node/lock-holder.ts", import.meta.url));

/** Files as a command leaves them, of an hour ago. */
function left(path: string): string {
  mkdirSync(join(path, "answers"), { recursive: true });
  writeFileSync(join(path, "lock"), "");
  age(path);
  return path;
}

function age(path: string): void {
  const anHourAgo = Date.now() / 1_000 - 3_600;
  utimesSync(path, anHourAgo, anHourAgo);
}

test("what a killed command left is removed; what another one uses, began or owns stays", async () => {
  const parent = temporaryDirectory();
  const at = (name: string) => join(parent, name);
  left(at("postern-serve-gone01"));
  left(at("postern-serve-used01"));
  const lock = join(at("postern-serve-used01"), "lock");
  const holder = new ManagedProcess([process.execPath, HOLDER, lock, "exclusive"]);
  onTestFinished(() => holder.kill());
  await holder.waitForOutput(/held/);
  age(at("postern-serve-used01"));
  mkdirSync(at("postern-serve-young1"));
  writeFileSync(join(at("postern-serve-young1"), "lock"), "");
  mkdirSync(at("postern-serve-other1"));
  age(at("postern-serve-other1"));
  left(at("postern-demo-gone01"));
  left(at("elsewhere"));
  symlinkSync(at("elsewhere"), at("postern-serve-link01"));
  writeFileSync(at("postern-serve-file01"), "");
  const kept = readdirSync(parent).filter((name) => name !== "postern-serve-gone01");

  const made = await scratchDirectory("postern-serve-", parent);
  expect(readdirSync(parent).filter((name) => at(name) !== made)).toEqual(kept);
  expect(readdirSync(at("elsewhere"))).toEqual(["answers", "lock"]);

  await holder.kill();
  // Its other threads may outlive the first one for a moment, and the lock with them.
  await holder.exited;
  age(made);
  await scratchDirectory("postern-serve-", parent);
  expect(readdirSync(parent)).not.toContain("postern-serve-used01");
  expect(readdirSync(made)).toContain("lock");
});

test.runIf(process.getuid?.() === 0)("what another user left stays", async () => {
  const parent = temporaryDirectory();
  chownSync(left(join(parent, "postern-serve-theirs")), 12_345, 12_345);
  await scratchDirectory("postern-serve-", parent);
  expect(readdirSync(parent)).toContain("postern-serve-theirs");
});
