import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { REAL_FILES } from "../../../../origin-gpu/calls/store/files.ts";
import { RequestStore } from "../../../../origin-gpu/calls/store/request-store.ts";
import type { WaitingCall } from "../../../../origin-gpu/calls/store/waiting-call.ts";
import { temporaryDirectory } from "../../../support/temporary.ts";
import { FaultyFiles } from "./faulty-files.ts";

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

test("a file in which no call waits is removed at the start; one with another name stays", async () => {
  const { directory } = await written();
  writeFileSync(join(directory, "README"), "not mine");
  const { store, waiting: found } = await open(directory, []);
  expect(found).toEqual([]);
  await store.close();
  expect(readdirSync(directory)).toEqual(["README"]);
});

test("one flipped bit is mended, but for one in a record's lengths", async () => {
  const { path } = await written();
  const whole = readFileSync(path);
  const directory = temporaryDirectory();
  const copy = join(directory, "000000000001.requests");
  let mended = 0;
  for (let bit = 0; bit < 8 * whole.length; bit += 5) {
    const damaged = Buffer.from(whole);
    damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
    writeFileSync(copy, damaged);
    const { store, waiting: found } = await open(directory);
    expect(found).toEqual(CALLS.slice(0, found.length));
    if (found.length === CALLS.length) mended += 1;
    await store.close();
  }
  // Only the eight bytes of a record's lengths are beyond repair.
  expect(mended / Math.ceil((8 * whole.length) / 5)).toBeGreaterThan(0.85);
});

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
