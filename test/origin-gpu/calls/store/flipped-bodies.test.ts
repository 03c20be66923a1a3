/** Flipped bits in the bodies of large results: one in each block loses nothing, and nothing wrong is ever served. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { BLOCK_BYTES, BlockChecksums } from "../../../../origin-gpu/calls/store/body-blocks.ts";
import { REAL_FILES } from "../../../../origin-gpu/calls/store/files.ts";
import { encodeMeta, encodeRecord } from "../../../../origin-gpu/calls/store/result-record.ts";
import { resultFileName } from "../../../../origin-gpu/calls/store/result-recovery.ts";
import { temporaryDirectory } from "../../../support/temporary.ts";
import { FaultyFiles } from "./faulty-files.ts";
import {
  begin,
  bodyOf,
  collect,
  flipped,
  HEAD,
  openStore,
  pattern,
  storeResult,
} from "./result-tools.ts";

/** More than one read, and a last block that is not full. */
const BODY = pattern(70_001);
const BLOCKS = Math.ceil(BODY.length / BLOCK_BYTES);
const CHECKSUM_BYTES = 4 * BLOCKS;

/** A file of one result, as an earlier agent left it. */
async function written() {
  const { store, directory } = await openStore();
  await storeResult(store, "a", BODY);
  await store.close();
  const [name = ""] = readdirSync(directory);
  const content = readFileSync(join(directory, name));
  return { name, content, bodyStart: content.length - CHECKSUM_BYTES - BODY.length };
}

async function openOn(name: string, content: Buffer, files = REAL_FILES) {
  const directory = temporaryDirectory();
  const path = join(directory, name);
  writeFileSync(path, content);
  return { path, ...(await openStore({ directory, files })) };
}

/** Flips a bit of a file that is in use. */
function flipIn(path: string, bit: number): void {
  writeFileSync(path, flipped(readFileSync(path), bit), { flag: "r+" });
}

test("one flipped bit of a large body, or of its checksums, is mended before a byte of it is read", async () => {
  const { name, content, bodyStart } = await written();
  for (let bit = 8 * bodyStart; bit < 8 * content.length; bit += 4_001) {
    const from = (bit * 31) % BODY.length;
    const { store, path, said, mended } = await openOn(name, flipped(content, bit));
    const body = await collect(store.get("a")?.read({ from }) ?? []);
    expect(body.equals(BODY.subarray(from))).toBe(true);
    expect(mended).toEqual([{ path, bits: 1 }]);
    expect(said).toEqual([]);
    expect(readFileSync(path).equals(content)).toBe(true);
    await store.close();
  }
});

test("one flipped bit in each block, and one in a checksum, are mended together", async () => {
  const { name, content, bodyStart } = await written();
  let damaged: Buffer = content;
  for (let block = 1; block < BLOCKS; block += 1) {
    damaged = flipped(damaged, 8 * (bodyStart + block * BLOCK_BYTES) + 11 * block);
  }
  damaged = flipped(damaged, 8 * (bodyStart + BODY.length) + 5);
  const { store, path, mended } = await openOn(name, damaged);
  expect((await bodyOf(store, "a"))?.equals(BODY)).toBe(true);
  expect(mended).toEqual([{ path, bits: BLOCKS }]);
  expect(readFileSync(path).equals(content)).toBe(true);
  await store.close();
});

test("two flipped bits of a block are never taken for one", async () => {
  const { name, content, bodyStart } = await written();
  const bits = 8 * BLOCK_BYTES;
  const two = fc.tuple(fc.nat(BLOCKS - 2), fc.nat(bits - 1), fc.nat(bits - 1));
  await fc.assert(
    fc.asyncProperty(two, async ([block, one, other]) => {
      fc.pre(one !== other);
      const start = 8 * (bodyStart + block * BLOCK_BYTES);
      const damaged = flipped(flipped(content, start + one), start + other);
      const { store, path, said, mended } = await openOn(name, damaged);
      await expect(bodyOf(store, "a")).rejects.toMatchObject({ code: "damaged" });
      expect(said).toEqual([{ path, places: 1, asidePath: `${path}.damaged` }]);
      expect(readFileSync(`${path}.damaged`).equals(damaged)).toBe(true);
      expect(mended).toEqual([]);
      expect(store.get("a")).toBeUndefined();
      await store.close();
    }),
    { numRuns: 40 },
  );
});

test.each([
  ["large", BODY],
  ["small", pattern(500)],
])("a bit of a %s body that flips while the agent runs reaches no client", async (_, body) => {
  const { store, directory, said, mended } = await openStore();
  const spool = begin(store, "a");
  spool.append(body);
  await spool.complete();
  const [name = ""] = readdirSync(directory);
  const path = join(directory, name);
  const content = readFileSync(path);
  const bodyStart = content.indexOf(body.subarray(0, 100));
  for (const [round, at] of [0, 100, body.length - 1].entries()) {
    flipIn(path, 8 * (bodyStart + at) + 3);
    // One that came while the response was stored reads the same file.
    const reader = round === 1 ? spool : store.get("a");
    const read = await collect(reader?.read({ from: 10 * round }) ?? []);
    expect(read.equals(body.subarray(10 * round))).toBe(true);
    await vi.waitFor(() => expect(mended).toHaveLength(round + 1));
    expect(mended.at(-1)).toEqual({ path, bits: 1 });
    expect(readFileSync(path).equals(content)).toBe(true);
  }
  expect(said).toEqual([]);
  await store.close();
});

