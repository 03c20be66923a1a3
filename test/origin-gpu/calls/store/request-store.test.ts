import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { expect, test, vi } from "vitest";
import { BLOCK_BYTES } from "../../../../origin-gpu/calls/store/body-blocks.ts";
import { REAL_FILES } from "../../../../origin-gpu/calls/store/files.ts";
import { RequestStore } from "../../../../origin-gpu/calls/store/request-store.ts";
import type { WaitingCall } from "../../../../origin-gpu/calls/store/waiting-call.ts";
import { temporaryDirectory } from "../../../support/temporary.ts";
import { FaultyFiles } from "./faulty-files.ts";
import { flipped, pattern } from "./result-tools.ts";

function waiting(callId: string, body: string | Uint8Array): WaitingCall {
  const head = { callId, endpoint: "e", method: "POST", target: "/ä", headers: ["a", "ü"] };
  return { head, body: Buffer.from(body), ttlMs: 1000 };
}

const CALLS = [waiting("a", "one"), waiting("b", ""), waiting("c", "three")];

/** Opens a directory in which all of these calls wait. */
async function open(directory: string, callIds = ["a", "b", "c"], files = REAL_FILES) {
  return await RequestStore.open(files, directory, ({ head }) => callIds.includes(head.callId));
}

async function written(): Promise<{ directory: string; path: string }> {
  const directory = temporaryDirectory();
  const { store } = await open(directory);
  await Promise.all(CALLS.map(async (call) => await store.add(call)));
  await store.close();
  const [name = "", ...others] = readdirSync(directory);
  expect(others).toEqual([]);
  return { directory, path: join(directory, name) };
}

test("a later agent finds the requests of calls that wait, and removes them when they start", async () => {
  const { directory } = await written();
  const { store, waiting: found } = await open(directory, ["a", "c"]);
  expect(found).toEqual([CALLS[0], CALLS[2]]);
  expect(["a", "b", "c"].map((callId) => store.has(callId))).toEqual([true, false, true]);
  store.remove("a");
  store.remove("a");
  expect(readdirSync(directory)).toHaveLength(1);
  store.remove("c");
  await store.close();
  expect(readdirSync(directory)).toEqual([]);
});

test("of a call that was saved twice the later request is found, again and again, and nothing is left of it in the end", async () => {
  const { directory } = await written();
  const first = await open(directory);
  const later = { ...waiting("a", "one"), attached: { graceMs: 5 } };
  await first.store.add(later);
  await first.store.add({ ...later, ttlMs: 2_000 });
  await first.store.close();
  for (let start = 0; start < 2; start += 1) {
    const { store, waiting: found } = await open(directory, ["a"]);
    expect(found).toEqual([{ ...later, ttlMs: 2_000 }]);
    await store.close();
    // The file that had the first one alone is gone.
    expect(readdirSync(directory)).toHaveLength(1);
  }
  const { store } = await open(directory, ["a"]);
  store.remove("a");
  await store.close();
  expect(readdirSync(directory)).toEqual([]);
});

test("a file in which no call waits is removed at the start; one with another name stays", async () => {
  const { directory } = await written();
  writeFileSync(join(directory, "README"), "not mine");
  const { store, waiting: found } = await open(directory, []);
  expect(found).toEqual([]);
  await store.close();
  expect(readdirSync(directory)).toEqual(["README"]);
});

test("any one flipped bit is mended", async () => {
  const { path } = await written();
  const whole = readFileSync(path);
  const directory = temporaryDirectory();
  const copy = join(directory, "000000000001.requests");
  for (let bit = 0; bit < 8 * whole.length; bit += 3) {
    writeFileSync(copy, flipped(whole, bit));
    const { store, waiting: found } = await open(directory);
    expect(found, `bit ${bit}`).toEqual(CALLS);
    await store.close();
  }
});

test("one flipped bit in each block of a large body is mended; two in one are found", async () => {
  const directory = temporaryDirectory();
  const call = waiting("a", pattern(5 * BLOCK_BYTES + 1));
  const { store: writing } = await open(directory);
  await writing.add(call);
  await writing.close();
  const [name = ""] = readdirSync(directory);
  const path = join(directory, name);
  const whole = readFileSync(path);
  const bodyStart = 8 * (whole.length - call.body.length);
  let damaged: Buffer = whole;
  for (let block = 0; block < 6; block += 1) {
    damaged = flipped(damaged, bodyStart + 8 * block * BLOCK_BYTES + block);
  }
  writeFileSync(path, damaged);
  const { store, waiting: found } = await open(directory);
  expect(found).toEqual([call]);
  await store.close();
  const two = flipped(damaged, bodyStart + 4_000);
  writeFileSync(path, two);
  expect((await open(directory)).waiting).toEqual([]);
});

