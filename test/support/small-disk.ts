/** A small file system of its own, for tests that fill a disk. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { temporaryDirectory } from "./temporary.ts";

export interface SmallDisk {
  readonly path: string;
  readonly unmount: () => void;
}

/** Mounts a tmpfs of so many KiB; undefined where the machine does not let us. */
export function mountSmallDisk(kib: number): SmallDisk | undefined {
  const path = join(temporaryDirectory(), "disk");
  mkdirSync(path);
  try {
    const options = ["-t", "tmpfs", "-o", `size=${kib}k`, "tmpfs", path];
    execFileSync("/bin/mount", options, { stdio: "ignore" });
  } catch {
    return undefined;
  }
  return { path, unmount: () => void execFileSync("/bin/umount", [path]) };
}
