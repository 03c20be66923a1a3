/**
 * Tells a watcher of files which paths of a directory are not its code. walk.ts leaves out the same paths. The
 * ignore files of a directory are read once: when the first path in the directory is asked about.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { IgnoreRules } from "./ignore-rules.ts";
import { rulesAbove, whyNotCode } from "./walk.ts";

/** @param path from the directory, with slashes and none at the end */
export type IsNotCode = (path: string, isDirectory: boolean) => boolean;

/** @param directory absolute */
export async function notCodeOf(directory: string): Promise<IsNotCode> {
  const { rules: above, base } = await rulesAbove(directory);
  const known = new Map<string, IgnoreRules>();
  const rulesIn = (folder: string): IgnoreRules => {
    const present = known.get(folder);
    if (present !== undefined) return present;
    const parent = folder === "" ? above : rulesIn(parentOf(folder));
    const rules = parent.with((base + folder).replace(/\/$/, ""), {
      gitignore: readIfThere(join(directory, folder, ".gitignore")),
      posternignore: readIfThere(join(directory, folder, ".posternignore")),
    });
    known.set(folder, rules);
    return rules;
  };
  return (path, isDirectory) => {
    const has = (name: string) => existsSync(join(directory, path, name));
    if (isDirectory && whyNotCode(has) !== undefined) return true;
    return rulesIn(parentOf(path)).ignores(base + path + (isDirectory ? "/" : ""));
  };
}

function parentOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}

/** The file's text; undefined for a file that can't be read, which then has no rules. */
function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
