/**
 * The tombstones that an agent leaves which ends in order, in a file of the state directory. The next agent reads it
 * once. A gateway whose request was on its way as the agent ended asks that one. After a kill there is no such file.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { MINUTE_MS } from "../../../base/units.ts";
import { LEFT_TOMBSTONES, type LeftTombstones } from "../tombstones.ts";
import { checkedLine, readCheckedLine } from "./checked-line.ts";
import { type Files, PRIVATE_FILE_MODE, REAL_FILES, removeFile, syncDirectory } from "./files.ts";

const NAME = "tombstones";

/** Longer no gateway asks for a call whose link it lost. An older file may have been brought back by a backup. */
const BELIEVED_MS = MINUTE_MS;

const CONTENT = LEFT_TOMBSTONES.extend({
  /** By the machine's monotonic clock, in milliseconds: nobody sets that one. */
  leftAtMs: z.number(),
});

/** Leaves them to the next agent; where the disk refuses that, there are none. */
export async function leaveTombstones(
  directory: string,
  left: LeftTombstones,
  nowMs = machineMs(),
): Promise<void> {
  const content: z.infer<typeof CONTENT> = { leftAtMs: nowMs, ...left };
  const line = checkedLine(JSON.stringify(content));
  try {
    await writeFile(join(directory, NAME), line, { mode: PRIVATE_FILE_MODE });
  } catch {
    // A part of the line is none.
  }
}

/**
 * Takes what the last agent left, as it is true now: no call came since. It is gone from the disk by then.
 * @returns undefined where there is none, it is damaged or older than a minute, or it can't be removed
 */
export async function takeTombstones(
  directory: string,
  nowMs = machineMs(),
  files: Files = REAL_FILES,
): Promise<LeftTombstones | undefined> {
  const path = join(directory, NAME);
  try {
    const content = await files.readFile(path);
    await removeFile(files, path);
    await syncDirectory(files, directory);
    const json = readCheckedLine(content.subarray(0, -1));
    if (json === undefined) return undefined;
    const { leftAtMs, ...left } = CONTENT.parse(JSON.parse(json.toString()));
    const agoMs = nowMs - leftAtMs;
    if (agoMs < 0 || agoMs >= BELIEVED_MS) return undefined;
    return { ...left, knownForMs: left.knownForMs + agoMs };
  } catch {
    return undefined;
  }
}

/** Counts on from one process to the next, unlike `performance.now()`. */
function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
