/** Result files that are damaged beyond mending: they are said, and kept aside within bounds. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { REAL_FILES } from "../../../../origin-gpu/calls/store/files.ts";
import { resultFileName } from "../../../../origin-gpu/calls/store/result-recovery.ts";
import { temporaryDirectory } from "../../../support/temporary.ts";
import { FaultyFiles } from "./faulty-files.ts";
import { bodyOf, openStore, pattern, storeResult } from "./result-tools.ts";

const SMALL = pattern(40);

/** A file with these results, as a store wrote it. */
async function writtenFile(calls: readonly string[], memoryBytes: number) {
  const { store, directory } = await openStore({ memoryBytes });
  for (const call of calls) await storeResult(store, call, SMALL);
  await store.close();
  const [name = ""] = readdirSync(directory);
  return { name, content: readFileSync(join(directory, name)) };
}

const pack = async (...calls: string[]) => await writtenFile(calls, 1000);
const alone = async () => await writtenFile(["a"], 0);

function directoryWith(files: Readonly<Record<string, Buffer>>): string {
  const directory = temporaryDirectory();
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(directory, name), content);
  return directory;
}

/** Eight bytes that are wrong: nothing mends them. */
function overwritten(content: Buffer, at: number): Buffer {
  return Buffer.from(content).fill(0x5a, at, at + 8);
}

test("a pack whose first header is damaged is kept aside as it was, and said", async () => {
  for (const calls of [["a"], ["a", "b"]]) {
    const { name, content } = await pack(...calls);
    const damaged = overwritten(content, 8);
    const directory = directoryWith({ [name]: damaged });
    const { store, said } = await openStore({ directory });
    expect([...store.completeCalls]).toEqual([]);
    const asidePath = join(directory, `${name}.damaged`);
    expect(said).toEqual([{ path: join(directory, name), places: 1, asidePath }]);
    expect(readdirSync(directory)).toEqual([`${name}.damaged`]);
    expect(readFileSync(asidePath).equals(damaged)).toBe(true);
    expect(store.usedBytes).toBe(0);
    await store.close();

    // The next agent reads it no more, and gives no file its number.
    const again = await openStore({ directory, memoryBytes: 1000 });
    expect(again.said).toEqual([]);
    await storeResult(again.store, "new", SMALL);
    expect(readdirSync(directory)).toEqual([`${name}.damaged`, resultFileName(2, "pack")]);
    await again.store.close();
  }
});

test("the others of a damaged pack are served, and the pack is kept when they have gone", async () => {
  const { name, content } = await pack("a", "b", "c");
  const record = content.length / 3;
  for (const at of [record + 8, 2 * record - 8, 2 * record + 8]) {
    const damaged = overwritten(content, at);
    const directory = directoryWith({ [name]: damaged });
    const { store, said, clock } = await openStore({ directory });
    expect(await bodyOf(store, "a")).toEqual(SMALL);
    expect(store.get("b") === undefined || store.get("c") === undefined).toBe(true);
    expect(said).toMatchObject([{ places: 1 }]);
    clock.nowMs += 60_001;
    await store.sweep();
    expect([...store.completeCalls]).toEqual([]);
    expect(readdirSync(directory)).toEqual([`${name}.damaged`]);
    expect(readFileSync(join(directory, `${name}.damaged`)).equals(damaged)).toBe(true);
    await store.close();
  }
});

test("a torn end that the file system filled with zeros is no damage", async () => {
  const { name, content } = await pack("a", "b");
  const record = content.length / 2;
  for (const written of [0, 4, 47, 60]) {
    const torn = Buffer.from(content).fill(0, record + written);
    const directory = directoryWith({ [name]: torn });
    const { store, said } = await openStore({ directory });
    expect([...store.completeCalls]).toEqual(["a"]);
    // A record whose header is there, and whose length is right, is not taken for torn.
    expect(said).toHaveLength(written < 48 ? 0 : 1);
    expect(readdirSync(directory)).toHaveLength(written < 48 ? 1 : 2);
    await store.close();
  }
});

test("a file of one result is kept aside, whatever of it is damaged, and said", async () => {
  const { name, content } = await alone();
  // The checksum of the body's one block stands behind it.
  const bodyStart = content.length - SMALL.length - 4;
  const cases = {
    header: overwritten(content, 8),
    metadata: overwritten(content, 60),
    length: content.subarray(0, -1),
    body: overwritten(content, bodyStart),
  };
  for (const [what, damaged] of Object.entries(cases)) {
    const directory = directoryWith({ [name]: damaged });
    const { store, said } = await openStore({ directory });
    // A large body is not read before a client asks for it.
    expect(said, what).toHaveLength(what === "body" ? 0 : 1);
    if (what === "body") {
      await expect(bodyOf(store, "a")).rejects.toMatchObject({ code: "damaged" });
    }
    const asidePath = join(directory, `${name}.damaged`);
    expect(said, what).toEqual([{ path: join(directory, name), places: 1, asidePath }]);
    await store.close();
    expect(readdirSync(directory), what).toEqual([`${name}.damaged`]);
    expect(readFileSync(asidePath).equals(damaged), what).toBe(true);
    expect(store.usedBytes, what).toBe(0);
  }
});

