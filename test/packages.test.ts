import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ROOMS } from "./architecture/rules.ts";
import { newcomersVariables } from "./support/compiled-code.ts";
import { ManagedProcess } from "./support/processes.ts";
import { temporaryDirectory } from "./support/temporary.ts";

interface Package {
  version: string;
  dependencies: Record<string, string>;
}

function read(path: string): Package {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")) as Package;
}

test("the workerd that runs gateways is the one that wrangler and its tests use", () => {
  const ours = read("../package.json").dependencies["workerd"];
  expect(read("../node_modules/wrangler/package.json").dependencies["workerd"]).toBe(ours);
  expect(read("../node_modules/miniflare/package.json").dependencies["workerd"]).toBe(ours);
  expect(read("../node_modules/workerd/package.json").version).toBe(ours);
});

test("the lock file has an entry for each platform's package, so that no npm adds any", () => {
  const lock = JSON.parse(
    readFileSync(new URL("../package-lock.json", import.meta.url), "utf8"),
  ) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  const missing = Object.entries(lock.packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) =>
        !(`${path}/node_modules/${name}` in lock.packages) &&
        !(`node_modules/${name}` in lock.packages),
    ),
  );
  expect(missing).toEqual([]);
});

test("installed as a package the command runs, its demo too", async () => {
  const modules = join(temporaryDirectory(), "node_modules");
  const installed = join(modules, "postern");
  mkdirSync(installed, { recursive: true });
  const rooms = new Set(Object.keys(ROOMS).map((room) => room.split("/")[0] as string));
  for (const name of [...rooms, "package.json", "wrangler.toml"]) {
    cpSync(new URL(`../${name}`, import.meta.url), join(installed, name), { recursive: true });
  }
  for (const name of Object.keys(read("../package.json").dependencies)) {
    const link = join(modules, name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(new URL(`../node_modules/${name}`, import.meta.url), link);
  }
  const up = new ManagedProcess(
    [process.execPath, join(installed, "cli", "postern.js"), "up", "--port", "0"],
    { cwd: temporaryDirectory(), env: newcomersVariables() },
  );
  onTestFinished(() => up.killTree());
  await up.waitForOutput(/^http:\/\/local--demo-chat\.localhost:\d+$/m);
  await up.waitForErrorOutput(/\[chat\] postern: ready after/);
  expect(await up.stop()).toMatchObject({ code: 0 });
});
