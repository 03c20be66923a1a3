import {
  closeSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { watchFiles, type WatchOptions } from "../../cli/watch.ts";
import { temporaryDirectory } from "../support/temporary.ts";

interface Watched {
  readonly directory: string;
  /** The paths of the next burst of changes, relative to the directory. */
  readonly next: () => Promise<string[]>;
}

async function watched(options: Partial<WatchOptions> = {}): Promise<Watched> {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, "ignored"));
  const bursts: string[][] = [];
  let came = Promise.withResolvers<void>();
  const watcher = await watchFiles({
    directories: new Map([
      [directory, (path: string) => path === "ignored" || path.endsWith(".log")],
    ]),
    onChange(paths) {
      bursts.push(paths.map((path) => path.slice(directory.length + 1)));
      came.resolve();
      came = Promise.withResolvers<void>();
    },
    onError(reason) {
      throw new Error(reason);
    },
    ...options,
  });
  onTestFinished(() => watcher.close());
  return {
    directory,
    async next() {
      while (bursts.length === 0) await came.promise;
      return bursts.shift() as string[];
    },
  };
}

test("a burst of changes is told once, with each path once", async () => {
  const { directory, next } = await watched();
  mkdirSync(join(directory, "package"));
  writeFileSync(join(directory, "package", "module.py"), "one");
  writeFileSync(join(directory, "server.py"), "one");
  writeFileSync(join(directory, "server.py"), "two");
  expect(await next()).toEqual(["package/module.py", "server.py"]);
});

test("a file that is replaced by a rename, as editors save, is noticed", async () => {
  const { directory, next } = await watched();
  writeFileSync(join(directory, "server.py"), "one");
  expect(await next()).toEqual(["server.py"]);
  writeFileSync(join(directory, "server.log"), "two");
  renameSync(join(directory, "server.log"), join(directory, "server.py"));
  expect(await next()).toEqual(["server.py"]);
});

test("a file that is removed is noticed", async () => {
  const { directory, next } = await watched();
  writeFileSync(join(directory, "server.py"), "one");
  expect(await next()).toEqual(["server.py"]);
  rmSync(join(directory, "server.py"));
  expect(await next()).toEqual(["server.py"]);
});

test("a file that this process writes its own lines to is not watched", async () => {
  const directory = temporaryDirectory();
  const log = openSync(join(directory, "serve.txt"), "w");
  onTestFinished(() => closeSync(log));
  const directories = new Map([[directory, () => false]]);
  const bursts: string[][] = [];
  const came = Promise.withResolvers<void>();
  await watched({
    directories,
    outputs: [log],
    onChange(paths) {
      bursts.push(paths);
      came.resolve();
    },
  });
  writeSync(log, "a line");
  writeFileSync(join(directory, "server.py"), "one");
  await came.promise;
  expect(bursts).toEqual([[join(directory, "server.py")]]);
});

test("what is ignored is not watched, with everything below it", async () => {
  const { directory, next } = await watched();
  writeFileSync(join(directory, "ignored", "big.py"), "one");
  writeFileSync(join(directory, "out.log"), "one");
  writeFileSync(join(directory, "last.py"), "one");
  expect(await next()).toEqual(["last.py"]);
});
