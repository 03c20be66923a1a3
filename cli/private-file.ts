/** Files of a state directory that its owner alone can read. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { codeOf, CommandFailure, reasonOf } from "./failure.ts";

/** Writes a file that its owner alone can read. A reader sees the old text or the new one, never a part. */
export function writePrivate(path: string, content: string): void {
  const temporary = `${path}.new`;
  writeFileSync(temporary, content, { mode: 0o600, flush: true });
  renameSync(temporary, path);
}

/** A file's bytes; undefined where there is none. @throws {CommandFailure} where it can't be read */
export function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return undefined;
    throw new CommandFailure(`can't read ${path}: ${reasonOf(error)}`);
  }
}
