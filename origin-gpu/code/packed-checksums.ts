/**
 * The checksums of packed code, in a file beside it. By them one flipped bit of each block is mended where code turns
 * out to be damaged, and by one of their own a flipped bit of theirs. Whether it is the code then, its hash says.
 */
import { readFile, stat } from "node:fs/promises";
import { MIB } from "../../base/units.ts";
import { checksumsBytes, type MendedByte, mendBlocks } from "../calls/store/body-blocks.ts";
import { checkedLine, mendCheckedLine, readCheckedLine } from "../calls/store/checked-line.ts";
import {
  changeBytes,
  type Files,
  PRIVATE_FILE_MODE,
  readAll,
  removeFile,
  writeAll,
} from "../calls/store/files.ts";

/** Whole blocks. */
const PART_BYTES = MIB;

/** Keeps the checksums of packed code, encoded. Never throws: code without them is only not mended. */
export async function keepChecksums(
  files: Files,
  packedPath: string,
  checksums: Buffer,
): Promise<void> {
  const json = JSON.stringify(checksums.toString("base64"));
  try {
    const handle = await files.open(checksumsPath(packedPath), "w", PRIVATE_FILE_MODE);
    try {
      await writeAll(handle, Buffer.from(checkedLine(json)), 0);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // The disk is full, say.
  }
}

export async function removeChecksums(files: Files, packedPath: string): Promise<void> {
  await removeFile(files, checksumsPath(packedPath));
}

/**
 * Mends packed code in its file. Never throws: code that can't be mended is damaged as before.
 * @returns whether something was changed
 */
export async function mendPacked(
  files: Files,
  packedPath: string,
  notice: (line: string) => void,
): Promise<boolean> {
  try {
    const { size } = await stat(packedPath);
    const checksums = decode(await readFile(checksumsPath(packedPath)));
    if (checksums.length !== checksumsBytes(size)) return false;
    const mended = await findMended(files, packedPath, size, checksums);
    if (mended.length === 0) return false;
    // A later flipped bit of theirs would be the second one.
    await keepChecksums(files, packedPath, checksums);
    const changes = mended.map(({ at, value }) => [at, value] as const);
    await changeBytes(await files.open(packedPath, "r+"), changes);
    const bits = changes.length === 1 ? "a flipped bit" : `${changes.length} flipped bits`;
    notice(`postern: ${packedPath}: mended ${bits}`);
    return true;
  } catch {
    return false;
  }
}

function checksumsPath(packedPath: string): string {
  return `${packedPath}.checksums`;
}

/** @throws where more than one flipped bit has damaged them */
function decode(content: Buffer): Buffer {
  const line = content.subarray(0, -1);
  const json = readCheckedLine(line) ?? mendCheckedLine(line) ?? "";
  return Buffer.from(String(JSON.parse(json.toString())), "base64");
}

/** The bytes of packed code that are to be mended: none where a block is damaged in another way. */
async function findMended(
  files: Files,
  path: string,
  size: number,
  checksums: Buffer,
): Promise<MendedByte[]> {
  const found: MendedByte[] = [];
  const handle = await files.open(path, "r");
  try {
    for (let start = 0; start < size; start += PART_BYTES) {
      const part = Buffer.alloc(Math.min(PART_BYTES, size - start));
      await readAll(handle, part, start);
      const mended = mendBlocks(part, start, checksums.subarray(checksumsBytes(start)), size);
      if (mended === undefined) return [];
      found.push(...mended);
    }
  } finally {
    await handle.close();
  }
  // The checksums are whole: a difference in one of them is damage of another kind.
  return found.filter(({ at }) => at < size);
}
