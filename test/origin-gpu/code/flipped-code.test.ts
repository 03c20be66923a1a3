/**
 * A disk that flips bits of packed code. A copy of it is exactly the code: one flipped bit is mended. With more of them
 * the box lacks the code and says why.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { CodeRefused } from "../../../origin-gpu/code/code-refused.ts";
import { CodeStore } from "../../../origin-gpu/code/code-store.ts";
import { packCode } from "../../../origin-gpu/code/pack-code.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { contentsOf, directoryWith } from "./directory.ts";

const FILES = { "app.py": "print('a')\n", "lib/b.py": "b = 1\n".repeat(50), "lib/c/d.txt": "d" };

function withFlipped(content: Buffer, ...bits: number[]): Buffer {
  const bytes = Buffer.from(content);
  for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
  return bytes;
}

/** Some bits of each byte. */
function bitsOf(content: Buffer): number[] {
  return Array.from({ length: Math.ceil((8 * content.length) / 7) }, (_, index) => 7 * index);
}

async function storeWithCode() {
  const code = await packCode(directoryWith(FILES));
  onTestFinished(() => code.close());
  const directory = temporaryDirectory();
  const notices: string[] = [];
  const store = await CodeStore.open({ directory, notice: (line) => notices.push(line) });
  const fetch = () => store.fetch(code.hash, async () => await Promise.resolve(code.open()));
  await fetch();
  const path = join(directory, "packed", `${code.hash}.tar.gz`);
  const content = readFileSync(path);
  const flipped = (...bits: number[]): Buffer => withFlipped(content, ...bits);
  return { store, hash: code.hash, fetch, directory, path, content, flipped, notices };
}

test("one flipped bit anywhere in packed code is mended", async () => {
  const { store, hash, path, content, flipped, notices } = await storeWithCode();
  const bits = bitsOf(content);
  for (const bit of bits) {
    writeFileSync(path, flipped(bit));
    const copy = await store.directoryOf(hash, `v${bit}`);
    expect(contentsOf(copy), `bit ${bit}`).toEqual(FILES);
  }
  // gzip's header has bits that nobody reads.
  expect(notices.length).toBeGreaterThan(0.8 * bits.length);
  expect(new Set(notices)).toEqual(new Set([`postern: ${path}: mended a flipped bit`]));
});

test("one flipped bit in packed code and one in its checksums are mended", async () => {
  const { store, hash, path, content, flipped } = await storeWithCode();
  const sums = readFileSync(`${path}.checksums`);
  for (let bit = 0; bit < 8 * sums.length; bit += 1) {
    writeFileSync(path, flipped(8 * (content.length >> 1)));
    writeFileSync(`${path}.checksums`, withFlipped(sums, bit));
    const copy = await store.directoryOf(hash, `v${bit}`);
    expect(contentsOf(copy), `bit ${bit}`).toEqual(FILES);
    expect(readFileSync(path).equals(content), `bit ${bit}`).toBe(true);
    expect(readFileSync(`${path}.checksums`).equals(sums), `bit ${bit}`).toBe(true);
  }
});

test.each(["two flipped bits", "one flipped bit, without checksums,"])(
  "packed code with %s runs no other code, and another box's is fetched",
  async (damage) => {
    const { store, hash, fetch, directory, path, content, flipped, notices } =
      await storeWithCode();
    let refused = 0;
    const bits = bitsOf(content);
    for (const bit of bits) {
      const isBare = damage.includes("without");
      writeFileSync(path, isBare ? flipped(bit) : flipped(bit, (bit + 101) % (8 * content.length)));
      if (isBare) rmSync(`${path}.checksums`, { force: true });
      try {
        const copy = await store.directoryOf(hash, `v${bit}`);
        expect(contentsOf(copy), `bit ${bit}`).toEqual(FILES);
      } catch (error) {
        expect(error, `bit ${bit}`).toBeInstanceOf(CodeRefused);
        expect(store.has(hash), `bit ${bit}`).toBe(false);
        expect(readdirSync(join(directory, "packed")), `bit ${bit}`).toEqual([]);
        refused += 1;
      }
      await fetch();
    }
    expect(refused).toBeGreaterThan(0.8 * bits.length);
    expect(notices).toEqual([]);
    const whole = await store.directoryOf(hash, "whole");
    expect(contentsOf(whole)).toEqual(FILES);
    const arriving = Object.keys(contentsOf(directory)).filter((name) => name.startsWith("arr"));
    expect(arriving).toEqual([]);
  },
);