test("a record that two lengths would mend is not believed", async () => {
  const directory = temporaryDirectory();
  const { store: writing } = await open(directory);
  // The checksum of bytes with their own checksum behind them is always the same.
  const half = withChecksum(pattern(60));
  const body = withChecksum(Buffer.concat([half, pattern(60)]));
  const call = waiting("a", body);
  await writing.add(call);
  await writing.close();
  const [name = ""] = readdirSync(directory);
  const path = join(directory, name);
  const whole = readFileSync(path);
  for (const [length, expected] of [
    [body.length + 1, [call]],
    // One bit from that of the whole body, and one from that of its half.
    [body.length + half.length, []],
  ] as const) {
    whole.writeUInt32BE(length, 8);
    writeFileSync(path, whole);
    const { store, waiting: found } = await open(directory);
    expect(found).toEqual(expected);
    await store.close();
  }
});

function withChecksum(bytes: Buffer): Buffer {
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32LE(crc32(bytes));
  return Buffer.concat([bytes, checksum]);
}

test("a file with a damaged request is told of", async () => {
  const { directory, path } = await written();
  const content = readFileSync(path);
  writeFileSync(path, content.fill(0, content.indexOf("one"), content.indexOf("one") + 3));
  const said: string[] = [];
  const { store, waiting: found } = await RequestStore.open(
    REAL_FILES,
    directory,
    () => true,
    (damaged) => said.push(damaged),
  );
  expect(found).toEqual([]);
  expect(said).toEqual([path]);
  await store.close();
});

test("a file that the disk cannot read whole keeps no agent from starting, and is told of", async () => {
  const { directory, path } = await written();
  const faulty = new FaultyFiles();
  // The second record.
  faulty.unreadableFrom = readFileSync(path).indexOf("one") + 3;
  const said: string[] = [];
  const { store, waiting: found } = await RequestStore.open(
    faulty.files,
    directory,
    () => true,
    (damaged) => said.push(damaged),
  );
  expect(found).toEqual([CALLS[0]]);
  expect(said).toEqual([path]);
  await store.close();
});

test("no damaged request is found, wherever its file is cut or overwritten", async () => {
  const { path } = await written();
  const whole = readFileSync(path);
  const directory = temporaryDirectory();
  const copy = join(directory, "000000000001.requests");
  for (let at = 0; at < whole.length; at += 1) {
    const damaged = Buffer.from(whole);
    for (let index = at; index < Math.min(at + 4, whole.length); index += 1) {
      damaged[index] = (damaged[index] as number) ^ 0x5a;
    }
    for (const content of [damaged, whole.subarray(0, at)]) {
      writeFileSync(copy, content);
      const { store, waiting: found } = await open(directory);
      expect(found.length).toBeLessThan(CALLS.length);
      expect(found).toEqual(CALLS.slice(0, found.length));
      await store.close();
    }
  }
});

test("a hundred waiting calls share files and syncs, and nothing is left of them when they have run", async () => {
  const faulty = new FaultyFiles();
  const directory = temporaryDirectory();
  const { store } = await open(directory, [], faulty.files);
  const callIds = Array.from({ length: 100 }, (_, index) => `call-${index}`);
  const body = new Uint8Array(20_000);
  await Promise.all(callIds.map(async (callId) => await store.add(waiting(callId, body))));
  expect(readdirSync(directory)).toHaveLength(1);
  expect(faulty.syncs).toBeLessThan(10);
  for (const callId of callIds) store.remove(callId);
  // The next ones do not find the old file: it was large.
  await vi.waitFor(() => expect(readdirSync(directory)).toEqual([]));
  await store.close();
});

test("a full disk refuses a request, and takes the next one when there is room", async () => {
  const faulty = new FaultyFiles();
  const directory = temporaryDirectory();
  const { store } = await open(directory, [], faulty.files);
  faulty.roomBytes = 10;
  await expect(store.add(waiting("a", "one"))).rejects.toThrow("ENOSPC");
  expect(store.has("a")).toBe(false);
  faulty.roomBytes = Number.POSITIVE_INFINITY;
  await store.add(waiting("b", "two"));
  await store.close();
  expect((await open(directory)).waiting).toEqual([waiting("b", "two")]);
});
