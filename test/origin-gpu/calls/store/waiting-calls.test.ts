import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { REAL_FILES } from "../../../../origin-gpu/calls/store/files.ts";
import {
  readWaitingCalls,
  type WaitingCall,
  writeWaitingCalls,
} from "../../../../origin-gpu/calls/store/waiting-calls.ts";
import { temporaryDirectory } from "../../../support/temporary.ts";
import { FaultyFiles } from "./faulty-files.ts";

function waiting(callId: string, body: string): WaitingCall {
  const head = { callId, endpoint: "e", method: "POST", target: "/ä", headers: ["a", "ü"] };
  return { head, body: Buffer.from(body), ttlMs: 1000, isPromised: body !== "" };
}

const CALLS = [waiting("a", "one"), waiting("b", ""), waiting("c", "three")];

test("calls that wait are read as they were written, and a later list replaces them", async () => {
  const directory = temporaryDirectory();
  const path = join(directory, "waiting");
  expect(await readWaitingCalls(REAL_FILES, path)).toEqual([]);
  await writeWaitingCalls(REAL_FILES, path, CALLS);
  expect(await readWaitingCalls(REAL_FILES, path)).toEqual(CALLS);
  await writeWaitingCalls(REAL_FILES, path, CALLS.slice(1, 2));
  expect(await readWaitingCalls(REAL_FILES, path)).toEqual(CALLS.slice(1, 2));
  await writeWaitingCalls(REAL_FILES, path, []);
  expect(readdirSync(directory)).toEqual([]);
});

test("no damaged call is read, wherever the file is cut or changed", async () => {
  const path = join(temporaryDirectory(), "waiting");
  await writeWaitingCalls(REAL_FILES, path, CALLS);
  const whole = readFileSync(path);
  for (let at = 0; at < whole.length; at += 1) {
    const damaged = Buffer.from(whole);
    damaged[at] = (damaged[at] as number) ^ 0x20;
    for (const content of [damaged, whole.subarray(0, at)]) {
      writeFileSync(path, content);
      const read = await readWaitingCalls(REAL_FILES, path);
      expect(read.length).toBeLessThan(CALLS.length);
      expect(read).toEqual(CALLS.slice(0, read.length));
    }
  }
});

test("a full disk leaves the file as it was", async () => {
  const directory = temporaryDirectory();
  const path = join(directory, "waiting");
  const faulty = new FaultyFiles();
  await writeWaitingCalls(faulty.files, path, CALLS);
  faulty.roomBytes = 10;
  await expect(writeWaitingCalls(faulty.files, path, CALLS)).rejects.toThrow("ENOSPC");
  expect(readdirSync(directory)).toEqual(["waiting"]);
  expect(await readWaitingCalls(REAL_FILES, path)).toEqual(CALLS);
});
