/** A disk that flips a bit of packed code: a copy of it is exactly the code, or the box lacks the code and says why. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { CodeRefused } from "../../../origin-gpu/code/code-refused.ts";
import { CodeStore } from "../../../origin-gpu/code/code-store.ts";
import { packCode } from "../../../origin-gpu/code/pack-code.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { contentsOf, directoryWith } from "./directory.ts";

const FILES = { "app.py": "print('a')\n", "lib/b.py": "b = 1\n".repeat(50), "lib/c/d.txt": "d" };

test("a flipped bit anywhere in packed code runs no other code, and another box's is fetched", async () => {
  const code = await packCode(directoryWith(FILES));
  onTestFinished(() => code.close());
  const directory = temporaryDirectory();
  const store = await CodeStore.open({ directory });
  const source = async () => await Promise.resolve(code.open());
  await store.fetch(code.hash, source);
  const path = join(directory, "packed", `${code.hash}.tar.gz`);
  const content = readFileSync(path);
  let [flips, refused] = [0, 0];
  for (let bit = 0; bit < 8 * content.length; bit += 7) {
    flips += 1;
    const flipped = Buffer.from(content);
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
    writeFileSync(path, flipped);
    try {
      const copy = await store.directoryOf(code.hash, `v${bit}`);
      expect(contentsOf(copy), `bit ${bit}`).toEqual(FILES);
    } catch (error) {
      expect(error, `bit ${bit}`).toBeInstanceOf(CodeRefused);
      expect(store.has(code.hash), `bit ${bit}`).toBe(false);
      refused += 1;
    }
    await store.fetch(code.hash, source);
  }
  // gzip's header has bits that nobody reads.
  expect(refused).toBeGreaterThan(0.8 * flips);
  const whole = await store.directoryOf(code.hash, "whole");
  expect(contentsOf(whole)).toEqual(FILES);
  expect(Object.keys(contentsOf(directory)).filter((name) => name.startsWith("arriving/"))).toEqual(
    [],
  );
});
