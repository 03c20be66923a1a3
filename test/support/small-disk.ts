/** A small file system of its own, for tests that fill a disk. */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { temporaryDirectory } from "./temporary.ts";

export interface SmallDisk {
  readonly path: string;
  /** Takes all the room that there is, also where somebody else takes some of it at the same moment. */
  readonly fill: () => void;
  /** Gives back what `fill` has taken. */
  readonly clear: () => void;
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
  const fillers: string[] = [];
  return {
    path,
    fill: () => {
      const { bavail, bsize } = statfsSync(path);
      const filler = join(path, `filler-${fillers.length}`);
      fillers.push(filler);
      try {
        writeFileSync(filler, Buffer.alloc(bavail * bsize));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
      }
    },
    clear: () => {
      for (const filler of fillers.splice(0)) rmSync(filler);
    },
    unmount: () => void execFileSync("/bin/umount", [path]),
  };
}
