/** Which paths and links a code snapshot may hold: all of them stay within its directory. */
import { posix } from "node:path";

/** Linux takes no longer one. */
const MAX_PATH_BYTES = 4095;

/** Whether a file or link may have this path: relative, in its shortest form, and on one line. */
export function isInsidePath(path: string): boolean {
  return (
    path !== "" &&
    Buffer.byteLength(path) <= MAX_PATH_BYTES &&
    !/[\0\n]/.test(path) &&
    path.split("/").every((name) => name !== "" && name !== "." && name !== "..")
  );
}

/**
 * A link's target in its shortest form; undefined where it may lead out. The directories of `path` must be no links. `..` counts at the front alone:
 * behind a name, which may be a link itself, nobody can tell where it leads without following it.
 */
export function linkTarget(path: string, target: string): string | undefined {
  const names = target.split("/").filter((name) => name !== "" && name !== ".");
  const climbs = names.findIndex((name) => name !== "..");
  const below = climbs === -1 ? [] : names.slice(climbs);
  if (target.startsWith("/") || /[\0\n]/.test(target) || below.includes("..")) return undefined;
  const shortest = names.join("/") || ".";
  const led = posix.join(posix.dirname(path), shortest);
  return led === ".." || led.startsWith("../") ? undefined : shortest;
}
