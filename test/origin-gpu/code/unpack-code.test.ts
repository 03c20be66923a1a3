import { createHash } from "node:crypto";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { Header, Pax } from "tar";
import { describe, expect, test } from "vitest";
import { REAL_FILES } from "../../../origin-gpu/calls/store/files.ts";
import { unpackCode, verifyCode } from "../../../origin-gpu/code/unpack-code.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { contentsOf } from "./directory.ts";

type Fields = Partial<Pick<Header, "path" | "type" | "linkpath" | "mode" | "size">>;

/** One entry as any tar program might write it. */
function entry(fields: Fields, content = ""): Buffer {
  const header = new Header({ type: "File", mode: 0o644, size: content.length, ...fields });
  header.encode();
  return Buffer.concat([header.block as Buffer, padded(content)]);
}

function padded(content: string): Buffer {
  return Buffer.from(content.padEnd(Math.ceil(content.length / 512) * 512, "\0"), "latin1");
}

const END = Buffer.alloc(1024);

/** Packed, and under its own right hash. */
function source(...parts: Buffer[]) {
  return sourceOf(Buffer.concat(parts));
}

function sourceOf(archive: Buffer) {
  const hash = createHash("sha256").update(archive).digest("hex");
  // In pieces that end nowhere in particular.
  const packed = gzipSync(archive);
  const pieces = Array.from({ length: Math.ceil(packed.length / 7) }, (_, index) =>
    packed.subarray(index * 7, (index + 1) * 7),
  );
  return { packed: Readable.from(pieces), hash };
}

async function unpacked(code: ReturnType<typeof source>): Promise<Record<string, string>> {
  const directory = temporaryDirectory();
  await unpackCode(code, directory, REAL_FILES);
  return contentsOf(directory);
}

function linkTo(path: string, linkpath: string): Buffer {
  return entry({ path, type: "SymbolicLink", linkpath });
}

test("links to directories that other links lead to stay within", async () => {
  const code = source(
    linkTo("a/b", "../c"),
    entry({ path: "c/d" }, "x"),
    linkTo("e", "a/b/d"),
    END,
  );
  expect(await unpacked(code)).toEqual({ "a/b": "-> ../c", "c/d": "x", e: "-> a/b/d" });
});

const A = entry({ path: "a.py" }, "a");

test("an archive of files and links is unpacked", async () => {
  const link = entry({ path: "b", type: "SymbolicLink", linkpath: "a.py" });
  const deep = entry({ path: "c/d/e.py", mode: 0o755 }, "x".repeat(513));
  expect(await unpacked(source(A, link, deep, END))).toEqual({
    "a.py": "a",
    b: "-> a.py",
    "c/d/e.py": "x".repeat(513),
  });
  expect(await unpacked(source(END))).toEqual({});
});

