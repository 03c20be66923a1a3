/** Which paths and links a code snapshot may hold: all of them stay within its directory. */
import { posix } from "node:path";

/** Linux refuses a longer path. */
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
 * A link's target in its shortest form; undefined where it may lead out. No directory of `path` may be a link.
 * `..` is accepted only at the front of the target. After a name its place is unknown: the name may be a link.
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
