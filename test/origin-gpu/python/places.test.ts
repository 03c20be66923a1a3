/** Paths at which containers of a Python app find volumes and files of their image. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../../support/harness.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

/** Puts it as a container's start does; the start's last words where it is refused. */
function put(remote: string, target: string, notes: string): string {
  const program = "import sys; from postern_container import places; places.put(*sys.argv[1:])";
  const env = { ...process.env, PYTHONPATH: join(ROOT, "origin-gpu/python") };
  const words = ["-c", program, remote, target, notes];
  const { status, stderr } = spawnSync("python3", words, { env, encoding: "utf8" });
  return status === 0 ? "" : stderr;
}

function places() {
  const root = temporaryDirectory();
  const made = (name: string): string => {
    mkdirSync(join(root, name));
    writeFileSync(join(root, name, "file"), name);
    return join(root, name);
  };
  return { root, notes: join(root, "notes"), first: made("first"), second: made("second") };
}

test("a path leads to the files, then to those of a next version", () => {
  const { root, notes, first, second } = places();
  const remote = join(root, "deep/assets");
  expect(put(remote, first, notes)).toBe("");
  expect(put(remote, first, notes)).toBe("");
  expect(readFileSync(join(remote, "file"), "utf8")).toBe("first");
  expect(put(remote, second, notes)).toBe("");
  expect(readFileSync(join(remote, "file"), "utf8")).toBe("second");
});

test("a path that something else has is refused, and stays", () => {
  const { root, notes, first, second } = places();
  expect(put(second, first, notes)).toMatch(
    /second is there already on this box, and not Postern's/,
  );
  expect(readFileSync(join(second, "file"), "utf8")).toBe("second");
  const foreign = join(root, "foreign");
  symlinkSync(second, foreign);
  expect(put(foreign, first, notes)).toContain("is there already on this box");
  expect(readlinkSync(foreign)).toBe(second);
});

test("a path that can't be made says why", () => {
  const { notes, first } = places();
  expect(put("/proc/assets", first, notes)).toMatch(
    /^postern: \/proc\/assets can't be made on this box: /,
  );
});
