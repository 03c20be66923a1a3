/** With stand-ins for Python and uv, which log what they are asked to do; test/e2e has a real one. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { tryLock } from "../../../base/node/file-lock.ts";
import { StartFailure, type UsedPython } from "../../../origin-gpu/containers/container.ts";
import {
  PythonEnvironments,
  type PythonEnvironmentsOptions,
} from "../../../origin-gpu/environments/python-environments.ts";
import { ManagedProcess, isAlive, untilGone } from "../../support/processes.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { directoryWith } from "../code/directory.ts";
import { endpointConfig } from "../containers/endpoint.ts";

vi.mock("../../../base/node/file-lock.ts", { spy: true });

/** Says who it is, makes an environment with itself in it, and installs. */
const PYTHON = `#!/bin/sh
here=$(dirname "$0")
case "$1 $2" in
  "-m venv") mkdir -p "$3/bin" && cp "$0" "$here/version" "$3/bin" ;;
  "-m pip")
    echo "pip for $(basename "$(dirname "$here")")" >> "$TEST_LOG"
    echo "Collecting things"
    for list; do :; done
    if grep -q broken "$list"; then
      echo "ERROR: No matching distribution found for broken" >&2
      echo "try another" >&2
      exit 1
    fi
    if grep -q endless "$list"; then echo "pid $$"; sleep 300; fi ;;
  *) echo "[\\"$0\\", \\"$here\\", \\"$(cat "$here/version")\\", \\"x86_64\\"]" ;;
esac
`;

const UV = `#!/bin/sh
echo "uv $*" >> "$TEST_LOG"
if [ "$1" = venv ]; then mkdir -p "$4/bin"; fi
`;

const MAKER = fileURLToPath(new URL("environment-maker.ts", import.meta.url));

let directory: string;
let programs: string;
let installs: string;
const logged: string[] = [];

beforeEach(() => {
  directory = join(temporaryDirectory(), "environments");
  programs = directoryWith({ python: { program: PYTHON }, version: "3.12.1" });
  installs = join(temporaryDirectory(), "installs");
  writeFileSync(installs, "");
  logged.length = 0;
});

function environments(options: Partial<PythonEnvironmentsOptions> = {}): PythonEnvironments {
  const made = new PythonEnvironments({
    directory,
    inherited: { PATH: "/usr/bin:/bin", TEST_LOG: installs },
    ...options,
  });
  onTestFinished(() => made.close());
  return made;
}

async function use(from: PythonEnvironments, ...requirements: string[]): Promise<UsedPython> {
  const kind = { type: "asgi", target: "server:app" } as const;
  const python = join(programs, "python");
  const endpoint = endpointConfig({ kind, python, requirements });
  return await from.use(endpoint, (line) => logged.push(line));
}

const countInstalls = () => readFileSync(installs, "utf8").split("\n").length - 1;

/** Of environments, by their folder's name. */
const made = () => readdirSync(directory).filter((name) => !/\.(?:lock|complete|txt)$/.test(name));

describe("an environment", () => {
  test("is made once for a list, in whatever order, however many ask at once", async () => {
    const own = environments();
    const [first, second] = await Promise.all([use(own, "a", "b"), use(own, "b", "a", "b")]);
    expect(first.python).toBe(second.python);
    expect(existsSync(first.python)).toBe(true);
    expect(first.python.startsWith(`${directory}/`)).toBe(true);
    await use(own, "a", "b");
    expect(countInstalls()).toBe(1);
    expect(logged).toContain("Collecting things");
    expect(logged.filter((line) => line.includes("making a Python environment"))).toHaveLength(1);
  });

  test("is made once for two agents that share the directory", async () => {
    const [first, second] = await Promise.all([use(environments(), "a"), use(environments(), "a")]);
    expect(first.python).toBe(second.python);
    expect(countInstalls()).toBe(1);
  });

  test("is used by an agent that wanted to make it, when another one has and uses it already", async () => {
    const used = await use(environments(), "a");
    used.release();
    const { python } = used;
    const marker = `${join(python, "../..")}.complete`;
    const lockFile = `${join(python, "../..")}.lock`;
    rmSync(marker);
    const other = tryLock(lockFile, "shared");
    const { calls } = vi.mocked(tryLock).mock;
    calls.length = 0;
    const waiting = use(environments(), "a");
    await expect.poll(() => calls).toContainEqual([lockFile, "exclusive"]);
    writeFileSync(marker, "");
    expect((await waiting).python).toBe(python);
    expect(countInstalls()).toBe(1);
    other?.release();
  });

  test("is kept for the next agent", async () => {
    const { python } = await use(environments(), "a");
    expect((await use(environments(), "a")).python).toBe(python);
    expect(countInstalls()).toBe(1);
  });

  test("is another one for another list, and for another version of the interpreter", async () => {
    const own = environments();
    const pythons = new Set([(await use(own, "a")).python, (await use(own, "a", "b")).python]);
    writeFileSync(join(programs, "version"), "3.12.2");
    pythons.add((await use(own, "a")).python);
    expect(pythons.size).toBe(3);
  });

  test("is made by uv where it is on PATH", async () => {
    const uv = directoryWith({ uv: { program: UV } });
    const PATH = `${uv}:/usr/bin:/bin`;
    const { python } = await use(environments({ inherited: { PATH, TEST_LOG: installs } }), "a");
    const place = python.replace(/\/bin\/python$/, "");
    expect(readFileSync(installs, "utf8").trim().split("\n")).toEqual([
      `uv venv --python ${join(programs, "python")} ${place}`,
      `uv pip install --python ${python} --requirement ${place}.txt`,
    ]);
    expect(readFileSync(`${place}.txt`, "utf8")).toBe("a\n");
  });

  test("that was left half made is made anew", async () => {
    const own = environments();
    const used = await use(own, "a");
    used.release();
    const place = used.python.replace(/\/bin\/python$/, "");
    writeFileSync(join(place, "torn"), "");
    rmSync(`${place}.complete`);
    await use(own, "a");
    expect(existsSync(join(place, "torn"))).toBe(false);
    expect(countInstalls()).toBe(2);
  });
});

