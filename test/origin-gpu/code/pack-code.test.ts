import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { buffer } from "node:stream/consumers";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { KIB, MIB } from "../../../base/units.ts";
import { REAL_FILES } from "../../../origin-gpu/calls/store/files.ts";
import { notCodeOf } from "../../../origin-gpu/code/not-code.ts";
import { type PackedCode, packCode } from "../../../origin-gpu/code/pack-code.ts";
import { unpackCode } from "../../../origin-gpu/code/unpack-code.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { type Content, contentsOf, directoryWith } from "./directory.ts";

async function pack(...[directory, limits]: Parameters<typeof packCode>): Promise<PackedCode> {
  const code = await packCode(directory, limits);
  onTestFinished(() => code.close());
  return code;
}

/** What a directory's code holds, as a box would have it. */
async function packedContents(directory: string): Promise<Record<string, string>> {
  const code = await pack(directory);
  const copy = temporaryDirectory();
  await unpackCode({ packed: code.open(), hash: code.hash }, copy, REAL_FILES);
  return contentsOf(copy);
}

async function packedPaths(files: Readonly<Record<string, Content>>): Promise<string[]> {
  return Object.keys(await packedContents(directoryWith(files))).toSorted();
}

describe("the same files", () => {
  test("make the same bytes, whenever and by whomever they were written", async () => {
    const files = { "b.py": "b", "a/c.py": "c", "a.py": "a", run: { program: "#!/bin/sh\n" } };
    const first = directoryWith(files);
    const second = directoryWith(Object.fromEntries(Object.entries(files).toReversed()));
    utimesSync(join(second, "a.py"), 1, 1);
    chmodSync(join(second, "b.py"), 0o600);
    chmodSync(join(second, "run"), 0o700);
    const [one, other] = [await pack(first), await pack(second)];
    expect(other.hash).toBe(one.hash);
    expect(await buffer(other.open())).toEqual(await buffer(one.open()));
  });

  test("make this hash for ever: boxes find by it what they have", async () => {
    const code = await pack(
      directoryWith({
        "server.py": "app = None\n",
        "run.sh": { program: "#!/bin/sh\n" },
        "current.py": { link: "server.py" },
        "ünï/code.py": "",
        [`${"long/".repeat(60)}end.py`]: "end",
      }),
    );
    expect(code.files).toBe(5);
    expect(code.hash).toMatchInlineSnapshot(
      `"83e5a4da04bb5e8b763973021e92f3075e52abe0e45cb35ab0121a1dbfda5de0"`,
    );
  });

  test("and others make another one", async () => {
    const hashes = new Set<string>();
    for (const files of [
      { a: "1" },
      { a: "2" },
      { b: "1" },
      { a: { program: "1" } },
      { a: { link: "1" } },
      { "a/a": "1" },
      {},
    ]) {
      hashes.add((await pack(directoryWith(files))).hash);
    }
    expect(hashes.size).toBe(7);
  });

  test("are what a tar program finds in the archive", async () => {
    const code = await pack(directoryWith({ "a/b.py": "b", "ü.py": "u", l: { link: "a/b.py" } }));
    const archive = join(temporaryDirectory(), "code.tar.gz");
    writeFileSync(archive, await buffer(code.open()));
    const listed = execFileSync(
      "tar",
      ["--list", "--verbose", "--quoting-style=literal", "--file", archive],
      {
        encoding: "utf8",
        env: { ...process.env, TZ: "UTC" },
      },
    );
    expect(
      listed
        .trim()
        .split("\n")
        .map((line) => line.replaceAll(/\s+/g, " ")),
    ).toEqual([
      "-rw-r--r-- 0/0 1 1970-01-01 00:00 a/b.py",
      "lrwxr-xr-x 0/0 0 1970-01-01 00:00 l -> a/b.py",
      "-rw-r--r-- 0/0 1 1970-01-01 00:00 ü.py",
    ]);
  });

  test("come out as they went in, whatever their names and contents", async () => {
    const name = fc.oneof(
      fc.string({ minLength: 1, maxLength: 30 }),
      fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }),
      fc.string({ minLength: 90, maxLength: 120, unit: fc.constantFrom("a", "ü", "=", " ") }),
    );
    const usable = name.filter(
      (text) =>
        !/[\0\n/\uFFFD\uD800-\uDFFF]/.test(text) &&
        Buffer.byteLength(text) < 250 &&
        !text.startsWith("."),
    );
    const path = fc.array(usable, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
    const content = fc.oneof(
      fc.string(),
      fc.integer({ min: 0, max: 2000 }).map((n) => "x".repeat(n)),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(path, content, { maxKeys: 12, noNullPrototype: true }),
        async (files) => {
          const paths = Object.keys(files);
          const nested = paths.filter((one) => paths.some((other) => other.startsWith(`${one}/`)));
          for (const one of nested) delete files[one];
          expect(await packedContents(directoryWith(files))).toEqual(files);
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe("what is left out", () => {
  test("is what .gitignore files say, nested ones and their exceptions too", async () => {
    const paths = await packedPaths({
      ".gitignore": "*.log\n/build\ndata/\n\n# a comment\n",
      "server.py": "",
      "noise.log": "",
      "build/out": "",
      "src/build/kept": "",
      "data/large": "",
      "src/.gitignore": "!important.log\n/local\nsub/deep\n",
      "src/important.log": "",
      "src/other.log": "",
      "src/local": "",
      "src/more/local": "",
      "src/more/sub/deep": "",
      "src/sub/deep": "",
    });
    expect(paths).toEqual([
      ".gitignore",
      "server.py",
      "src/.gitignore",
      "src/build/kept",
      "src/important.log",
      "src/more/local",
      "src/more/sub/deep",
    ]);
  });

  test("is what git leaves out", async () => {
    const directory = directoryWith({
      ".gitignore":
        "a*\n!ab\n**/cache/**\n!/x/cache/keep\nb[12]\\ c\n\\#d\n/e/*\n!/e/f/\ntrailing \n",
      aa: "",
      ab: "",
      "x/cache/drop": "",
      "x/cache/keep": "",
      "b1 c": "",
      "b3 c": "",
      "#d": "",
      "e/g": "",
      "e/f/h": "",
      trailing: "",
      "odd [name]/.gitignore": "*.tmp\n/top\n!keep.tmp\n",
      "odd [name]/one.tmp": "",
      "odd [name]/keep.tmp": "",
      "odd [name]/below/top": "",
      "odd [name]/top": "",
      "n/.gitignore": "!ac\n",
      "n/ac": "",
      "ad/inside": "",
      "n/Ab": "",
      "n/AC": "",
    });
    execFileSync("git", ["init", "--quiet", directory]);
    const others = ["ls-files", "--others", "--exclude-per-directory=.gitignore", "-z"];
    const git = execFileSync("git", ["-C", directory, ...others], { encoding: "utf8" });
    const expected = git.split("\0").filter((path) => path !== "");
    expect(Object.keys(await packedContents(directory)).toSorted()).toEqual(expected.toSorted());
  });

  test("is what the .gitignore files above say, up to the repository's top", async () => {
    const top = directoryWith({
      ".git/HEAD": "",
      ".gitignore": "*.bin\n/services/api/local.py\n",
      "services/.gitignore": "secret*\n",
      "services/api/server.py": "",
      "services/api/local.py": "",
      "services/api/model.bin": "",
      "services/api/secret.txt": "",
    });
    const directory = join(top, "services/api");
    expect(Object.keys(await packedContents(directory))).toEqual(["server.py"]);
    writeFileSync(join(top, ".gitignore"), "/services/api\n");
    expect(Object.keys(await packedContents(directory))).toContain("server.py");
  });

  test("is what .posternignore says, which comes on top", async () => {
    const paths = await packedPaths({
      ".gitignore": "dist/\n*.pt\n",
      ".posternignore": "!dist/\n*.md\n!vendored/__pycache__/\n",
      "dist/app.js": "",
      "model.pt": "",
      "README.md": "",
      "__pycache__/a.pyc": "",
      "deep/__pycache__/a.pyc": "",
      "vendored/__pycache__/a.pyc": "",
    });
    expect(paths).toEqual([
      ".gitignore",
      ".posternignore",
      "dist/app.js",
      "vendored/__pycache__/a.pyc",
    ]);
  });

  test("is the state of a gateway and of an agent, whatever its name", async () => {
    const directory = directoryWith({
      "gateway/lock": "",
      "gateway/profile.toml": "",
      "gateway/key": "secret",
      "gateway/objects/a.sqlite": "",
      "agent/box/lock": "",
      "agent/box/identity.json": "{}",
      "app/identity.json": "{}",
    });
    const code = await pack(directory);
    expect(code.skipped).toEqual([
      "agent/box/: the state of a gateway or an agent, with its keys",
      "gateway/: the state of a gateway or an agent, with its keys",
    ]);
    expect(code.files).toBe(1);
    const isNotCode = await notCodeOf(directory);
    expect(["gateway", "agent/box", "app"].map((path) => isNotCode(path, true))).toEqual([
      true,
      true,
      false,
    ]);
  });

  test("is Git's and Postern's own, virtual environments, and what is no file", async () => {
    const directory = directoryWith({
      ".posternignore": "!.git\n!.postern\n!env\n",
      ".git/config": "",
      "sub/.git": "gitdir: elsewhere",
      ".postern/key": "",
      ".postern-apps/nobody/home/notes": "",
      "boxes/a-apps/nobody/copies/shop-v1/server.py": "",
      "boxes/a-apps/nobody/environments/a.txt": "",
      "boxes/a-apps/nobody/no-code/x": "",
      "env/pyvenv.cfg": "",
      "env/bin/python": "",
      "server.py": "",
    });
    mkdirSync(join(directory, "empty"));
    const server = createServer().listen(join(directory, "socket"));
    onTestFinished(() => void server.close());
    await once(server, "listening");
    const code = await pack(directory);
    expect(code.files).toBe(2);
    expect(code.skipped).toEqual([
      "boxes/a-apps/nobody/: what the apps of a box run from",
      "env/: a Python environment, which works on this machine alone",
      "socket: neither a file nor a link",
    ]);
  });
});

describe("links", () => {
  test.each([
    ["a/here", "file.py"],
    ["a/up", "../top.py"],
    ["a/b/way/up", "../../../top.py"],
    ["dangling", "not/there"],
    ["self", "."],
  ])("%s -> %s is kept", async (path, target) => {
    expect(await packedContents(directoryWith({ [path]: { link: target } }))).toEqual({
      [path]: `-> ${target}`,
    });
  });

  test.each([
    ["out", "../secret"],
    ["a/out", "../../secret"],
    ["absolute", "/etc/passwd"],
    ["winding", "a/../b"],
  ])("%s -> %s is refused by name", async (path, target) => {
    await expect(packCode(directoryWith({ [path]: { link: target } }))).rejects.toThrow(
      `${path} is a link to ${target}, which`,
    );
  });

  test("that nobody packs may lead anywhere", async () => {
    const files = { ".posternignore": "weights\n", weights: { link: "/srv/weights" } };
    expect(await packedPaths(files)).toEqual([".posternignore"]);
  });
});

const LARGE = { packedBytes: 100 * MIB, unpackedBytes: 100 * MIB, files: 100 };

describe("a refusal is one line that says what to do", () => {
  test("too many bytes: the largest files are named", async () => {
    const directory = directoryWith({
      "weights/large.bin": randomBytes(2 * MIB),
      "weights/small.bin": randomBytes(MIB),
      "server.py": "app",
    });
    const limits = { ...LARGE, packedBytes: 2 * MIB };
    await expect(pack(directory, limits)).rejects.toThrow(
      "the directory packs to more than 2 MiB; leave out what the app does not need with .posternignore; the largest files: weights/large.bin (2 MiB), weights/small.bin (1 MiB), server.py (0 KiB)",
    );
    await expect(pack(directory, { ...limits, unpackedBytes: 2 * MIB })).rejects.toThrow(
      "the directory has more than 2 MiB;",
    );
    const many = directoryWith(Object.fromEntries(["a", "b", "c", "d"].map((name) => [name, ""])));
    await expect(pack(many, { ...LARGE, unpackedBytes: 3 * KIB })).resolves.toBeDefined();
    await expect(pack(many, { ...LARGE, unpackedBytes: 3 * KIB - 1 })).rejects.toThrow(
      "the directory has more than 3 KiB;",
    );
  });

  test("too many files: where most of them are is said", async () => {
    const directory = directoryWith({ "server.py": "", "data/a": "", "data/b": "", "data/c": "" });
    await expect(pack(directory, { ...LARGE, files: 3 })).rejects.toThrow(
      "the directory has more than 3 files, 3 of them in data/; leave out what the app does not need with .posternignore",
    );
  });

  test("a directory that is not there", async () => {
    await expect(pack(join(temporaryDirectory(), "none"))).rejects.toThrow(/^can't read .*ENOENT/);
  });

  test("a name that is not one line", async () => {
    await expect(pack(directoryWith({ "a\nb": "" }))).rejects.toThrow(
      '"a\\nb": a file\'s name must be UTF-8 and one line; rename it',
    );
  });
});

describe("a directory that changes meanwhile", () => {
  test("is packed as it is afterwards", async () => {
    const directory = directoryWith({ "a.bin": randomBytes(8 * MIB), "b.py": "old" });
    const packing = pack(directory);
    while (!isOpen("a.bin")) await turn();
    writeFileSync(join(directory, "b.py"), "newer");
    const code = await packing;
    const copy = temporaryDirectory();
    await unpackCode({ packed: code.open(), hash: code.hash }, copy, REAL_FILES);
    expect(contentsOf(copy)["b.py"]).toBe("newer");
    expect(code.hash).toBe((await pack(directory)).hash);
  });

  test("all the time is refused, and the file named that does not rest", async () => {
    const directory = directoryWith({ "a.bin": randomBytes(MIB), "server.log": "" });
    let written = 0;
    const writer = setInterval(() => {
      written += 1;
      writeFileSync(join(directory, "server.log"), "x".repeat(written));
    }, 1);
    onTestFinished(() => clearInterval(writer));
    await expect(pack(directory)).rejects.toThrow(
      "server.log keeps changing while it is packed; stop what writes it, or leave it out with .posternignore",
    );
  });
});

/** Whether this process has a file of this name open. */
function isOpen(name: string): boolean {
  return readdirSync("/proc/self/fd").some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).endsWith(`/${name}`);
    } catch {
      // Closed since.
      return false;
    }
  });
}

test("packing leaves nothing behind on the disk", async () => {
  const left = () => readdirSync(tmpdir()).filter((name) => name.startsWith("postern-code-"));
  const before = left();
  const code = await packCode(directoryWith({ a: "a" }));
  expect(left()).toEqual(before);
  expect((await buffer(code.open())).length).toBe(code.bytes);
  expect((await buffer(code.open())).length).toBe(code.bytes);
  await code.close();
});

test("a file's executable bit arrives", async () => {
  const code = await pack(directoryWith({ run: { program: "#!/bin/sh\n" }, "a.py": "" }));
  const copy = temporaryDirectory();
  await unpackCode({ packed: code.open(), hash: code.hash }, copy, REAL_FILES);
  expect(statSync(join(copy, "run")).mode & 0o111).toBe(0o111);
  expect(statSync(join(copy, "a.py")).mode & 0o111).toBe(0);
});
