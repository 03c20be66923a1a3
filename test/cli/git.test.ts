/** Which commit a deployment names. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { gitCommit } from "../../cli/git.ts";
import { temporaryDirectory } from "../support/temporary.ts";

function repository(): { directory: string; git: (...args: string[]) => string } {
  const directory = temporaryDirectory();
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", directory, "-c", "user.name=a", "-c", "user.email=a@b", ...args], {
      encoding: "utf8",
    }).trim();
  git("init", "--quiet");
  writeFileSync(join(directory, "server.py"), "app = 1\n");
  git("add", ".");
  git("commit", "--quiet", "-m", "first");
  return { directory, git };
}

test("a clean checkout is its commit, from any folder of it", async () => {
  const { directory, git } = repository();
  const commit = git("rev-parse", "--short", "HEAD");
  mkdirSync(join(directory, "inside"));
  expect(await gitCommit(join(directory, "inside"))).toBe(commit);
});

test("what is not committed, or not even known to git, marks the commit", async () => {
  const { directory, git } = repository();
  const commit = git("rev-parse", "--short", "HEAD");
  writeFileSync(join(directory, "new.py"), "");
  expect(await gitCommit(directory)).toBe(`${commit}*`);
  git("add", ".");
  git("commit", "--quiet", "-m", "second");
  expect(await gitCommit(directory)).not.toContain("*");
  writeFileSync(join(directory, "server.py"), "app = 2\n");
  expect(await gitCommit(directory)).toBe(`${git("rev-parse", "--short", "HEAD")}*`);
});

test("there is no commit outside a repository, nor before its first one", async () => {
  const outside = temporaryDirectory();
  expect(await gitCommit(outside)).toBeUndefined();
  execFileSync("git", ["-C", outside, "init", "--quiet"]);
  expect(await gitCommit(outside)).toBeUndefined();
});