test("an environment whose directory is gone is made anew", async () => {
  const own = environments();
  const used = await use(own, "a");
  used.release();
  rmSync(used.python.replace(/\/bin\/python$/, ""), { recursive: true });
  expect(existsSync((await use(own, "a")).python)).toBe(true);
  expect(countInstalls()).toBe(2);
});

describe("a failure", () => {
  test("says what the installer said, leaves nothing, and may be tried again", async () => {
    const own = environments();
    const failure = await use(own, "broken").catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(StartFailure);
    expect((failure as StartFailure).message).toBe("its requirements can't be installed");
    expect((failure as StartFailure).lastLines).toEqual(
      expect.arrayContaining(["ERROR: No matching distribution found for broken", "try another"]),
    );
    expect(logged).toContain("ERROR: No matching distribution found for broken");
    expect(made()).toEqual([]);
    await expect(use(own, "broken")).rejects.toThrow("can't be installed");
    expect(countInstalls()).toBe(2);
  });

  test("is that of all who waited", async () => {
    const own = environments();
    const results = await Promise.allSettled([1, 2, 3].map(() => use(own, "broken")));
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(countInstalls()).toBe(1);
  });

  test("is an interpreter that is none", async () => {
    const kind = { type: "asgi", target: "server:app" } as const;
    const used = (python: string) =>
      environments().use(endpointConfig({ kind, python, requirements: ["a"] }), (line) =>
        logged.push(line),
      );
    await expect(used("python-that-nobody-has")).rejects.toThrow(
      "python-that-nobody-has is not a Python interpreter",
    );
    expect(logged).toEqual(["postern: command not found: python-that-nobody-has"]);
    await expect(used("true")).rejects.toThrow("true is not a Python interpreter");
  });

  test("is an agent that has no place for environments", async () => {
    await expect(use(environments({ directory: undefined }), "a")).rejects.toThrow(
      "requirements need a state directory",
    );
  });
});

test("an endpoint without requirements runs on its own interpreter, and nothing is made", async () => {
  const kind = { type: "asgi", target: "server:app" } as const;
  const used = await environments().use(endpointConfig({ kind, python: "p" }), () => undefined);
  expect(used.python).toBe("p");
  expect(existsSync(directory)).toBe(false);
});

test("what was used longest ago goes, unless it is in use, and so does what is half made", async () => {
  const own = environments({ kept: 2 });
  const inUse = await use(own, "a");
  (await use(own, "b")).release();
  mkdirSync(join(directory, "0".repeat(32)));
  const third = await use(own, "c");
  (await use(environments({ kept: 2 }), "d")).release();
  const left = made().map((key) => join(directory, key, "bin", "python"));
  expect(left).toContain(inUse.python);
  expect(left).toContain(third.python);
  expect(left).toHaveLength(3);
  inUse.release();
  await use(own, "e");
  expect(made().map((key) => join(directory, key, "bin", "python"))).not.toContain(inUse.python);
});

test("an agent that is killed leaves no installer behind, and the next one begins anew", async () => {
  const agent = new ManagedProcess([process.execPath, MAKER, directory, programs, "endless"], {
    env: { PATH: "/usr/bin:/bin", TEST_LOG: installs },
  });
  onTestFinished(() => agent.kill());
  const [, pid = ""] = await agent.waitForOutput(/^pid (\d+)$/m);
  await agent.kill();
  await untilGone(Number(pid));
  expect(made()).toHaveLength(1);
  await use(environments(), "a");
  expect(made()).toHaveLength(1);
});

test("closing ends the installer and leaves nothing half made", async () => {
  const own = environments();
  const begun = Promise.withResolvers<number>();
  const endpoint = endpointConfig({
    kind: { type: "asgi", target: "server:app" },
    python: join(programs, "python"),
    requirements: ["endless"],
  });
  const waiting = own.use(endpoint, (line) => {
    if (line.startsWith("pid ")) begun.resolve(Number(line.slice(4)));
  });
  const refused = expect(waiting).rejects.toThrow("the agent stops");
  const pid = await begun.promise;
  expect(isAlive(pid)).toBe(true);
  await own.close();
  await refused;
  await untilGone(pid);
  expect(made()).toEqual([]);
});
