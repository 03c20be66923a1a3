import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AppendLog, BrokenLogError } from "../../../../origin-gpu/calls/store/append-log.ts";
import { isNoSpace } from "../../../../origin-gpu/calls/store/files.ts";
import { temporaryDirectory } from "../../../support/temporary.ts";
import { FaultyFiles } from "./faulty-files.ts";

async function newLog() {
  const faulty = new FaultyFiles();
  const path = join(temporaryDirectory(), "log");
  const log = await AppendLog.open(faulty.files, path, 0);
  faulty.syncs = 0;
  return { faulty, path, log, content: () => readFileSync(path, "latin1") };
}

const bytes = (text: string) => Buffer.from(text, "latin1");

describe("an append-only log", () => {
  it("writes records in order, and tells where each one is", async () => {
    const { log, content } = await newLog();
    const offsets = await Promise.all(["one", "", "three"].map((text) => log.append(bytes(text))));
    expect(offsets).toEqual([0, 3, 3]);
    expect(await log.append(bytes("4"))).toBe(8);
    expect(content()).toBe("onethree4");
    expect(log.size).toBe(9);
    await log.close();
  });

  it("shares one fsync among all who wait at the same time", async () => {
    const { faulty, log } = await newLog();
    await Promise.all(Array.from({ length: 1000 }, () => log.append(bytes("0123456789"))));
    expect(faulty.syncs).toBeLessThanOrEqual(2);
    await log.close();
  });

  it("goes on behind what is good of a file, and tears off the rest", async () => {
    const { faulty, path, log, content } = await newLog();
    await log.append(bytes("goodtorn"));
    await log.close();
    const again = await AppendLog.open(faulty.files, path, 4);
    expect(await again.append(bytes("new"))).toBe(4);
    expect(content()).toBe("goodnew");
    await again.close();
  });

  it("fails those that find no room, leaves nothing of them, and goes on", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 12 }),
        fc.nat({ max: 200 }),
        async (lengths, room) => {
          const { faulty, log, content } = await newLog();
          faulty.roomBytes = room;
          const records = lengths.map((length, index) =>
            String.fromCodePoint(65 + index).repeat(length),
          );
          const results = await Promise.allSettled(records.map((text) => log.append(bytes(text))));
          let expected = "";
          for (const [index, text] of records.entries()) {
            const result = results[index] as PromiseSettledResult<number>;
            const fits = expected.length + text.length <= room;
            expect(result.status).toBe(fits ? "fulfilled" : "rejected");
            if (result.status === "rejected") expect(isNoSpace(result.reason)).toBe(true);
            if (fits) expected += text;
          }
          expect(content()).toBe(expected);
          faulty.roomBytes = Number.POSITIVE_INFINITY;
          await log.append(bytes("!"));
          expect(content()).toBe(`${expected}!`);
          await log.close();
        },
      ),
      { numRuns: 60 },
    );
  });

  it("takes nothing more after a failed fsync, until it is rewritten", async () => {
    const { faulty, log, content } = await newLog();
    await log.append(bytes("first"));
    faulty.failingSyncs = 1;
    await expect(log.append(bytes("second"))).rejects.toThrow(BrokenLogError);
    expect(log.broken).toBe(true);
    await expect(log.append(bytes("third"))).rejects.toThrow(BrokenLogError);
    await log.rewrite(() => [bytes("first")]);
    expect(log.broken).toBe(false);
    await log.append(bytes("fourth"));
    expect(content()).toBe("firstfourth");
    await log.close();
  });

  it("takes nothing more when half a record cannot be taken back", async () => {
    const { faulty, log } = await newLog();
    faulty.roomBytes = 3;
    faulty.failingTruncations = 1;
    const results = await Promise.allSettled([log.append(bytes("abcdef")), log.append(bytes("g"))]);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(log.broken).toBe(true);
    await log.close();
  });

  it("replaces its content between two records, and none is lost", async () => {
    const { log, content } = await newLog();
    const present: string[] = [];
    const append = (text: string) => {
      present.push(text);
      return log.append(bytes(`${text} `));
    };
    const before = ["a", "b"].map(append);
    const replaced = log.rewrite(() => present.map((text) => bytes(`${text} `)));
    const during = ["c", "d"].map(append);
    await Promise.all([...before, replaced, ...during]);
    await append("e");
    const words = content().trim().split(" ");
    expect([...new Set(words)]).toEqual(["a", "b", "c", "d", "e"]);
    expect(words.at(-1)).toBe("e");
    await log.close();
  });

  it("replaces its content also while others never stop appending", async () => {
    const { log } = await newLog();
    const replaced = new AbortController();
    const endless = (async () => {
      while (!replaced.signal.aborted)
        await Promise.all([log.append(bytes("x")), log.append(bytes("y"))]);
    })();
    await log.rewrite(() => [bytes("new")]);
    replaced.abort();
    await endless;
    await log.close();
  });

  it("keeps the old content when there is no room for the new one", async () => {
    const { faulty, path, log, content } = await newLog();
    await log.append(bytes("old"));
    faulty.roomBytes = 5;
    const replaced = log.rewrite(() => [bytes("much longer")]);
    await expect(replaced).rejects.toThrow("ENOSPC");
    expect(readdirSync(join(path, ".."))).toEqual(["log"]);
    faulty.roomBytes = 100;
    await log.append(bytes("er"));
    expect(content()).toBe("older");
    await log.close();
  });
});
