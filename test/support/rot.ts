/** A disk that fails: bits flip, and nobody has written. */
import { execFileSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";

/** Flips bits as a disk does that fails: the file's times stay. */
export function rot(path: string, bits: readonly number[]): void {
  keepingTimes(path, () => {
    const content = readFileSync(path);
    for (const bit of bits) content[bit >> 3] = (content[bit >> 3] as number) ^ (1 << (bit & 7));
    writeFileSync(path, content);
  });
}

/** Changes a file behind the back of whoever looks at its times. */
export function keepingTimes(path: string, work: () => void): void {
  const { mtimeNs } = statSync(path, { bigint: true });
  work();
  // Node sets times as fractions, which are not exact to the nanosecond.
  const digits = String(mtimeNs);
  execFileSync("touch", ["-d", `@${digits.slice(0, -9)}.${digits.slice(-9)}`, path]);
}
