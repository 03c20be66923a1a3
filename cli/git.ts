/** Asks git for a directory's commit, for a deployment's history. Works without git. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";

const TIMEOUT_MS = 10_000;

const MAX_STATUS_BYTES = 16 * 1024 * 1024;

/** The short hash, with a `*` where something is not committed; undefined outside a repository. */
export async function gitCommit(directory: string): Promise<string | undefined> {
  const git = async (...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)("git", ["-C", directory, ...args], {
      // Takes no lock: another git in this repository must not wait for this one.
      env: { ...process.env, GIT_OPTIONAL_LOCKS: "0" },
      timeout: TIMEOUT_MS,
      maxBuffer: MAX_STATUS_BYTES,
    });
    return stdout.trim();
  };
  try {
    const commit = await git("rev-parse", "--short", "HEAD");
    return (await git("status", "--porcelain")) === "" ? commit : `${commit}*`;
  } catch {
    // No git, no repository, or no commit in it yet.
    return undefined;
  }
}
