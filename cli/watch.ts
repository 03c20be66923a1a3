/**
 * Watches an app's files for `postern serve`: tells once when a burst of changes is over. The listener decides
 * about a change.
 */
import { fstatSync, type Stats } from "node:fs";
import { relative, sep } from "node:path";
import { watch } from "chokidar";
import { messageOf } from "../base/thrown.ts";

/** An editor's save is several changes, a checkout hundreds: they are one when none comes for this long. */
const QUIET_MS = 150;

/** @param path from the directory, with slashes */
export type IsIgnored = (path: string, isDirectory: boolean) => boolean;

export interface WatchOptions {
  /** By absolute directory, watched with everything below it: which paths in it are none of the app's. */
  readonly directories: ReadonlyMap<string, IsIgnored>;
  /** Single files besides, absolute. */
  readonly files?: readonly string[];
  /**
   * Descriptors that this process writes its lines to (stdout and stderr): as `serve > serve.log` they are
   * files that change whenever a change is told.
   */
  readonly outputs?: readonly number[];
  /** Absolute paths that were made, changed or removed, each once. */
  readonly onChange: (paths: string[]) => void;
  /** Watching failed, as when the system has no more watches to give: changes are not noticed any more. */
  readonly onError: (reason: string) => void;
}

export interface Watcher {
  close(): Promise<void>;
}

/** Starts watching; resolves when every later change will be noticed. */
export async function watchFiles(options: WatchOptions): Promise<Watcher> {
  const { directories, files = [], outputs = [1, 2], onChange, onError } = options;
  const written = new Set(outputs.map((descriptor) => identityOf(fstatSync(descriptor))));
  const changed = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const watcher = watch([...directories.keys(), ...files], {
    ignoreInitial: true,
    ignored(path, stats) {
      if (stats === undefined || files.includes(path)) return false;
      if (stats.isFile() && written.has(identityOf(stats))) return true;
      for (const [directory, isIgnored] of directories) {
        if (!path.startsWith(directory + sep)) continue;
        const inside = relative(directory, path).split(sep).join("/");
        if (!isIgnored(inside, stats.isDirectory())) return false;
      }
      return !directories.has(path);
    },
  });
  const noticed = (path: string): void => {
    changed.add(path);
    clearTimeout(timer);
    timer = setTimeout(() => {
      const paths = [...changed].toSorted();
      changed.clear();
      onChange(paths);
    }, QUIET_MS);
  };
  watcher.on("add", noticed).on("change", noticed).on("unlink", noticed);
  watcher.on("error", (error) => onError(messageOf(error)));
  await new Promise<void>((resolve) => {
    watcher.once("ready", resolve);
  });
  return {
    async close() {
      clearTimeout(timer);
      await watcher.close();
    },
  };
}

/** Tells a file from every other one, whatever it is called. */
function identityOf({ dev, ino }: Pick<Stats, "dev" | "ino">): string {
  return `${dev}:${ino}`;
}
