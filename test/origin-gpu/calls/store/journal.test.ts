import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MIB } from "../../../../base/units.ts";
import {
  Journal,
  type JournalDamage,
  JournalFullError,
} from "../../../../origin-gpu/calls/store/journal.ts";
import type {
  AcceptedCall,
  CallOutcome,
  JournalEntry,
} from "../../../../origin-gpu/calls/store/journal-record.ts";
import { type Files, isNoSpace, REAL_FILES } from "../../../../origin-gpu/calls/store/files.ts";
import { temporaryDirectory } from "../../../support/temporary.ts";
import { FaultyFiles } from "./faulty-files.ts";

const FINGERPRINT = {
  query: "?a=ü",
  length: 3,
  sha256: "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0",
};
const COMPLETED: CallOutcome = { kind: "completed", atMs: 2000, expiresAtMs: 9000 };
const FAILED: CallOutcome = {
  kind: "failed",
  atMs: 3000,
  expiresAtMs: 5000,
  code: "call_timeout",
  detail: "no answer within 300 s",
};

function accepted(callId: string, key?: string): AcceptedCall {
  const base = { callId, endpoint: "demo/echo", acceptedAtMs: 1000 };
  return key === undefined ? base : { ...base, key };
}

function newPath(): string {
  return join(temporaryDirectory(), "journal");
}

/** What a journal knows, in an order of its own. */
function state(journal: Journal): JournalEntry[] {
  return [...journal.entries.values()].sort((one, other) => one.callId.localeCompare(other.callId));
}

async function reopened(path: string): Promise<JournalEntry[]> {
  const journal = await Journal.open(path);
  await journal.close();
  return state(journal);
}

/** One thing that may happen to a journal. */
type Step =
  | { kind: "accept"; callId: string; key?: string }
  | { kind: "fingerprinted"; callId: string }
  | { kind: "end"; callId: string; outcome: CallOutcome }
  | { kind: "expire"; callId: string };

const callIds = fc.constantFrom("a", "b", "c", "d");
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant("accept" as const),
    callId: callIds,
    key: fc.constantFrom("k1", "k2"),
  }),
  fc.record({ kind: fc.constant("accept" as const), callId: callIds }),
  fc.record({ kind: fc.constant("fingerprinted" as const), callId: callIds }),
  fc.record({
    kind: fc.constant("end" as const),
    callId: callIds,
    outcome: fc.constantFrom(COMPLETED, FAILED),
  }),
  fc.record({ kind: fc.constant("expire" as const), callId: callIds }),
);

/** The body of a request ends after its call has failed, and then the file is rewritten. */
const FAILED_BEFORE_ITS_FINGERPRINT: Step[] = [
  { kind: "accept", callId: "b" },
  { kind: "accept", callId: "a" },
  { kind: "end", callId: "b", outcome: FAILED },
  { kind: "fingerprinted", callId: "b" },
];

async function take(journal: Journal, step: Step): Promise<void> {
  switch (step.kind) {
    case "accept":
      if (!journal.entries.has(step.callId)) await journal.accept(accepted(step.callId, step.key));
      return;
    case "fingerprinted":
      await journal.addFingerprint(step.callId, FINGERPRINT);
      return;
    case "end":
      await journal.end(step.callId, step.outcome);
      return;
    case "expire":
      await journal.expire(step.callId);
  }
}

/** The same history in the simplest form there is. */
function model(history: Step[]): JournalEntry[] {
  const entries = new Map<string, JournalEntry>();
  for (const step of history) {
    const entry = entries.get(step.callId);
    if (step.kind === "accept") {
      if (entry === undefined) entries.set(step.callId, accepted(step.callId, step.key));
    } else if (entry === undefined) continue;
    else if (step.kind === "fingerprinted") {
      if (entry.outcome === FAILED) continue;
      entries.set(step.callId, { ...entry, fingerprint: FINGERPRINT });
    } else if (step.kind === "expire") entries.delete(step.callId);
    else if (entry.outcome === undefined) {
      const { fingerprint, ...others } = entry;
      // A failure is told to every request under the key: what the first one was matters no more.
      const known = step.outcome === COMPLETED ? { fingerprint } : {};
      entries.set(step.callId, { ...others, ...known, outcome: step.outcome });
    }
  }
  return [...entries.values()].sort((one, other) => one.callId.localeCompare(other.callId));
}

