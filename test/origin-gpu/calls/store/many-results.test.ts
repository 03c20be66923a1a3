import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { Journal } from "../../../../origin-gpu/calls/store/journal.ts";
import { temporaryDirectory } from "../../../support/temporary.ts";
import { bodyOf, storeResult, openStore, pattern } from "./result-tools.ts";
import { FaultyFiles } from "./faulty-files.ts";

const CALLS = 100_000;
const AT_A_TIME = 1000;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function usedMemoryBytes(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** As long as the real ones: 128 bits in hex; a SHA-256 in base64url. */
const callName = (index: number) => index.toString(16).padStart(32, "0");
const keyName = (index: number) => index.toString(36).padStart(43, "_");

async function forAll(each: (index: number) => Promise<void>): Promise<void> {
  for (let start = 0; start < CALLS; start += AT_A_TIME) {
    await Promise.all(Array.from({ length: AT_A_TIME }, (_, index) => each(start + index)));
  }
}

describe("a hundred thousand durable calls", () => {
  it(
    "take few files, few fsyncs, and less than 2 KiB of memory each",
    { timeout: 120_000 },
    async () => {
      const faulty = new FaultyFiles();
      const root = temporaryDirectory();
      const { store, directory } = await openStore({
        directory: join(root, "results"),
        files: faulty.files,
      });
      const journal = await Journal.open(join(root, "journal"), { files: faulty.files });
      const before = usedMemoryBytes();
      await forAll(async (index) => {
        const call = callName(index);
        const body = pattern(100, index);
        const fingerprint = { query: "", length: 100, sha256: keyName(index) };
        const key = keyName(index);
        await journal.accept({
          callId: call,
          endpoint: "demo",
          acceptedAtMs: index,
          key,
          fingerprint,
        });
        await storeResult(store, call, body);
        await journal.end(call, { kind: "completed", atMs: index, expiresAtMs: index + 1e9 });
      });
      const perCall = (usedMemoryBytes() - before) / CALLS;
      console.log(`memory per durable call: ${Math.round(perCall)} bytes`);
      expect(perCall).toBeLessThan(2048);
      expect(readdirSync(directory).length).toBeLessThan(10);
      expect(faulty.maxOpen).toBeLessThan(20);
      expect(faulty.syncs).toBeLessThan(2000);
      await Promise.all([store.close(), journal.close()]);

      const again = await openStore({ directory });
      const journalAgain = await Journal.open(join(root, "journal"));
      expect(journalAgain.entries.size).toBe(CALLS);
      for (const index of [0, 7, 49_999, CALLS - 1]) {
        expect(journalAgain.byKey(keyName(index))?.callId).toBe(callName(index));
        expect((await bodyOf(again.store, callName(index)))?.equals(pattern(100, index))).toBe(
          true,
        );
      }
      await Promise.all([again.store.close(), journalAgain.close()]);
    },
  );
});
