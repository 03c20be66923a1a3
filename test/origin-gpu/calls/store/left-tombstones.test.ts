/** The file in which an agent that ends leaves its tombstones: read once, or not at all. */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { checkedLine } from "../../../../origin-gpu/calls/store/checked-line.ts";
import { REAL_FILES } from "../../../../origin-gpu/calls/store/files.ts";
import {
  leaveTombstones,
  takeTombstones,
} from "../../../../origin-gpu/calls/store/left-tombstones.ts";
import { temporaryDirectory } from "../../../support/temporary.ts";

const LEFT = { knownForMs: 5000, callIds: ["a", "b"] };

test("one agent takes what the last one left, and no later one does", async () => {
  const directory = temporaryDirectory();
  await leaveTombstones(directory, { knownForMs: 1, callIds: [] });
  await leaveTombstones(directory, LEFT, 1_000);
  expect(statSync(join(directory, "tombstones")).mode & 0o777).toBe(0o600);
  expect(await takeTombstones(directory, 1_000)).toEqual(LEFT);
  expect(readdirSync(directory)).toEqual([]);
  expect(await takeTombstones(directory, 1_000)).toBeUndefined();
});

test("an agent knows of the time between the two as well, whatever has happened to the clock", async () => {
  const directory = temporaryDirectory();
  const before = performance.now();
  await leaveTombstones(directory, LEFT);
  vi.useFakeTimers({ toFake: ["Date"], now: 0 });
  onTestFinished(() => void vi.useRealTimers());
  const taken = await takeTombstones(directory);
  expect(taken?.callIds).toEqual(LEFT.callIds);
  expect(taken?.knownForMs).toBeGreaterThan(LEFT.knownForMs);
  expect(taken?.knownForMs).toBeLessThanOrEqual(LEFT.knownForMs + performance.now() - before);
});

test("a part of the file, or another content, is nothing, and is gone then", async () => {
  const directory = temporaryDirectory();
  const path = join(directory, "tombstones");
  await leaveTombstones(directory, LEFT, 1_000);
  const whole = readFileSync(path);
  for (let length = 0; length < whole.length; length += 1) {
    writeFileSync(path, whole.subarray(0, length));
    expect(await takeTombstones(directory), `${length} bytes`).toBeUndefined();
    expect(readdirSync(directory)).toEqual([]);
  }
  for (const at of whole.keys()) {
    const flipped = Buffer.from(whole);
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    writeFileSync(path, flipped);
    // Of the newline nothing depends.
    const expected = at === whole.length - 1 ? LEFT : undefined;
    expect(await takeTombstones(directory, 1_000), `byte ${at}`).toEqual(expected);
  }
});

test.each(["unlink", "open"] as const)(
  "what can't be taken from the disk for certain is not believed: %s fails",
  async (operation) => {
    const directory = temporaryDirectory();
    await leaveTombstones(directory, LEFT);
    const files = { ...REAL_FILES, [operation]: () => Promise.reject(new Error("EIO")) };
    expect(await takeTombstones(directory, undefined, files)).toBeUndefined();
  },
);

test("a disk that takes nothing leaves nothing, and no error", async () => {
  const directory = join(temporaryDirectory(), "missing");
  await leaveTombstones(directory, LEFT);
  expect(await takeTombstones(directory)).toBeUndefined();
});

test.each([
  [59_999, { ...LEFT, knownForMs: LEFT.knownForMs + 59_999 }],
  [60_000, undefined],
  // The machine has started anew.
  [-1, undefined],
])("after %i ms it is %o", async (afterMs, expected) => {
  const directory = temporaryDirectory();
  await leaveTombstones(directory, LEFT, 1_000_000);
  expect(await takeTombstones(directory, 1_000_000 + afterMs)).toEqual(expected);
});

test.each([
  {},
  { leftAtMs: 0, knownForMs: -1, callIds: [] },
  { leftAtMs: 0, knownForMs: 1, callIds: [1] },
  { leftAtMs: 0, callIds: [] },
  [],
])("%o is nothing that an agent left", async (content) => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "tombstones"), checkedLine(JSON.stringify(content)));
  expect(await takeTombstones(directory, 0)).toBeUndefined();
});
