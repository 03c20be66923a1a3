import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { resultFailure } from "../../../../origin-gpu/calls/store/result-error.ts";
import {
  begin,
  bodyOf,
  collect,
  diskBytes,
  HEAD,
  storeResult,
  openStore,
  pattern,
} from "./result-tools.ts";
import { FaultyFiles } from "./faulty-files.ts";

const KIB = 1024;
const SMALL = pattern(300);
const LARGE = pattern(200 * KIB);

describe("a stored response", () => {
  it.each([
    ["empty", 0],
    ["small", 300],
    ["as large as fits in memory", 64 * KIB],
    ["one byte larger", 64 * KIB + 1],
    ["large", 3_000_000],
  ])("that is %s can be read again and again, also by the next process", async (_what, length) => {
    const body = pattern(length);
    const { store, directory } = await openStore();
    await storeResult(store, "a", body);
    for (const each of [store, (await openStore({ directory })).store]) {
      const result = each.get("a");
      expect(result?.bodyBytes).toBe(length);
      expect(await result?.head()).toEqual(HEAD);
      expect((await bodyOf(each, "a"))?.equals(body)).toBe(true);
      expect((await bodyOf(each, "a"))?.equals(body)).toBe(true);
      expect(diskBytes(directory)).toBe(each.usedBytes);
      await each.close();
    }
  });

  it("is read from any byte to any byte, by many, while it comes and afterwards", async () => {
    const reads = fc.record({
      /** After how many chunks the reader comes. */
      after: fc.nat({ max: 10 }),
      from: fc.nat({ max: 120 }),
      length: fc.oneof(fc.nat({ max: 60 }), fc.constant(Number.POSITIVE_INFINITY)),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 8 }),
        fc.array(reads, { minLength: 1, maxLength: 6 }),
        fc.constantFrom(0, 1, 30, 1000),
        fc.boolean(),
        async (chunks, readers, memoryBytes, declared) => {
          const whole = Buffer.concat(chunks);
          const { store, directory } = await openStore({ memoryBytes });
          const head = declared
            ? { status: 200, headers: ["content-length", String(whole.length)] }
            : HEAD;
          const spool = begin(store, "a", head);
          const read: Promise<void>[] = [];
          const come = (step: number) => {
            for (const { after, from, length } of readers) {
              if (after !== step) continue;
              const to = from + length;
              const expected = whole.subarray(from, to);
              read.push(
                collect(store.get("a")?.read({ from, to }) ?? []).then((got) => {
                  expect(got.toString("hex")).toBe(expected.toString("hex"));
                }),
              );
            }
          };
          for (const [step, chunk] of chunks.entries()) {
            come(step);
            spool.append(chunk.slice());
            await Promise.resolve();
          }
          const completed = spool.complete();
          come(chunks.length);
          await completed;
          for (let step = chunks.length + 1; step <= 10; step += 1) come(step);
          await Promise.all(read);
          expect(diskBytes(directory)).toBe(store.usedBytes);
          await store.close();
        },
      ),
      { numRuns: 150 },
    );
  });

  it("is not lost where no descriptor is free to read it: its client asks again", async () => {
    for (const body of [SMALL, LARGE]) {
      const faulty = new FaultyFiles();
      const { store } = await openStore({ files: faulty.files });
      await storeResult(store, "a", body);
      faulty.failingReads = 1;
      const error: unknown = await bodyOf(store, "a").catch((refused: unknown) => refused);
      expect(resultFailure(error)).toMatchObject({ code: "no_origin", retryAfter: 1 });
      expect((await bodyOf(store, "a"))?.equals(body)).toBe(true);
      await store.close();
    }
  });

  it("is read as it comes: a reader has what is there before there is more", async () => {
    for (const memoryBytes of [64 * KIB, 0]) {
      const { store } = await openStore({ memoryBytes });
      const spool = begin(store, "a");
      const reader = spool.read();
      for (const text of ["one", "two", "three"]) {
        spool.append(Buffer.from(text));
        expect(Buffer.from((await reader.next()).value as Uint8Array).toString()).toBe(text);
      }
      const end = reader.next();
      await spool.complete();
      expect((await end).done).toBe(true);
      await store.close();
    }
  });

  it.each([
    ["small", 64 * KIB],
    ["large", 0],
  ])(
    "that is %s does not end for a reader before it is on the disk",
    async (_size, memoryBytes) => {
      const faulty = new FaultyFiles();
      const { store } = await openStore({ memoryBytes, files: faulty.files });
      const gate = Promise.withResolvers<void>();
      const declared = begin(store, "declared", { status: 200, headers: ["content-length", "3"] });
      const chunked = begin(store, "chunked");
      // So that a pack is open before the gate closes.
      await storeResult(store, "other", SMALL);
      faulty.syncGate = gate.promise;
      const seen = { declared: 0, chunked: "" };
      const readDeclared = (async () => {
        for await (const part of declared.read()) seen.declared += part.length;
      })();
      const readChunked = (async () => {
        for await (const part of chunked.read()) seen.chunked += Buffer.from(part).toString();
        seen.chunked += " and its end";
      })();
      declared.append(Buffer.from("abc"));
      chunked.append(Buffer.from("abc"));
      const completed = Promise.all([declared.complete(), chunked.complete()]);
      // Long enough for everything but the fsync: another file is written and read meanwhile.
      await writtenAndRead(faulty);
      expect(seen.declared).toBeLessThan(3);
      expect(seen.chunked).not.toContain("end");
      gate.resolve();
      await Promise.all([completed, readDeclared, readChunked]);
      expect(seen).toEqual({ declared: 3, chunked: "abc and its end" });
      await store.close();
    },
  );

  it("that is small and whole at once is handed out in one piece", async () => {
    for (const headers of [["content-length", "300"], []]) {
      const { store } = await openStore();
      const spool = begin(store, "a", { status: 200, headers });
      const lengths: number[] = [];
      const reading = (async () => {
        for await (const part of spool.read()) lengths.push(part.length);
      })();
      spool.append(SMALL);
      await Promise.all([spool.complete(), reading]);
      expect(lengths).toEqual([300]);
      await store.close();
    }
  });

  it("of a declared length keeps its last byte back while the app has not finished", async () => {
    for (const memoryBytes of [64 * KIB, 0]) {
      const { store } = await openStore({ memoryBytes });
      const spool = begin(store, "a", { status: 200, headers: ["content-length", "3"] });
      const reader = spool.read();
      spool.append(Buffer.from("abc"));
      expect((await reader.next()).value).toHaveLength(2);
      await spool.complete();
      expect((await reader.next()).value).toHaveLength(1);
      expect((await reader.next()).done).toBe(true);
      await store.close();
    }
  });

  it("holds the app back while the disk is slower, and lets it go on", async () => {
    const { store } = await openStore();
    const drained = Promise.withResolvers<void>();
    const meta = { callId: "a", endpoint: "e", head: HEAD };
    const spool = store.begin(meta, { ttlMs: 1000, onDrain: drained.resolve });
    const chunk = pattern(256 * KIB);
    let chunks = 0;
    do chunks += 1;
    while (spool.append(chunk) && chunks < 100);
    expect(chunks).toBeLessThan(10);
    await drained.promise;
    expect(spool.append(chunk)).toBe(true);
    await spool.complete();
    expect((await bodyOf(store, "a"))?.length).toBe((chunks + 1) * chunk.length);
    await store.close();
  });

  it("breaks off for its readers when the call fails, and leaves nothing behind", async () => {
    for (const memoryBytes of [64 * KIB, 0]) {
      const { store, directory } = await openStore({ memoryBytes });
      const spool = begin(store, "a");
      spool.append(SMALL);
      const reading = collect(spool.read());
      spool.discard("the app broke the exchange");
      await expect(reading).rejects.toMatchObject({ code: "discarded" });
      await expect(spool.complete()).rejects.toMatchObject({ code: "discarded" });
      expect(spool.append(SMALL)).toBe(true);
      expect(store.get("a")).toBeUndefined();
      // The call is free to have another one.
      await storeResult(store, "a", SMALL);
      await store.close();
      expect(diskBytes(directory)).toBe(store.usedBytes);
      expect(readdirSync(directory)).toHaveLength(1);
    }
  });

  it("costs nothing more for readers that left", async () => {
    const faulty = new FaultyFiles();
    const { store } = await openStore({ memoryBytes: 0, files: faulty.files });
    const spool = begin(store, "a");
    spool.append(SMALL);
    const leaving = new AbortController();
    const readers = Array.from({ length: 20 }, () =>
      collect(spool.read({ signal: leaving.signal })),
    );
    const staying = collect(spool.read());
    // All of them read what is there, and wait for more.
    await expect.poll(() => faulty.open).toBe(1 + 21);
    leaving.abort();
    for (const got of await Promise.all(readers)) expect(got.length).toBeLessThanOrEqual(300);
    expect(faulty.open).toBe(1 + 1);
    await spool.complete();
    expect((await staying).length).toBe(300);
    expect(faulty.open).toBe(0);
    await store.close();
  });

  it("is stored once for a call", async () => {
    const { store } = await openStore();
    const spool = begin(store, "a");
    expect(() => begin(store, "a")).toThrow("has a response already");
    await spool.complete();
    expect(() => begin(store, "a")).toThrow("has a response already");
    await expect(spool.complete()).rejects.toThrow("complete already");
    await store.close();
  });
});

