import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { mountSmallDisk, type SmallDisk } from "../../../support/small-disk.ts";
import { temporaryDirectory } from "../../../support/temporary.ts";
import {
  begin,
  bodyOf,
  collect,
  diskBytes,
  flipped,
  HEAD,
  storeResult,
  openStore,
  pattern,
} from "./result-tools.ts";
import { FaultyFiles } from "./faulty-files.ts";

const SMALL = pattern(40);
const WRITER = fileURLToPath(new URL("result-writer.ts", import.meta.url));

/** A directory with one file that holds these results, written by a store that was then killed. */
async function writtenFile(bodies: Record<string, Buffer>, memoryBytes: number) {
  const { store, directory } = await openStore({ memoryBytes });
  for (const [call, body] of Object.entries(bodies)) await storeResult(store, call, body);
  await store.close();
  const [name = "", ...others] = readdirSync(directory);
  expect(others).toEqual([]);
  return { name, content: readFileSync(join(directory, name)) };
}

/** Opens a store on a directory with this one file. */
async function openOn(name: string, content: Buffer) {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, name), content);
  return await openStore({ directory });
}

function zeroed(content: Buffer, at: number): Buffer {
  return Buffer.from(content).fill(0, at, at + 8);
}

describe("after a crash", () => {
  it("a pack that is cut at any byte has the results before the cut, whole, and no others", async () => {
    const bodies = { a: pattern(40, 1), b: pattern(0), c: pattern(50, 3) };
    const { name, content } = await writtenFile(bodies, 1000);
    const ends: number[] = [];
    for (const count of [1, 2]) {
      const some = Object.fromEntries(Object.entries(bodies).slice(0, count));
      ends.push((await writtenFile(some, 1000)).content.length);
    }
    ends.push(content.length);
    for (let cut = 0; cut <= content.length; cut += 1) {
      const { store, directory } = await openOn(name, content.subarray(0, cut));
      const whole = ends.filter((end) => end <= cut).length;
      expect([...store.completeCalls]).toEqual(["a", "b", "c"].slice(0, whole));
      for (const [call, body] of Object.entries(bodies).slice(0, whole)) {
        expect((await bodyOf(store, call))?.equals(body)).toBe(true);
        expect(await store.get(call)?.head()).toEqual(HEAD);
      }
      expect(diskBytes(directory)).toBe(ends[whole - 1] ?? 0);
      expect(store.usedBytes).toBe(diskBytes(directory));
      await store.close();
    }
  });

  it("a file of one result that is cut at any byte is no result", async () => {
    const { name, content } = await writtenFile({ a: SMALL }, 0);
    expect(name).toMatch(/\.result$/);
    for (let cut = 0; cut < content.length; cut += 1) {
      const { store, directory } = await openOn(name, content.subarray(0, cut));
      expect([...store.completeCalls]).toEqual([]);
      expect(readdirSync(directory)).toEqual([`${name}.damaged`]);
      await store.close();
    }
    const { store } = await openOn(name, content);
    expect((await bodyOf(store, "a"))?.equals(SMALL)).toBe(true);
    await store.close();
  });

  it("what was not complete is gone, wherever it was cut", async () => {
    const { name, content } = await writtenFile({ a: SMALL }, 0);
    for (const cut of [0, 47, 48, 60, content.length]) {
      const { store, directory } = await openOn(
        name.replace(".result", ".partial"),
        content.subarray(0, cut),
      );
      expect(store.get("a")).toBeUndefined();
      expect(readdirSync(directory)).toEqual([]);
      await store.close();
    }
  });

  it("no one flipped bit of a pack loses a result, and it is mended in the file", async () => {
    const { name, content } = await writtenFile({ a: SMALL, b: SMALL }, 1000);
    for (let bit = 0; bit < 8 * content.length; bit += 7) {
      const { store, directory, mended } = await openOn(name, flipped(content, bit));
      expect([...store.completeCalls]).toEqual(["a", "b"]);
      expect((await bodyOf(store, "b"))?.equals(SMALL)).toBe(true);
      expect(readFileSync(join(directory, name)).equals(content)).toBe(true);
      expect(mended).toEqual([{ path: join(directory, name), bits: 1 }]);
      await store.close();
    }
  });

  it("no one flipped bit of a file of one result loses it, and it is mended in the file", async () => {
    const { name, content } = await writtenFile({ a: SMALL }, 0);
    for (let bit = 0; bit < 8 * content.length; bit += 7) {
      for (const from of [0, SMALL.length - 1]) {
        const { store, directory, said, mended } = await openOn(name, flipped(content, bit));
        const result = store.get("a");
        expect(await result?.head()).toEqual(HEAD);
        const body = await collect(result?.read({ from }) ?? []);
        expect(body.equals(SMALL.subarray(from))).toBe(true);
        expect(readFileSync(join(directory, name)).equals(content)).toBe(true);
        expect(mended).toEqual([{ path: join(directory, name), bits: 1 }]);
        expect(said).toEqual([]);
        await store.close();
      }
    }
  });

  it("a body of an earlier process is checked once, however many read it", async () => {
    const { name, content } = await writtenFile({ a: SMALL }, 0);
    const directory = temporaryDirectory();
    writeFileSync(join(directory, name), content);
    const faulty = new FaultyFiles();
    const { store } = await openStore({ directory, files: faulty.files });
    const { opened } = faulty;
    const read = async (from: number) => await collect(store.get("a")?.read({ from }) ?? []);
    await Promise.all([read(0), read(5), read(39)]);
    expect(faulty.opened - opened).toBe(4);
    await read(1);
    expect(faulty.opened - opened).toBe(5);
    await store.close();
  });

  it("a damaged result in a pack does not take those behind it along", async () => {
    const { name, content } = await writtenFile({ a: SMALL, b: SMALL, c: SMALL }, 1000);
    const record = content.length / 3;
    const { store, said } = await openOn(name, zeroed(content, 2 * record - 8));
    expect([...store.completeCalls]).toEqual(["a", "c"]);
    expect(said).toMatchObject([{ places: 1 }]);
    await store.close();
  });

  it("behind a damaged header nothing of a pack is believed: it may be bytes of a body", async () => {
    const { name, content } = await writtenFile({ a: SMALL, b: SMALL, c: SMALL }, 1000);
    const record = content.length / 3;
    const { store, said } = await openOn(name, zeroed(content, record + 8));
    expect([...store.completeCalls]).toEqual(["a"]);
    expect(said).toMatchObject([{ places: 1 }]);
    await store.close();
  });

  it("a result that was being moved when it happened is there once", async () => {
    const { name, content } = await writtenFile({ a: SMALL }, 1000);
    const directory = temporaryDirectory();
    writeFileSync(join(directory, name), content);
    writeFileSync(join(directory, name.replace("1.pack", "2.pack")), content);
    const { store } = await openStore({ directory });
    expect([...store.completeCalls]).toEqual(["a"]);
    expect((await bodyOf(store, "a"))?.equals(SMALL)).toBe(true);
    expect(diskBytes(directory)).toBe(content.length);
    expect(store.usedBytes).toBe(content.length);
    await store.close();
  });

  it("every response whose completion was reported is there, after a kill -9 at any time", async () => {
    const directory = join(temporaryDirectory(), "results");
    const told = new Set<string>();
    for (const lines of [1, 60, 200]) {
      const writer = spawn(process.execPath, [WRITER, directory]);
      try {
        await readLines(writer, lines, told);
      } finally {
        writer.kill("SIGKILL");
      }
      await once(writer, "exit");
      const { store } = await openStore({ directory: copyOf(directory) });
      for (const line of told) {
        const [call = "", length, seed] = line.split(" ");
        const body = await bodyOf(store, call);
        expect(body?.equals(pattern(Number(length), Number(seed)))).toBe(true);
      }
      expect(readdirSync(directory).length).toBeGreaterThan(0);
      await store.close();
    }
    expect(told.size).toBeGreaterThanOrEqual(261);
  });
});