test("a bit of a head that flips while the agent runs reaches no client", async () => {
  const { store, directory } = await openStore();
  await storeResult(store, "a", BODY);
  const [name = ""] = readdirSync(directory);
  flipIn(join(directory, name), 8 * 70);
  expect(await store.get("a")?.head()).toEqual(HEAD);
  await store.close();
});

test("a body that is damaged while the agent runs breaks off, and is said and kept aside", async () => {
  const { store, directory, said, expired } = await openStore();
  await storeResult(store, "a", BODY);
  const [name = ""] = readdirSync(directory);
  const path = join(directory, name);
  const content = readFileSync(path);
  writeFileSync(path, content.fill(0x5a, content.length - 1000, content.length - 900));
  const parts: Uint8Array[] = [];
  const reading = (async () => {
    for await (const part of store.get("a")?.read() ?? []) parts.push(part);
  })();
  await expect(reading).rejects.toMatchObject({ code: "damaged" });
  const got = Buffer.concat(parts);
  expect(got.equals(BODY.subarray(0, got.length))).toBe(true);
  await vi.waitFor(() => expect(expired).toEqual(["a"]));
  expect(said).toEqual([{ path, places: 1, asidePath: `${path}.damaged` }]);
  await store.close();
});

test("where the disk takes no write, a mended body is served all the same", async () => {
  const { name, content, bodyStart } = await written();
  const faulty = new FaultyFiles();
  const damaged = flipped(content, 8 * bodyStart);
  const { store, path, said } = await openOn(name, damaged, faulty.files);
  faulty.failingWrites = Infinity;
  for (const from of [0, 1, BODY.length - 1]) {
    const body = await collect(store.get("a")?.read({ from }) ?? []);
    expect(body.equals(BODY.subarray(from))).toBe(true);
  }
  expect(readFileSync(path).equals(damaged)).toBe(true);
  expect(said).toEqual([]);
  await store.close();
});

test("where the disk takes no write, the store opens, and a mended head is served all the same", async () => {
  const { name, content } = await written();
  for (const bit of [8 * 20, 8 * 60]) {
    const faulty = new FaultyFiles();
    faulty.failingWrites = Infinity;
    const { store } = await openOn(name, flipped(content, bit), faulty.files);
    expect(await store.get("a")?.head()).toEqual(HEAD);
    await store.close();
  }
});

test("a part of a large body is the part that was asked for", async () => {
  const { name, content } = await written();
  const { store } = await openOn(name, content);
  await fc.assert(
    fc.asyncProperty(fc.nat(BODY.length), fc.nat(BODY.length), async (from, length) => {
      const to = from + length;
      const part = await collect(store.get("a")?.read({ from, to }) ?? []);
      expect(part.equals(BODY.subarray(from, to))).toBe(true);
    }),
  );
  await store.close();
});

test("the checksums are the same, whatever the pieces that the body comes in", () => {
  const whole = new BlockChecksums();
  whole.add(BODY);
  const expected = whole.encode();
  expect(expected).toHaveLength(CHECKSUM_BYTES);
  fc.assert(
    fc.property(fc.array(fc.nat(20_000), { maxLength: 20 }), (lengths) => {
      const checksums = new BlockChecksums();
      let at = 0;
      for (const length of lengths) {
        checksums.add(BODY.subarray(at, at + length));
        at += length;
      }
      checksums.add(BODY.subarray(at));
      expect(checksums.encode().equals(expected)).toBe(true);
    }),
  );
});

/** A large result as it was written when one checksum was all that a body had. */
function undivided(body: Buffer): { name: string; content: Buffer } {
  const times = { completedAtMs: 1_000_000, expiresAtMs: 2_000_000 };
  const meta = encodeMeta({ callId: "a", endpoint: "demo/echo", head: HEAD });
  return { name: resultFileName(1, "result"), content: encodeRecord(times, meta, body).record };
}

test("a large result without checksums of blocks is served, or is found damaged", async () => {
  const { name, content } = undivided(BODY);
  const whole = await openOn(name, content);
  expect((await bodyOf(whole.store, "a"))?.equals(BODY)).toBe(true);
  expect((await collect(whole.store.get("a")?.read({ from: 69_000 }) ?? [])).length).toBe(1001);
  await whole.store.close();
  for (const bit of [8 * (content.length - BODY.length), 8 * content.length - 1]) {
    const { store, said } = await openOn(name, flipped(content, bit));
    await expect(bodyOf(store, "a")).rejects.toMatchObject({ code: "damaged" });
    expect(said).toHaveLength(1);
    await store.close();
  }
});
