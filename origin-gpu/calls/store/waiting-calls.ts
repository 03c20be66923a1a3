/**
 * The file of durable calls that waited when an agent stopped: requests with their bodies, for the next
 * agent to run. It is written whole when an agent stops and read whole when one starts. The journal decides
 * which of its calls still wait.
 *
 * A record is four big-endian numbers of 32 bits (bytes and CRC-32 of the JSON, bytes and CRC-32 of the
 * body), the JSON, the body.
 */
import type { FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import type { RequestHead } from "../../../routing/wire/heads.ts";
import {
  type Files,
  isMissing,
  PRIVATE_FILE_MODE,
  readAll,
  removeFile,
  syncDirectory,
  writeAll,
} from "./files.ts";

const HEADER_BYTES = 16;

/** A durable call that waits, with everything that is needed to run it. */
export interface WaitingCall {
  readonly head: RequestHead;
  readonly body: Uint8Array;
  /** Milliseconds that its stored response can be read. */
  readonly ttlMs: number;
  /** A client was told that the call goes on. */
  readonly isPromised: boolean;
}

/** Replaces the file. Without calls there is none. */
export async function writeWaitingCalls(
  files: Files,
  path: string,
  calls: readonly WaitingCall[],
): Promise<void> {
  if (calls.length === 0) {
    await removeFile(files, path);
    return;
  }
  const newPath = `${path}.new`;
  const handle = await files.open(newPath, "w", PRIVATE_FILE_MODE);
  try {
    let size = 0;
    for (const call of calls) {
      const record = encode(call);
      await writeAll(handle, record, size);
      size += record.length;
    }
    await handle.sync();
  } catch (error) {
    await handle.close();
    await removeFile(files, newPath);
    throw error;
  }
  await handle.close();
  await files.rename(newPath, path);
  await syncDirectory(files, dirname(path));
}

/** Reads the calls of the file, which may be missing, up to the first damaged one. */
export async function readWaitingCalls(files: Files, path: string): Promise<WaitingCall[]> {
  let handle: FileHandle;
  try {
    handle = await files.open(path, "r");
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
  try {
    const { size } = await handle.stat();
    const calls: WaitingCall[] = [];
    for (let offset = 0; offset + HEADER_BYTES <= size;) {
      const header = await readBytes(handle, offset, HEADER_BYTES);
      const jsonBytes = header.readUInt32BE(0);
      const bodyBytes = header.readUInt32BE(8);
      const end = offset + HEADER_BYTES + jsonBytes + bodyBytes;
      if (end > size) break;
      const json = await readBytes(handle, offset + HEADER_BYTES, jsonBytes);
      const body = await readBytes(handle, end - bodyBytes, bodyBytes);
      if (crc32(json) !== header.readUInt32BE(4) || crc32(body) !== header.readUInt32BE(12)) break;
      calls.push({ ...(JSON.parse(json.toString()) as Omit<WaitingCall, "body">), body });
      offset = end;
    }
    return calls;
  } finally {
    await handle.close();
  }
}

function encode({ body, ...call }: WaitingCall): Buffer {
  const json = Buffer.from(JSON.stringify(call));
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(json.length, 0);
  header.writeUInt32BE(crc32(json), 4);
  header.writeUInt32BE(body.length, 8);
  header.writeUInt32BE(crc32(body), 12);
  return Buffer.concat([header, json, body]);
}

async function readBytes(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  // A buffer of its own: it outlives this read.
  const bytes = Buffer.allocUnsafeSlow(length);
  await readAll(handle, bytes, offset);
  return bytes;
}
