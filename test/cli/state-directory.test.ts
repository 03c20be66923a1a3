import { spawn } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { CommandFailure } from "../../cli/failure.ts";
import {
  openStateDirectory,
  readRunning,
  type StateDirectory,
} from "../../cli/gateway/state-directory.ts";
import { rot } from "../support/rot.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const INFO = { url: "http://localhost:1", baseDomain: "localhost:1", workerdPort: 2, pid: 3 };

function open(path: string): StateDirectory {
  const state = openStateDirectory(path);
  onTestFinished(() => state.release());
  return state;
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}

describe("the lock", () => {
  test("refuses a second gateway, naming the first, until that one lets go", () => {
    const path = join(temporaryDirectory(), "state");
    const first = open(path);
    first.writeRunning(INFO);
    expect(() => openStateDirectory(path)).toThrow(/is in use by the gateway with pid 3; stop it/);
    first.release();
    open(path);
  });

  test("ends with its holder, even one that is killed", async () => {
    const path = join(temporaryDirectory(), "state");
    const module = new URL("../../cli/gateway/state-directory.ts", import.meta.url).href;
    const holder = spawn(
      process.execPath,
      [
        "--input-type=module",
        "-e",
        `const { openStateDirectory } = await import(${JSON.stringify(module)});
         openStateDirectory(${JSON.stringify(path)});
         process.stdout.write("locked");
         setInterval(() => undefined, 1000);`,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    onTestFinished(() => void holder.kill("SIGKILL"));
    await new Promise((resolve) => holder.stdout.once("data", resolve));
    expect(() => openStateDirectory(path)).toThrow(/is in use by another gateway/);
    holder.kill("SIGKILL");
    // At once: a start waits a moment for a lock that is about to be let go of.
    open(path);
  });
});

describe("what is kept", () => {
  test("the key is made once, of 32 random bytes, and readable by its owner alone", () => {
    const path = join(temporaryDirectory(), "state");
    const first = open(path);
    const { key } = first;
    first.release();
    expect(Buffer.from(key, "base64url")).toHaveLength(32);
    expect(open(path).key).toBe(key);
    expect(modeOf(join(path, "key"))).toBe(0o600);
    expect(modeOf(path)).toBe(0o700);
  });

  test("a key of the operator's own is used as it is", () => {
    const path = temporaryDirectory();
    writeFileSync(join(path, "key"), "my own key\n");
    expect(open(path).key).toBe("my own key");
  });

  test("a flipped bit of the key is mended, and said", () => {
    const path = join(temporaryDirectory(), "state");
    const first = open(path);
    const { key } = first;
    first.release();
    const content = readFileSync(join(path, "key"));
    for (let bit = 0; bit < 8 * content.length; bit += 11) {
      rot(join(path, "key"), [bit]);
      const lines: string[] = [];
      const again = openStateDirectory(path, (line) => lines.push(line));
      again.release();
      expect(again.key, `bit ${bit}`).toBe(key);
      expect(lines).toEqual([`${join(path, "key")}: mended a flipped bit`]);
      expect(readFileSync(join(path, "key")).equals(content)).toBe(true);
    }
    expect(modeOf(join(path, "key"))).toBe(0o600);
  });

  test("a key that somebody has changed counts, and is told of once", () => {
    const path = join(temporaryDirectory(), "state");
    open(path).release();
    const lines: string[] = [];
    for (const change of [() => writeFileSync(join(path, "key"), "new\nold\n"), () => undefined]) {
      change();
      const state = openStateDirectory(path, (line) => lines.push(line));
      state.release();
      expect(state.key).toBe("new,old");
    }
    expect(lines).toEqual([
      `${join(path, "key")} has changed since the last start: what was made under a key that is not there any more is void`,
    ]);
  });

  test("the checksum of the key may be missing or damaged", () => {
    const path = join(temporaryDirectory(), "state");
    const first = open(path);
    const { key } = first;
    first.release();
    for (const damage of ["", "none", "1"]) {
      writeFileSync(join(path, "key.crc32"), damage);
      const state = open(path);
      expect(state.key).toBe(key);
      state.release();
    }
  });

  test("the running gateway stands there for other commands and is forgotten at its end", () => {
    const path = join(temporaryDirectory(), "state");
    const state = open(path);
    state.writeRunning(INFO);
    expect(readRunning(path)).toEqual(INFO);
    expect(modeOf(join(path, "gateway.json"))).toBe(0o600);
    state.release();
    expect(readRunning(path)).toBeUndefined();
  });

  test("workerd's identity survives, and a torn file counts as none", () => {
    const path = join(temporaryDirectory(), "state");
    const state = open(path);
    expect(state.readWorkerd()).toBeUndefined();
    state.writeWorkerd({ pid: 1, started: "then" });
    expect(state.readWorkerd()).toEqual({ pid: 1, started: "then" });
    writeFileSync(join(path, "run", "workerd.json"), '{"pid": 1, "sta');
    expect(state.readWorkerd()).toBeUndefined();
  });
});

test.each([
  ["below a file", (directory: string) => join(directory, "file", "state")],
  ["that is a file", (directory: string) => join(directory, "file")],
  ["where nothing can be made", () => "/proc/postern"],
])("a state directory %s is refused in one line", (_, pathIn) => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "file"), "");
  expect(() => openStateDirectory(pathIn(directory))).toThrow(CommandFailure);
  expect(() => openStateDirectory(pathIn(directory))).toThrow(/^[^\n]+$/);
});