/** What the writer told until it had said this many lines. */
async function readLines(writer: ChildProcess, lines: number, told: Set<string>): Promise<void> {
  const input = createInterface({ input: writer.stdout as NodeJS.ReadableStream });
  let left = lines;
  for await (const line of input) {
    told.add(line);
    left -= 1;
    if (left === 0) return;
  }
  throw new Error("the writer ended by itself");
}

function copyOf(directory: string): string {
  const copy = join(temporaryDirectory(), "results");
  cpSync(directory, copy, { recursive: true });
  return copy;
}

describe("on a disk that is full", () => {
  let disk: SmallDisk | undefined;
  afterEach(() => {
    disk?.unmount();
    disk = undefined;
  });

  it("the one result fails, clearly, and nothing else", async (context) => {
    disk = mountSmallDisk(512);
    if (disk === undefined) {
      context.skip("needs the right to mount a tmpfs");
      return;
    }
    const directory = disk.path;
    const { store } = await openStore({ directory });
    await storeResult(store, "before", pattern(1000, 1));
    const large = begin(store, "large");
    for (let index = 0; index < 20; index += 1) large.append(pattern(64 * 1024));
    const reading = collect(large.read());
    const full = { code: "results_full", message: "the disk is full" };
    await Promise.all([
      expect(large.complete()).rejects.toMatchObject(full),
      expect(reading).rejects.toMatchObject(full),
    ]);
    expect(store.get("large")).toBeUndefined();
    // Its file is gone, and others have room again.
    await storeResult(store, "after", pattern(1000, 2));

    // Small ones until nothing fits: each one either is stored or fails.
    const stored: string[] = [];
    for (let index = 0; index < 40; index += 1) {
      const result = await storeResult(store, String(index), pattern(20_000, index)).catch(
        (error) => error,
      );
      if (result === undefined) stored.push(String(index));
      else expect(result).toMatchObject(full);
    }
    expect(stored.length).toBeGreaterThan(5);
    expect(stored.length).toBeLessThan(40);
    await store.close();
    const again = await openStore({ directory });
    expect([...again.store.completeCalls]).toEqual(["before", "after", ...stored]);
    for (const call of stored) {
      const body = await bodyOf(again.store, call);
      expect(body?.equals(pattern(20_000, Number(call)))).toBe(true);
    }
    await again.store.close();
  });

  it.each([
    ["small", 1000],
    ["large", 0],
  ])(
    "a %s result fails at whatever byte the disk ends, and leaves nothing",
    async (_size, memoryBytes) => {
      const faulty = new FaultyFiles();
      const { store, directory } = await openStore({ memoryBytes, files: faulty.files });
      await storeResult(store, "before", SMALL);
      const before = diskBytes(directory);
      for (let room = 0; ; room += 1) {
        faulty.roomBytes = room;
        const outcome = await storeResult(store, "a", SMALL).catch((error) => error);
        if (outcome === undefined) break;
        expect(outcome).toMatchObject({ code: "results_full" });
        await store.sweep();
        expect(diskBytes(directory)).toBe(before);
        expect(store.usedBytes).toBe(before);
        expect(room).toBeLessThan(1000);
      }
      expect((await bodyOf(store, "a"))?.equals(SMALL)).toBe(true);
      expect((await bodyOf(store, "before"))?.equals(SMALL)).toBe(true);
      await store.close();
    },
  );

  it("a failed fsync fails the result that waited for it, and the next ones go elsewhere", async () => {
    for (const memoryBytes of [1000, 0]) {
      const faulty = new FaultyFiles();
      const { store, directory } = await openStore({ memoryBytes, files: faulty.files });
      await storeResult(store, "before", SMALL);
      faulty.failingSyncs = 1;
      await expect(storeResult(store, "a", SMALL)).rejects.toMatchObject({
        code: "storage_failed",
      });
      await storeResult(store, "after", SMALL);
      await store.close();
      const again = await openStore({ directory });
      expect([...again.store.completeCalls]).toEqual(["before", "after"]);
      await again.store.close();
    }
  });
});