test("a record that is cut off while the agent runs is said when it is to be moved", async () => {
  const { store, directory, said, clock } = await openStore({ memoryBytes: 1000, packBytes: 1000 });
  await storeResult(store, "short-lived", pattern(500), 1000);
  await storeResult(store, "a", SMALL);
  await storeResult(store, "in the next pack", pattern(900));
  const [name = ""] = readdirSync(directory);
  const path = join(directory, name);
  const cut = readFileSync(path).subarray(0, -1);
  writeFileSync(path, cut);
  clock.nowMs += 1001;
  await store.sweep();
  expect([...store.completeCalls]).toEqual(["in the next pack"]);
  expect(said).toEqual([{ path, places: 1, asidePath: `${path}.damaged` }]);
  expect(readFileSync(`${path}.damaged`).equals(cut)).toBe(true);
  await store.close();
});

test("one that cannot be opened when it is to be moved stays, and is moved later", async () => {
  const faulty = new FaultyFiles();
  const options = { memoryBytes: 1000, packBytes: 1000, files: faulty.files };
  const { store, said, expired, clock } = await openStore(options);
  await storeResult(store, "short-lived", pattern(500), 1000);
  await storeResult(store, "a", SMALL);
  await storeResult(store, "in the next pack", pattern(900));
  clock.nowMs += 1001;
  faulty.failingReads = 1;
  await store.sweep();
  expect(expired).toEqual(["short-lived"]);
  await store.sweep();
  expect(await bodyOf(store, "a")).toEqual(SMALL);
  expect(said).toEqual([]);
  await store.close();
});

test("a file that the disk cannot read keeps no agent from starting, and is tried again at the next start", async () => {
  const { content } = await pack("a");
  const large = await alone();
  const other = await pack("b");
  const names = [resultFileName(1, "pack"), resultFileName(2, "result"), resultFileName(3, "pack")];
  const [packName = "", largeName = "", otherName = ""] = names;
  const directory = directoryWith({
    [packName]: content,
    [largeName]: large.content,
    [otherName]: other.content,
  });
  const failing = [packName, largeName].map((name) => join(directory, name));
  const orFail =
    <Args extends unknown[]>(call: (...args: Args) => unknown) =>
    async (...args: Args) => {
      if (!failing.includes(String(args[0]))) return await call(...args);
      throw Object.assign(new Error("EIO: i/o error, read"), { code: "EIO" });
    };
  const files = {
    ...REAL_FILES,
    open: orFail(REAL_FILES.open),
    readFile: orFail(REAL_FILES.readFile as (path: string) => unknown),
  } as typeof REAL_FILES;
  const unreadable: string[] = [];
  const { store, said } = await openStore({
    directory,
    files,
    onUnreadable: (path) => unreadable.push(path),
  });
  expect([...store.completeCalls]).toEqual(["b"]);
  expect(unreadable).toEqual(failing);
  expect(said).toEqual([]);
  await store.close();

  const again = await openStore({ directory });
  expect([...again.store.completeCalls].toSorted()).toEqual(["a", "b"]);
  await again.store.close();
  expect(readdirSync(directory)).toContain(otherName);
});

test("a hundred files are kept, the newest", async () => {
  const { content } = await pack("a");
  const damaged = overwritten(content, 8);
  const names = Array.from({ length: 102 }, (_, index) => resultFileName(index + 1, "pack"));
  const directory = directoryWith(Object.fromEntries(names.map((name) => [name, damaged])));
  const { store, said } = await openStore({ directory });
  expect(said).toHaveLength(102);
  expect(readdirSync(directory)).toEqual(names.slice(2).map((name) => `${name}.damaged`));
  await store.close();

  writeFileSync(join(directory, resultFileName(200, "pack")), damaged);
  const again = await openStore({ directory });
  expect(readdirSync(directory)).toHaveLength(100);
  expect(readdirSync(directory).at(-1)).toBe(`${resultFileName(200, "pack")}.damaged`);
  await again.store.close();
});

test("they take a tenth of the responses' room, or are one file", async () => {
  const { content } = await pack("a");
  const damaged = overwritten(content, 8);
  const names = [1, 2, 3, 4].map((number) => resultFileName(number, "pack"));
  for (const [tenth, kept] of [
    [3 * content.length, 3],
    [2 * content.length - 1, 1],
    [1, 1],
  ] as const) {
    const directory = directoryWith(Object.fromEntries(names.map((name) => [name, damaged])));
    const { store } = await openStore({ directory, quotaBytes: 10 * tenth });
    expect(readdirSync(directory)).toEqual(names.slice(-kept).map((name) => `${name}.damaged`));
    await store.close();
  }
});

test("where the file system gives no file a second name, that is said", async () => {
  const { name, content } = await pack("a");
  const directory = directoryWith({ [name]: overwritten(content, 8) });
  const link = () => Promise.reject(new Error("EPERM"));
  const { store, said } = await openStore({ directory, files: { ...REAL_FILES, link } });
  expect(said).toEqual([{ path: join(directory, name), places: 1, asidePath: undefined }]);
  await store.close();
});