describe("refused, and nothing is written outside of the directory:", () => {
  const out = entry({ path: "z", type: "SymbolicLink", linkpath: "../out" });
  test.each<[what: string, archive: Buffer[], message: string]>([
    ["a path that leads up", [entry({ path: "../x" }, "x"), END], '"../x" may lead out of it'],
    ["an absolute path", [entry({ path: "/x" }, "x"), END], '"/x" may lead out of it'],
    ["a path that winds", [entry({ path: "a/../b" }, "x"), END], '"a/../b" may lead out of it'],
    ["an empty name in a path", [entry({ path: "a//b" }, "x"), END], "may lead out of it"],
    [
      "a path that a pax header makes lead up",
      [new Pax({ path: "../x" }).encode(), A, END],
      '"../x" may lead out of it',
    ],
    ["a link that leads out", [out, END], "the link z may lead out of it"],
    [
      "a link that leads out by a pax header",
      [
        new Pax({ path: "z", linkpath: "../out" }).encode(),
        entry({ path: "z", type: "SymbolicLink", linkpath: "a" }),
        END,
      ],
      "the link z may lead out of it",
    ],
    [
      "an absolute link",
      [entry({ path: "z", type: "SymbolicLink", linkpath: "/etc" }), END],
      "the link z",
    ],
    ["a hard link", [A, entry({ path: "z", type: "Link", linkpath: "a.py" }), END], "z is neither"],
    [
      "a device",
      [entry({ path: "z", type: "CharacterDevice" }), END],
      "z is neither a file nor a link",
    ],
    ["a pipe", [entry({ path: "z", type: "FIFO" }), END], "z is neither a file nor a link"],
    [
      "a directory",
      [entry({ path: "z", type: "Directory" }), END],
      "z is neither a file nor a link",
    ],
    [
      "a global pax header",
      [new Pax({ path: "z" }, true).encode(), A, END],
      "neither a file nor a link",
    ],
    ["the same path twice", [A, A, END], "its files are not in order"],
    ["another order", [entry({ path: "b" }), A, END], "its files are not in order"],
    ["a damaged header", [Buffer.from(A).fill(7, 100, 110), END], "a header is not one"],
    ["an archive that is cut off", [A.subarray(0, 600)], "it is cut off"],
    ["an archive without an end", [A], "it is cut off"],
    ["something behind the end", [A, END, END], "no clean end"],
    ["a file below a link", [linkTo("a", "."), entry({ path: "a/b" }, "x"), END], "a/b is below a"],
    [
      "a file below a file",
      [entry({ path: "a" }, "x"), entry({ path: "a/b" }, "x"), END],
      "below a",
    ],
    [
      "a file below a link, with another between",
      [linkTo("a", "."), entry({ path: "a-b" }, "x"), entry({ path: "a/b" }, "x"), END],
      "a/b is below a",
    ],
    [
      "links that climb on links",
      [
        linkTo("a/b/d", "../.."),
        linkTo("a/b/d/x", "../../.."),
        linkTo("a/b/d/x/planted", "y"),
        END,
      ],
      "a/b/d/x is below a/b/d",
    ],
    [
      "a file far below a link",
      [linkTo("a/b", ".."), entry({ path: "a/b/c/d/e" }, "x"), END],
      "a/b/c/d/e is below a/b",
    ],
    [
      "a path that is longer than any",
      [new Pax({ path: "x".repeat(5000) }).encode(), A, END],
      "may lead out",
    ],
  ])("%s", async (_, archive, message) => {
    const around = temporaryDirectory();
    const directory = join(around, "code");
    mkdirSync(directory);
    await expect(unpackCode(source(...archive), directory, REAL_FILES)).rejects.toThrow(message);
    await expect(verifyCode(source(...archive))).rejects.toThrow(message);
    expect(readdirSync(around)).toEqual(["code"]);
    expect(readdirSync(directory)).not.toContain("z");
  });

  test("an archive under the hash of another", async () => {
    const { packed } = source(A, END);
    await expect(verifyCode({ packed, hash: source(END).hash })).rejects.toThrow(
      "the code does not have the hash that names it",
    );
  });

  test.each([
    ["no gzip", Buffer.from("not packed at all")],
    ["a gzip that is cut off", gzipSync(Buffer.concat([A, END])).subarray(0, 40)],
    ["nothing", Buffer.alloc(0)],
  ])("%s", async (_, bytes) => {
    const { hash } = source(A, END);
    await expect(verifyCode({ packed: Readable.from([bytes]), hash })).rejects.toThrow(
      /damaged|cut off/,
    );
  });

  test("a small archive that unpacks to more than there may be", async () => {
    const zeros = source(
      entry({ path: "zeros", size: 64 * 1024 * 1024 }),
      Buffer.alloc(64 * 1024 * 1024),
      END,
    );
    await expect(verifyCode({ ...zeros, limitBytes: 1024 * 1024 })).rejects.toThrow(
      "the code unpacks to more than 1048576 bytes",
    );
  });
});