describe("the journal", () => {
  it("knows after a restart what it knew before, whatever happened", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(steps, { maxLength: 40, size: "max" }),
        fc.boolean(),
        async (history, small) => {
          const path = newPath();
          const options = small ? { minRewriteBytes: 300 } : {};
          const journal = await Journal.open(path, options);
          for (const step of history) await take(journal, step);
          expect(state(journal)).toEqual(model(history));
          await journal.close();
          expect(await reopened(path)).toEqual(model(history));
        },
      ),
      { numRuns: 100, examples: [[FAILED_BEFORE_ITS_FINGERPRINT, true]] },
    );
  });

  it("knows the same without waits in between, and the file was rewritten in between", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 20, maxLength: 200 }), async (history) => {
        const path = newPath();
        const journal = await Journal.open(path, { minRewriteBytes: 200 });
        await Promise.all(history.map((step) => take(journal, step)));
        await journal.close();
        expect(state(journal)).toEqual(model(history));
        expect(await reopened(path)).toEqual(model(history));
      }),
      { numRuns: 60 },
    );
  });

  it("cut at any byte, is what it was when that much had been written", async () => {
    const path = newPath();
    const journal = await Journal.open(path);
    const states: JournalEntry[][] = [];
    const ends: number[] = [];
    const history: Step[] = [
      { kind: "accept", callId: "a", key: "k1" },
      { kind: "accept", callId: "b" },
      { kind: "fingerprinted", callId: "a" },
      { kind: "end", callId: "a", outcome: COMPLETED },
      { kind: "end", callId: "b", outcome: FAILED },
      { kind: "expire", callId: "a" },
      { kind: "accept", callId: "c", key: "k1" },
    ];
    for (const step of history) {
      await take(journal, step);
      states.push(state(journal));
      ends.push(journal.sizeBytes);
    }
    await journal.close();
    const whole = readFileSync(path);
    const copy = newPath();
    for (let cut = 0; cut <= whole.length; cut += 1) {
      writeFileSync(copy, whole.subarray(0, cut));
      const last = ends.findLastIndex((end) => end <= cut);
      expect(await reopened(copy)).toEqual(states[last] ?? []);
      // What was torn is gone from the file, too: new records follow good ones.
      expect(statSync(copy).size).toBe(ends[last] ?? 0);
    }
  });

  it("loses nothing by any one flipped bit, says so, and puts the file aside", async () => {
    const path = newPath();
    const journal = await Journal.open(path);
    const history: Step[] = ["a", "b", "c"].map((callId) => ({
      kind: "accept",
      callId,
      key: `key of ${callId}`,
    }));
    for (const step of history) await take(journal, step);
    await journal.close();
    const whole = readFileSync(path);
    const copy = newPath();
    for (let bit = 0; bit < 8 * whole.length; bit += 7) {
      const damaged = Buffer.from(whole);
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      writeFileSync(copy, damaged);
      const said: JournalDamage[] = [];
      const again = await Journal.open(copy, { onDamaged: (damage) => said.push(damage) });
      expect(state(again), `bit ${bit}`).toEqual(model(history));
      expect(again.byKey("key of b")?.callId).toBe("b");
      expect(said).toEqual([{ mended: 1, lost: 0, asidePath: `${copy}.damaged` }]);
      await again.close();
      expect(readFileSync(`${copy}.damaged`).equals(damaged)).toBe(true);
      expect(readFileSync(copy).equals(whole)).toBe(true);
    }
  });

  it("loses the records of a damaged sector alone, says so, and puts the file aside", async () => {
    const path = newPath();
    const journal = await Journal.open(path);
    const names = Array.from({ length: 10 }, (_, index) => `call-${index}`);
    const history: Step[] = names.map((callId) => ({ kind: "accept", callId, key: callId }));
    for (const step of history) await take(journal, step);
    await journal.close();
    const whole = readFileSync(path);
    const line = whole.length / names.length;
    const copy = newPath();
    for (let lost = 0; lost < names.length - 1; lost += 1) {
      const damaged = Buffer.from(whole);
      damaged.fill(0, lost * line + 30, lost * line + 60);
      writeFileSync(copy, damaged);
      const said: JournalDamage[] = [];
      const again = await Journal.open(copy, { onDamaged: (damage) => said.push(damage) });
      expect(state(again)).toEqual(model(history.toSpliced(lost, 1)));
      expect(said).toEqual([{ mended: 0, lost: 1, asidePath: `${copy}.damaged` }]);
      await again.accept(accepted("after"));
      await again.close();
      expect((await reopened(copy)).length).toBe(names.length);
      expect(readFileSync(`${copy}.damaged`).equals(damaged)).toBe(true);
    }
  });

  it("goes on behind damage that has no end of a line", async () => {
    const path = newPath();
    const journal = await Journal.open(path);
    for (const callId of ["a", "b"]) await journal.accept(accepted(callId));
    await journal.close();
    const whole = readFileSync(path);
    const half = whole.length / 2;
    const gap = Buffer.alloc(3 * MIB, 0x78);
    writeFileSync(
      path,
      Buffer.concat([whole.subarray(0, half), gap, Buffer.from("\n"), whole.subarray(half)]),
    );
    expect((await reopened(path)).map(({ callId }) => callId)).toEqual(["a", "b"]);
  });

  it("reads a file piece by piece, whatever its size", async () => {
    const path = newPath();
    const journal = await Journal.open(path, { minRewriteBytes: 1e9 });
    const names = Array.from({ length: 30_000 }, (_, index) => `call-${index}`);
    await Promise.all(names.map((callId) => journal.accept(accepted(callId))));
    await journal.close();
    expect(statSync(path).size).toBeGreaterThan(2 * MIB);
    const files: Files = { ...REAL_FILES, readFile: () => Promise.reject(new Error("not whole")) };
    const again = await Journal.open(path, { files });
    expect([...again.entries.keys()]).toEqual(names);
    await again.close();
  });

  it("that is mostly history is rewritten when it is opened and used", async () => {
    const path = newPath();
    const journal = await Journal.open(path, { minRewriteBytes: 1e9 });
    for (let index = 0; index < 1000; index += 1) {
      await journal.accept(accepted(`call-${index}`));
      await journal.expire(`call-${index}`);
    }
    await journal.close();
    const again = await Journal.open(path, { minRewriteBytes: 20_000 });
    await again.accept(accepted("last"));
    await again.close();
    expect(statSync(path).size).toBeLessThan(1000);
    expect((await reopened(path)).map(({ callId }) => callId)).toEqual(["last"]);
  });

  it("forgets the oldest ended calls without a key when there are too many, and no key", async () => {
    const path = newPath();
    const journal = await Journal.open(path, { maxEnded: 20 });
    await journal.accept(accepted("keyed", "k"));
    await journal.end("keyed", FAILED);
    for (let index = 0; index < 100; index += 1) {
      await journal.accept(accepted(`call-${index}`));
      await journal.end(`call-${index}`, FAILED);
    }
    expect(journal.entries.size).toBe(20);
    expect([...journal.entries.keys()].at(-1)).toBe("call-99");
    expect(journal.byKey("k")?.callId).toBe("keyed");
    await journal.close();
    expect(await reopened(path)).toHaveLength(20);
  });

  it("refuses new keys when it remembers as many as it may, and leaves room for other endpoints", async () => {
    const journal = await Journal.open(newPath(), { maxEnded: 10 });
    const accept = async (callId: string, endpoint: string) => {
      await journal.accept({ ...accepted(callId, callId), endpoint });
      await journal.end(callId, FAILED);
    };
    for (let index = 0; index < 9; index += 1) await accept(`first-${index}`, "first");
    await expect(accept("first-9", "first")).rejects.toBeInstanceOf(JournalFullError);
    await accept("second", "second");
    await expect(accept("third", "third")).rejects.toBeInstanceOf(JournalFullError);
    // A call without a key is still accepted, and the oldest such one makes room.
    await journal.accept(accepted("keyless"));
    await journal.end("keyless", FAILED);
    expect(journal.byKey("first-0")?.callId).toBe("first-0");
    await journal.expireDue(FAILED.expiresAtMs);
    await accept("first-9", "first");
    await journal.close();
  });

  it("takes a key however many calls without one have ended: these make room", async () => {
    const path = newPath();
    const journal = await Journal.open(path, { maxEnded: 10 });
    for (let index = 0; index < 20; index += 1) {
      await journal.accept(accepted(`keyless-${index}`));
      await journal.end(`keyless-${index}`, FAILED);
    }
    await journal.accept(accepted("keyed", "k"));
    await journal.end("keyed", FAILED);
    expect(journal.entries.size).toBe(10);
    expect(journal.byKey("k")?.callId).toBe("keyed");
    await journal.close();
  });

  it("that has more ended calls than are remembered holds no more of them while it is read", async () => {
    const path = newPath();
    const journal = await Journal.open(path, { minRewriteBytes: 1e9 });
    await journal.accept(accepted("keyed", "k"));
    await journal.end("keyed", FAILED);
    const names = Array.from({ length: 100 }, (_, index) => `call-${index}`);
    for (const callId of names) {
      await journal.accept(accepted(callId));
      await journal.end(callId, FAILED);
    }
    await journal.close();
    const again = await Journal.open(path, { maxEnded: 20, minRewriteBytes: 1000 });
    expect([...again.entries.keys()]).toEqual(["keyed", ...names.slice(-19)]);
    const before = statSync(path).size;
    await again.accept(accepted("last"));
    await again.close();
    expect(statSync(path).size).toBeLessThan(before / 2);
    expect(await reopened(path)).toHaveLength(21);
  });

  it("knows after a restart which calls may have started", async () => {
    const path = newPath();
    const journal = await Journal.open(path);
    for (const callId of ["a", "b", "c"]) await journal.accept(accepted(callId));
    await journal.start("a", 1500);
    await journal.start("b", 1500);
    await journal.requeue("b");
    await journal.close();
    const started = (await reopened(path)).map(({ startedAtMs }) => startedAtMs);
    expect(started).toEqual([1500, undefined, undefined]);
  });

  it("goes on after a torn end", async () => {
    const path = newPath();
    const journal = await Journal.open(path);
    await journal.accept(accepted("a"));
    await journal.close();
    writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from("0badcafe {")]));
    const again = await Journal.open(path);
    await again.accept(accepted("b"));
    await again.close();
    expect((await reopened(path)).map(({ callId }) => callId)).toEqual(["a", "b"]);
  });

  it("skips a record of a kind that only a newer agent knows", async () => {
    const path = newPath();
    // CRC-32 of the JSON, computed with another program.
    writeFileSync(path, '1db39dcd {"kind":"renamed","call":"a"}\n');
    const journal = await Journal.open(path);
    await journal.accept(accepted("b"));
    await journal.close();
    expect((await reopened(path)).map(({ callId }) => callId)).toEqual(["b"]);
    expect(readFileSync(path, "utf8")).toContain("renamed");
  });

  it("finds a call by its key until it expires, then the key is free", async () => {
    const journal = await Journal.open(newPath());
    const first = journal.accept(accepted("a", "k"));
    // A request that comes while the fsync runs joins.
    expect(journal.byKey("k")?.callId).toBe("a");
    await first;
    await journal.end("a", COMPLETED);
    expect(journal.byKey("k")?.outcome).toEqual(COMPLETED);
    await journal.expire("a");
    expect(journal.byKey("k")).toBeUndefined();
    await journal.accept(accepted("b", "k"));
    await journal.expire("a");
    expect(journal.byKey("k")?.callId).toBe("b");
    await journal.close();
  });

  it("accepts a call once", async () => {
    const journal = await Journal.open(newPath());
    await journal.accept(accepted("a"));
    await expect(journal.accept(accepted("a"))).rejects.toThrow("in the journal already");
    expect(journal.entries.has("a")).toBe(true);
    await journal.close();
  });

  it("keeps the first outcome", async () => {
    const journal = await Journal.open(newPath());
    await journal.accept(accepted("a"));
    await Promise.all([journal.end("a", FAILED), journal.end("a", COMPLETED)]);
    expect(journal.entries.get("a")?.outcome).toEqual(FAILED);
    await journal.close();
  });

  it("cuts an explanation that is far too long", async () => {
    const journal = await Journal.open(newPath());
    await journal.accept(accepted("a"));
    await journal.end("a", { ...FAILED, detail: "x".repeat(100_000) });
    expect(journal.entries.get("a")?.outcome?.detail).toHaveLength(200);
    expect(journal.sizeBytes).toBeLessThan(2000);
    await journal.close();
  });

  it("forgets what is due, and nothing that still runs", async () => {
    const journal = await Journal.open(newPath());
    for (const callId of ["a", "b", "c"]) await journal.accept(accepted(callId));
    await journal.end("a", COMPLETED);
    await journal.end("b", FAILED);
    expect(await journal.expireDue(4999)).toEqual([]);
    expect(await journal.expireDue(5000)).toEqual(["b"]);
    expect(await journal.expireDue(1e15)).toEqual(["a"]);
    expect([...journal.entries.keys()]).toEqual(["c"]);
    await journal.close();
  });

  it("refuses a call that finds no room, without a trace, and goes on when there is room", async () => {
    const faulty = new FaultyFiles();
    const path = newPath();
    const journal = await Journal.open(path, { files: faulty.files });
    await journal.accept(accepted("a"));
    faulty.roomBytes = 20;
    const refused = journal.accept(accepted("b", "k"));
    await expect(refused).rejects.toSatisfy(isNoSpace);
    expect([...journal.entries.keys()]).toEqual(["a"]);
    expect(journal.byKey("k")).toBeUndefined();
    faulty.roomBytes = Number.POSITIVE_INFINITY;
    await journal.accept(accepted("b", "k"));
    await journal.close();
    expect((await reopened(path)).map(({ callId }) => callId)).toEqual(["a", "b"]);
  });

  it("refuses the calls of a failed fsync alone, and writes itself anew", async () => {
    const faulty = new FaultyFiles();
    const path = newPath();
    const journal = await Journal.open(path, { files: faulty.files });
    await journal.accept(accepted("a"));
    faulty.failingSyncs = 1;
    await expect(journal.accept(accepted("b"))).rejects.toThrow("EIO");
    await journal.accept(accepted("c"));
    await journal.close();
    expect((await reopened(path)).map(({ callId }) => callId)).toEqual(["a", "c"]);
  });

  it("stays small however many calls come and go, with few fsyncs", async () => {
    const faulty = new FaultyFiles();
    const path = newPath();
    const journal = await Journal.open(path, { files: faulty.files, minRewriteBytes: 20_000 });
    let largest = 0;
    for (let round = 0; round < 50; round += 1) {
      const names = Array.from({ length: 100 }, (_, index) => `${round}-${index}`);
      await Promise.all(
        names.map((callId) => journal.accept(accepted(callId, `key of ${callId}`))),
      );
      await Promise.all(names.map((callId) => journal.end(callId, COMPLETED)));
      await Promise.all(names.map((callId) => journal.expire(callId)));
      largest = Math.max(largest, statSync(path).size);
    }
    // 15,000 records of some 100 bytes would be 1.5 MB.
    expect(largest).toBeLessThan(150_000);
    expect(faulty.syncs).toBeLessThan(400);
    await journal.close();
    expect(await reopened(path)).toEqual([]);
  });
});
