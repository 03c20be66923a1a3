import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { CodeHistory } from "../../../origin-gpu/apps/code-history.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

async function opened(file: string, said: string[] = []): Promise<CodeHistory> {
  return await CodeHistory.open(file, (line) => said.push(line));
}

/** A file of two apps, as an agent wrote it. */
async function written(): Promise<{ file: string; content: Buffer }> {
  const file = join(temporaryDirectory(), "history.json");
  const history = await opened(file);
  await history.note(NOW);
  return { file, content: readFileSync(file) };
}

const NOW = new Map([
  ["ap-1", ["1"]],
  ["ap-2", ["2", "3"]],
]);
const MENDED = (file: string): string => `postern: ${file}: mended a flipped bit`;

describe("what code the apps of a box have run", () => {
  test("is remembered newest first, the last five of each app, over a restart", async () => {
    const file = join(temporaryDirectory(), "history.json");
    const history = await opened(file);
    for (const hash of ["1", "2", "3", "4", "5", "6"]) {
      await history.note(new Map([["ap-1", [hash]]]));
    }
    await history.note(new Map([["ap-1", ["2"]]]));
    const again = await opened(file);
    expect(again.hashes).toEqual(["2", "6", "5", "4", "3"]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test("goes with its app", async () => {
    const history = await opened(join(temporaryDirectory(), "history.json"));
    await history.note(
      new Map([
        ["ap-1", ["1"]],
        ["ap-2", ["2", "3"]],
      ]),
    );
    await history.note(new Map([["ap-2", []]]));
    expect(history.hashes).toEqual(["2", "3"]);
  });

  test("is written only when it has changed", async () => {
    const file = join(temporaryDirectory(), "history.json");
    const history = await opened(file);
    await history.note(new Map([["ap-1", ["1"]]]));
    writeFileSync(file, "touched");
    await history.note(new Map([["ap-1", ["1"]]]));
    expect(readFileSync(file, "utf8")).toBe("touched");
  });

  test("loses nothing by one flipped bit, which is mended in the file", async () => {
    const { file, content } = await written();
    for (let bit = 0; bit < 8 * content.length; bit += 1) {
      const flipped = Buffer.from(content);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      writeFileSync(file, flipped);
      const said: string[] = [];
      const history = await opened(file, said);
      expect(history.hashes).toEqual(["1", "2", "3"]);
      // Nothing is read of the newline at the end.
      expect(said).toEqual(bit >> 3 < content.length - 1 ? [MENDED(file)] : []);
      await history.note(NOW);
      if (said.length > 0) expect(readFileSync(file).equals(content)).toBe(true);
    }
  });

  test("is nothing where the file is torn or damaged beyond that, which is said with what to do", async () => {
    const { file, content } = await written();
    for (const damaged of [content.subarray(0, 20), content.fill("x", 12, 15), '{"ap-1": ["1"']) {
      writeFileSync(file, damaged);
      const said: string[] = [];
      expect((await opened(file, said)).hashes).toEqual([]);
      expect(said).toEqual([
        `postern: ${file} is damaged: code of earlier versions is removed from this box; ` +
          "deploy such a version again where a rollback lacks it",
      ]);
    }
  });

  test("is read where an earlier agent wrote it without a checksum, and gets one", async () => {
    const file = join(temporaryDirectory(), "history.json");
    writeFileSync(file, '{"ap-1":["1","2"]}\n');
    const said: string[] = [];
    const history = await opened(file, said);
    expect(history.hashes).toEqual(["1", "2"]);
    await history.note(new Map([["ap-1", ["1"]]]));
    expect(readFileSync(file, "utf8")).toMatch(/^[0-9a-f]{8} \{"ap-1":\["1","2"\]\}\n$/);
    expect(said).toEqual([]);
  });

  test("that the disk does not take is said, and is there until the agent ends", async () => {
    const directory = temporaryDirectory();
    const file = join(directory, "missing", "history.json");
    const said: string[] = [];
    const history = await opened(file, said);
    await history.note(new Map([["ap-1", ["1"]]]));
    expect(history.hashes).toEqual(["1"]);
    expect(said).toEqual([
      expect.stringMatching(/^postern: which code this box has run is not recorded: ENOENT/),
    ]);
    mkdirSync(join(directory, "missing"));
    await history.note(new Map([["ap-1", ["1"]]]));
    expect((await opened(file)).hashes).toEqual(["1"]);
  });
});
