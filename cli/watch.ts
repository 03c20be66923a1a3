/**
 * Watches an app's files for `postern serve`: tells once when a burst of changes is over. What a change
 * means is its listener's business.
 */
import { relative, sep } from "node:path";
import { watch } from "chokidar";

/** An editor's save is several changes, a checkout hundreds: they are one when none comes for this long. */
const QUIET_MS = 150;

export interface WatchOptions {
  /** Absolute; watched with everything below it. */
  readonly directories: readonly string[];
  /** Single files besides, absolute. */
  readonly files?: readonly string[];
  /** Whether a path, relative to its directory and with forward slashes, is none of the app's. */
  readonly isIgnored: (path: string, isDirectory: boolean) => boolean;
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
  const { directories, files = [], isIgnored, onChange, onError } = options;
  const changed = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const watcher = watch([...directories, ...files], {
    ignoreInitial: true,
    ignored(path, stats) {
      if (stats === undefined || files.includes(path)) return false;
      const directory = directories.find((root) => path.startsWith(root + sep));
      if (directory === undefined) return false;
      const inside = relative(directory, path).split(sep).join("/");
      return isIgnored(inside, stats.isDirectory());
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
  watcher.on("error", (error) => onError(error instanceof Error ? error.message : String(error)));
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
