import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  BodyGoneError,
  BodySpoolFullError,
  BodySpools,
  type BodySpoolsOptions,
} from "../../../origin-gpu/calls/body-spool.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { REAL_FILES } from "../../../origin-gpu/calls/store/files.ts";
import { FaultyFiles } from "./store/faulty-files.ts";
import { collect, pattern } from "./store/result-tools.ts";

async function open(options: Partial<BodySpoolsOptions> = {}) {
  const { directory = join(temporaryDirectory(), "bodies") } = options;
  return { directory, spools: await BodySpools.open({ limitBytes: 1e9, ...options, directory }) };
}

describe("a waiting call's body", () => {
  it("is read as it came, while it comes and afterwards, in memory or on the disk", async () => {
    const parts = fc.array(fc.nat({ max: 3000 }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(
        parts,
        fc.nat({ max: 6 }),
        fc.nat({ max: 6000 }),
        async (lengths, after, memory) => {
          const { directory, spools } = await open({ totalMemoryBytes: memory });
          const spool = spools.begin("e", undefined);
          const body: Buffer[] = [];
          let early: Promise<Buffer> | undefined;
          for (const [index, length] of lengths.entries()) {
            if (index === after) early = collect(spool.read());
            body.push(pattern(length, index));
            await spool.append(pattern(length, index));
          }
          early ??= collect(spool.read());
          await spool.finish();
          const whole = Buffer.concat(body);
          expect(spool.bytes).toBe(whole.length);
          expect((await early).equals(whole)).toBe(true);
          expect((await collect(spool.read())).equals(whole)).toBe(true);
          if (whole.length > 4096) expect(readdirSync(directory)).toHaveLength(1);
          if (whole.length <= Math.min(memory, 4096))
            expect(readdirSync(directory)).toHaveLength(0);
          await spool.discard("done");
          expect(readdirSync(directory)).toEqual([]);
          expect(spools.usedBytes).toBe(0);
        },
      ),
      { numRuns: 80 },
    );
  });

  it("that must not be lost stays in memory, from where the disk has no room on", async () => {
    const faulty = new FaultyFiles();
    const { directory, spools } = await open({ files: faulty.files });
    const spool = spools.begin("e", undefined);
    await spool.append(pattern(5000));
    faulty.roomBytes = 100;
    const part = pattern(6000, 1);
    await expect(spool.append(part)).rejects.toThrow(BodySpoolFullError);
    const early = collect(spool.read());
    spool.keep(part);
    // Its buffer is used again.
    part.fill(0);
    faulty.roomBytes = Infinity;
    await spool.append(pattern(7000, 2));
    await spool.finish();
    const whole = Buffer.concat([pattern(5000), pattern(6000, 1), pattern(7000, 2)]);
    expect(spool.bytes).toBe(whole.length);
    expect((await early).equals(whole)).toBe(true);
    expect(Buffer.from((await spool.collect(whole.length)) ?? "").equals(whole)).toBe(true);
    expect(await spool.collect(whole.length - 1)).toBeUndefined();
    await spool.discard("done");
    expect(readdirSync(directory)).toEqual([]);
    expect(spools.usedBytes).toBe(0);
  });

  it("is refused before it comes when it is declared too large", async () => {
    const { spools } = await open({ limitBytes: 10_000 });
    const first = spools.begin("e", 6000);
    expect(() => spools.begin("e", 5000)).toThrow(BodySpoolFullError);
    expect(spools.usedBytes).toBe(6000);
    await first.discard("the client left");
    expect(spools.begin("e", 5000).bytes).toBe(0);
  });

  it("is refused while it comes when there is no room, and takes none afterwards", async () => {
    const { directory, spools } = await open({ limitBytes: 10_000 });
    const spool = spools.begin("e", undefined);
    await spool.append(pattern(6000));
    await expect(spool.append(pattern(6000))).rejects.toThrow(BodySpoolFullError);
    await spool.discard("no room");
    expect(spools.usedBytes).toBe(0);
    expect(readdirSync(directory)).toEqual([]);
  });

  it("is refused when the disk is full, and the others stay", async () => {
    const faulty = new FaultyFiles();
    const { spools } = await open({ files: faulty.files });
    const other = spools.begin("e", undefined);
    await other.append(pattern(5000));
    await other.finish();
    faulty.roomBytes = 1000;
    const spool = spools.begin("e", undefined);
    await expect(spool.append(pattern(5000))).rejects.toThrow(BodySpoolFullError);
    await spool.discard("no room");
    expect((await collect(other.read())).equals(pattern(5000))).toBe(true);
    expect(spools.usedBytes).toBe(5000);
  });

  it("that breaks off is never read as a whole one", async () => {
    const { spools } = await open();
    for (const length of [100, 10_000]) {
      const spool = spools.begin("e", 20_000);
      await spool.append(pattern(length));
      const reading = collect(spool.read());
      await Promise.all([
        spool.discard("the client left"),
        expect(reading).rejects.toThrow(BodyGoneError),
      ]);
      await expect(collect(spool.read())).rejects.toThrow("the client left");
      await expect(spool.append(pattern(1))).rejects.toThrow(BodyGoneError);
      await expect(spool.finish()).rejects.toThrow(BodyGoneError);
      await spool.discard("again");
      expect(spools.usedBytes).toBe(0);
    }
  });

  it("can be given up while a part of it is being written", async () => {
    const faulty = new FaultyFiles();
    const { directory, spools } = await open({ files: faulty.files });
    const spool = spools.begin("e", undefined);
    await Promise.all([spool.append(pattern(100_000)), spool.discard("the client left")]);
    expect(readdirSync(directory)).toEqual([]);
    expect(faulty.open).toBe(0);
    expect(spools.usedBytes).toBe(0);
  });

  it("holds no file open while it waits", async () => {
    const faulty = new FaultyFiles();
    const { spools } = await open({ files: faulty.files });
    for (let index = 0; index < 50; index += 1) {
      const spool = spools.begin("e", undefined);
      await spool.append(pattern(5000, index));
      await spool.finish();
    }
    expect(faulty.open).toBe(0);
    expect(faulty.maxOpen).toBe(1);
  });

  it("gives its room back when its file cannot be removed, and ends no call", async () => {
    const unlink = () => Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" }));
    const { spools } = await open({ files: { ...REAL_FILES, unlink } });
    const spool = spools.begin("e", undefined);
    await spool.append(pattern(5000));
    await spool.discard("over");
    expect(spools.usedBytes).toBe(0);
  });

  it("is gone with the agent; files that are not bodies stay", async () => {
    const { directory, spools } = await open();
    const spool = spools.begin("e", undefined);
    await spool.append(pattern(5000));
    await spool.finish();
    writeFileSync(join(directory, "README"), "not mine");
    const again = await open({ directory });
    expect(readdirSync(directory)).toEqual(["README"]);
    expect(again.spools.usedBytes).toBe(0);
  });
});
