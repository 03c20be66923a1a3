import { randomBytes } from "node:crypto";
import { readdirSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { buffer } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import { KIB } from "../../../base/units.ts";
import { CodeStore, type CodeStoreOptions } from "../../../origin-gpu/code/code-store.ts";
import { type PackedCode, packCode } from "../../../origin-gpu/code/pack-code.ts";
import { MAX_CODE_BYTES } from "../../../routing/wire/deployments.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { FaultyFiles } from "../calls/store/faulty-files.ts";
import { contentsOf, directoryWith } from "./directory.ts";

const MINUTE_MS = 60_000;

async function packed(files: Record<string, string | Uint8Array> = { "a.py": "a" }) {
  const code = await packCode(directoryWith(files));
  onTestFinished(() => code.close());
  return code;
}

async function storeWith(
  codes: readonly PackedCode[],
  options: Partial<CodeStoreOptions> = {},
): Promise<CodeStore> {
  const store = await CodeStore.open({ directory: temporaryDirectory(), ...options });
  for (const code of codes) await store.receive(code.hash, code.open());
  return store;
}

/** Everything in the store's directory but its folders. */
function filesOf(directory: string): string[] {
  return Object.keys(contentsOf(directory));
}

async function* cutOff(code: PackedCode): AsyncGenerator<Uint8Array> {
  yield (await buffer(code.open())).subarray(0, 20);
  throw new Error("the link broke");
}

describe("code that arrives", () => {
  test("is there, also for the next agent, and goes on as it came", async () => {
    const directory = temporaryDirectory();
    const code = await packed();
    const store = await storeWith([code], { directory });
    expect(store.has(code.hash)).toBe(true);
    const next = await CodeStore.open({ directory });
    expect(next.list()).toEqual([code.hash]);
    const found = await next.read(code.hash);
    if (found === undefined) throw new Error("it is not there");
    expect(found.bytes).toBe(code.bytes);
    expect(await buffer(found.content)).toEqual(await buffer(code.open()));
    expect(await next.read("0".repeat(64))).toBeUndefined();
  });

  test("twice at once is fine both times", async () => {
    const code = await packed();
    const store = await storeWith([]);
    await Promise.all([1, 2].map(() => store.receive(code.hash, code.open())));
    expect(store.list()).toEqual([code.hash]);
  });

  test.each<[string, (code: PackedCode, other: PackedCode) => AsyncIterable<Uint8Array>, string]>([
    ["breaks off", (code) => cutOff(code), "the link broke"],
    ["is another code", (_, other) => other.open(), "does not have the hash that names it"],
  ])("and %s is not kept", async (_, content, message) => {
    const directory = temporaryDirectory();
    const store = await storeWith([], { directory });
    const [code, other] = [await packed(), await packed({ b: "b" })];
    await expect(store.receive(code.hash, content(code, other))).rejects.toThrow(message);
    expect(store.has(code.hash)).toBe(false);
    expect(filesOf(directory)).toEqual([]);
    await store.receive(code.hash, code.open());
    expect(store.has(code.hash)).toBe(true);
  });

  test("and is larger than code may be is not read to its end", async () => {
    const store = await storeWith([]);
    const part = Buffer.alloc(16 * 1024 * KIB);
    let sent = 0;
    const endless = async function* () {
      for (;;) {
        sent += part.length;
        yield await Promise.resolve(part);
      }
    };
    await expect(store.receive("0".repeat(64), endless())).rejects.toThrow(
      "packed code may have 256 MiB at most",
    );
    expect(sent).toBe(MAX_CODE_BYTES + part.length);
  });

  test("and finds no room on the disk leaves nothing behind", async () => {
    const directory = temporaryDirectory();
    const faulty = new FaultyFiles();
    const store = await storeWith([], { directory, files: faulty.files });
    const code = await packed({ "a.bin": randomBytes(100 * KIB) });
    faulty.roomBytes = 10 * KIB;
    await expect(store.receive(code.hash, code.open())).rejects.toThrow(
      "the box's disk is full; make room, then deploy again",
    );
    expect(filesOf(directory)).toEqual([]);
    expect(faulty.open).toBe(0);
  });

  test("when the agent died is removed at the next start", async () => {
    const directory = temporaryDirectory();
    await storeWith([], { directory });
    writeFileSync(join(directory, "arriving", "half"), "half");
    await CodeStore.open({ directory });
    expect(filesOf(directory)).toEqual([]);
  });
});

describe("fetching", () => {
  test("asks once, however many want it", async () => {
    const code = await packed();
    const store = await storeWith([]);
    let asked = 0;
    const source = async () => {
      asked += 1;
      return await Promise.resolve(code.open());
    };
    await Promise.all([store.fetch(code.hash, source), store.fetch(code.hash, source)]);
    await store.fetch(code.hash, source);
    expect(asked).toBe(1);
  });

  test("that failed may be tried again", async () => {
    const code = await packed();
    const store = await storeWith([]);
    const none = async () => await Promise.reject(new Error("no box has it"));
    await expect(store.fetch(code.hash, none)).rejects.toThrow("no box has it");
    await store.fetch(code.hash, async () => await Promise.resolve(code.open()));
    expect(store.has(code.hash)).toBe(true);
  });
});

describe("a working copy", () => {
  test("is its owner's own: what is written there is no part of the code", async () => {
    const code = await packed({ "a.py": "a", "lib/b.py": "b" });
    const store = await storeWith([code]);
    const first = await store.directoryOf(code.hash, "ap-1-v1");
    writeFileSync(join(first, "a.py"), "changed");
    expect(await store.directoryOf(code.hash, "ap-1-v1")).toBe(first);
    const second = await store.directoryOf(code.hash, "ap-1-v2");
    expect(contentsOf(second)).toEqual({ "a.py": "a", "lib/b.py": "b" });
    expect(contentsOf(first)["a.py"]).toBe("changed");
  });

  test("goes with its owner, and with the agent", async () => {
    const directory = temporaryDirectory();
    const code = await packed();
    const store = await storeWith([code], { directory });
    const [kept, gone] = await Promise.all([
      store.directoryOf(code.hash, "kept"),
      store.directoryOf(code.hash, "gone"),
    ]);
    const copies = dirname(kept);
    await store.retain({ hashes: [code.hash], owners: ["kept"] });
    expect(readdirSync(copies).map((name) => join(copies, name))).toEqual([kept]);
    expect(await store.directoryOf(code.hash, "gone")).not.toBe(gone);
    await CodeStore.open({ directory });
    expect(readdirSync(copies)).toEqual([]);
  });

  test("stays at the next start where a container runs in it, and is its version's copy again", async () => {
    const directory = temporaryDirectory();
    const code = await packed({ "sub/a.py": "a" });
    const store = await storeWith([code], { directory });
    const used = await store.directoryOf(code.hash, "ap-1-v1");
    const unused = await store.directoryOf(code.hash, "ap-1-v2");
    const next = await CodeStore.open({ directory, inUse: [join(used, "sub")] });
    expect(readdirSync(dirname(used)).map((name) => join(dirname(used), name))).toEqual([used]);
    expect(await next.directoryOf(code.hash, "ap-1-v1")).toBe(used);
    expect(await next.directoryOf(code.hash, "ap-1-v2")).not.toBe(unused);
    await next.retain({ hashes: [code.hash], owners: ["ap-1-v2"] });
    expect(readdirSync(dirname(used))).toHaveLength(1);
  });

  test("that is made while others are removed stays", async () => {
    const code = await packed();
    const store = await storeWith([code]);
    await store.directoryOf(code.hash, "gone");
    // Whoever says what is needed can't know yet what is asked for a moment later.
    const retained = store.retain({ hashes: [code.hash], owners: [] });
    const made = await store.directoryOf(code.hash, "new");
    await retained;
    expect(contentsOf(made)).toHaveProperty("a.py");
  });

  test("of code that is not here is refused", async () => {
    const store = await storeWith([]);
    await expect(store.directoryOf("0".repeat(64), "a")).rejects.toThrow(
      "the box lacks the code 000",
    );
  });

  test("of code that somebody deleted is refused, and the code counts as missing", async () => {
    const directory = temporaryDirectory();
    const code = await packed();
    const store = await storeWith([code], { directory });
    rmSync(join(directory, "packed", `${code.hash}.tar.gz`));
    await expect(store.directoryOf(code.hash, "a")).rejects.toThrow("the box lacks the code");
    expect(store.list()).toEqual([]);
  });

  test("that finds no room leaves nothing behind, and may be made later", async () => {
    const directory = temporaryDirectory();
    const faulty = new FaultyFiles();
    const code = await packed({ "zeros.bin": Buffer.alloc(100 * KIB) });
    const store = await storeWith([code], { directory, files: faulty.files });
    faulty.roomBytes = 10 * KIB;
    await expect(store.directoryOf(code.hash, "a")).rejects.toThrow("disk is full");
    expect(readdirSync(join(directory, "copies"))).toEqual([]);
    faulty.roomBytes = Infinity;
    expect(Object.keys(contentsOf(await store.directoryOf(code.hash, "a")))).toEqual(["zeros.bin"]);
  });

  test("of code that the disk damaged fails, and the code counts as missing", async () => {
    const directory = temporaryDirectory();
    const code = await packed();
    const store = await storeWith([code], { directory });
    truncateSync(join(directory, "packed", `${code.hash}.tar.gz`), 60);
    await expect(store.directoryOf(code.hash, "a")).rejects.toThrow(/damaged|cut off/);
    expect(store.has(code.hash)).toBe(false);
    expect(filesOf(directory)).toEqual([]);
  });
});

describe("code that no version needs", () => {
  test("goes after a quarter of an hour; what is needed stays", async () => {
    let nowMs = Date.now();
    const codes = await Promise.all(["a", "b", "c"].map((name) => packed({ [name]: name })));
    const [needed, old, fresh] = codes.map(({ hash }) => hash) as [string, string, string];
    const store = await storeWith(codes.slice(0, 2), { now: () => nowMs });
    nowMs += 16 * MINUTE_MS;
    await store.receive(fresh, (codes[2] as PackedCode).open());
    await store.retain({ hashes: [needed], owners: [] });
    expect(store.list()).toEqual([needed, fresh]);
    expect(store.has(old)).toBe(false);
  });

  test("makes room for what comes, the oldest first", async () => {
    let nowMs = Date.now();
    const codes = await Promise.all(
      [1, 2, 3, 4].map(() => packed({ "a.bin": randomBytes(100 * KIB) })),
    );
    const hashes = codes.map(({ hash }) => hash);
    const [first, second, third, fourth] = hashes as [string, string, string, string];
    const store = await storeWith([], { now: () => (nowMs += 1), limitBytes: 330 * KIB });
    await store.retain({ hashes: [first], owners: [] });
    for (const code of codes) await store.receive(code.hash, code.open());
    expect(store.list()).toEqual([first, third, fourth]);
    expect(store.has(second)).toBe(false);
  });

  test("is not known before the first assignments: then nothing goes", async () => {
    const directory = temporaryDirectory();
    const [code, other] = [
      await packed({ "a.bin": randomBytes(100 * KIB) }),
      await packed({ "b.bin": randomBytes(100 * KIB) }),
    ];
    await storeWith([code], { directory });
    const path = join(directory, "packed", `${code.hash}.tar.gz`);
    utimesSync(path, 1, 1);
    const store = await CodeStore.open({ directory, limitBytes: 150 * KIB });
    await expect(store.receive(other.hash, other.open())).rejects.toThrow(
      "the box has no room for more code",
    );
    expect(store.list()).toEqual([code.hash]);
    await store.retain({ hashes: [], owners: [] });
    await store.receive(other.hash, other.open());
    expect(store.list()).toEqual([other.hash]);
  });
});