describe("a store of results", () => {
  it("lets a result go when its time is over", async () => {
    const { store, directory, expired, clock } = await openStore();
    await storeResult(store, "short", SMALL, 1000);
    await storeResult(store, "long", LARGE, 5000);
    clock.nowMs += 999;
    await store.sweep();
    expect(expired).toEqual([]);
    clock.nowMs += 1;
    expect(store.get("short")).toBeUndefined();
    await store.sweep();
    expect(expired).toEqual(["short"]);
    clock.nowMs += 4000;
    await store.sweep();
    expect(expired).toEqual(["short", "long"]);
    expect(diskBytes(directory)).toBe(0);
    expect(store.usedBytes).toBe(0);
    await store.close();
  });

  it("lets a reader that has begun read a result that expires meanwhile", async () => {
    const { store, clock } = await openStore();
    await storeResult(store, "a", LARGE, 1000);
    const reader = store.get("a")?.read();
    const first = (await reader?.next())?.value as Uint8Array;
    clock.nowMs += 1000;
    await store.sweep();
    const rest = await collect(reader ?? []);
    expect(Buffer.concat([first, rest]).equals(LARGE)).toBe(true);
    await store.close();
  });

  it("does not resurrect what expired while no agent ran", async () => {
    const { store, directory } = await openStore();
    await storeResult(store, "a", SMALL, 1000);
    await store.close();
    const later = await openStore({ directory, now: () => 2_000_000 });
    expect(later.expired).toEqual(["a"]);
    expect(diskBytes(directory)).toBe(0);
    await later.store.close();
  });

  it("stays within its quota, and lets the oldest results go first", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat({ max: 900 }), { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 500, max: 5000 }),
        async (lengths, quotaBytes) => {
          const { store, directory, expired } = await openStore({ memoryBytes: 400, quotaBytes });
          const stored: string[] = [];
          for (const [index, length] of lengths.entries()) {
            const call = String(index);
            const result = await storeResult(store, call, pattern(length, index)).catch(
              (error) => error,
            );
            if (result === undefined) stored.push(call);
            else expect(result).toMatchObject({ code: "results_full" });
            expect(store.usedBytes).toBeLessThanOrEqual(quotaBytes);
          }
          // In the order of their completion, and only the oldest.
          expect(expired).toEqual(stored.slice(0, expired.length));
          for (const call of stored.slice(expired.length)) {
            const expected = pattern(lengths[Number(call)] as number, Number(call));
            expect((await bodyOf(store, call))?.equals(expected)).toBe(true);
          }
          await store.close();
          expect(diskBytes(directory)).toBe(store.usedBytes);
          expect(store.usedBytes).toBeLessThanOrEqual(quotaBytes);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("stores a number of results, and lets the oldest go first", async () => {
    const { store, expired } = await openStore({ maxResults: 3 });
    for (const call of ["a", "b", "c", "d", "e"]) await storeResult(store, call, SMALL);
    expect(expired).toEqual(["a", "b"]);
    expect([...store.completeCalls]).toEqual(["c", "d", "e"]);
    await store.close();
  });

  it("removes a result that is not wanted, without calling it expired", async () => {
    const { store, directory, expired } = await openStore();
    await storeResult(store, "a", SMALL);
    const spool = begin(store, "b");
    store.remove("a");
    store.remove("b");
    store.remove("c");
    expect(store.get("a")).toBeUndefined();
    await expect(spool.complete()).rejects.toMatchObject({ code: "discarded" });
    expect(expired).toEqual([]);
    await store.close();
    expect(diskBytes(directory)).toBe(0);
  });

  it("gives the room of dead results back, and moves the living ones", async () => {
    const { store, directory, clock } = await openStore({ packBytes: 10_000 });
    for (let index = 0; index < 100; index += 1) {
      await storeResult(store, String(index), pattern(300, index), index % 10 === 0 ? 1e9 : 1000);
    }
    const before = diskBytes(directory);
    const reader = store.get("0")?.read();
    clock.nowMs += 1000;
    await store.sweep();
    await store.sweep();
    expect(diskBytes(directory)).toBeLessThan(before / 4);
    expect(diskBytes(directory)).toBe(store.usedBytes);
    // A reader that came before the move finds its result.
    expect((await collect(reader ?? [])).equals(pattern(300, 0))).toBe(true);
    await store.close();
    const again = await openStore({ directory, now: () => clock.nowMs });
    for (let index = 0; index < 100; index += 10) {
      const body = await bodyOf(again.store, String(index));
      expect(body?.equals(pattern(300, index))).toBe(true);
    }
    expect([...again.store.completeCalls]).toHaveLength(10);
    await again.store.close();
  });

  it("leaves files that are not its own alone", async () => {
    const { store, directory } = await openStore();
    await store.close();
    writeFileSync(join(directory, "README"), "not mine");
    const again = await openStore({ directory });
    await again.store.close();
    expect(readdirSync(directory)).toEqual(["README"]);
  });

  it("gives up what is not complete when it closes", async () => {
    const { store, directory } = await openStore({ memoryBytes: 0 });
    const spool = begin(store, "a");
    spool.append(LARGE);
    const reading = collect(spool.read());
    await Promise.all([
      store.close(),
      expect(reading).rejects.toMatchObject({ code: "discarded" }),
    ]);
    expect(readdirSync(directory)).toEqual([]);
  });
});

/** Writes, syncs past the gate, and reads a file: several round trips to the disk and the thread pool. */
async function writtenAndRead(faulty: FaultyFiles): Promise<void> {
  const { store } = await openStore();
  for (let round = 0; round < 5; round += 1) await storeResult(store, String(round), LARGE);
  await bodyOf(store, "4");
  await store.close();
  expect(faulty.syncs).toBeGreaterThan(0);
}
