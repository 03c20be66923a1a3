/** What tests of stored results share. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { DamagedFile } from "../../../../origin-gpu/calls/store/damaged-files.ts";
import {
  ResultStore,
  type ResultStoreOptions,
} from "../../../../origin-gpu/calls/store/result-store.ts";
import type { ResultSpool } from "../../../../origin-gpu/calls/store/result-spool.ts";
import type { ResponseHead } from "../../../../routing/wire/heads.ts";
import { temporaryDirectory } from "../../../support/temporary.ts";

export const HEAD: ResponseHead = {
  status: 201,
  headers: ["content-type", "text/plain", "set-cookie", "a=ü", "set-cookie", "b=2"],
};

export interface TestStore {
  store: ResultStore;
  directory: string;
  /** Calls that the store let go, in order. */
  expired: string[];
  /** The damaged files that the store told of, in order. */
  said: DamagedFile[];
  /** The files of which the store told that bits were mended, with their number, in order. */
  mended: { path: string; bits: number }[];
  clock: { nowMs: number };
}

export async function openStore(options: Partial<ResultStoreOptions> = {}): Promise<TestStore> {
  const { directory = join(temporaryDirectory(), "results") } = options;
  const expired: string[] = [];
  const said: DamagedFile[] = [];
  const mended: TestStore["mended"] = [];
  const clock = { nowMs: 1_000_000 };
  const store = await ResultStore.open({
    quotaBytes: 1e12,
    now: () => clock.nowMs,
    onDropped: (callId) => expired.push(callId),
    onDamaged: (file) => said.push(file),
    onMended: (path, bits) => mended.push({ path, bits }),
    ...options,
    directory,
  });
  return { store, directory, expired, said, mended, clock };
}

export function begin(
  store: ResultStore,
  callId: string,
  head = HEAD,
  ttlMs = 60_000,
): ResultSpool {
  const meta = { callId, endpoint: "demo/echo", head };
  return store.begin(meta, { ttlMs, onDrain: () => undefined });
}

/** Stores one whole response. */
export async function storeResult(
  store: ResultStore,
  callId: string,
  body: Uint8Array,
  ttlMs?: number,
) {
  const spool = begin(store, callId, HEAD, ttlMs);
  spool.append(body);
  await spool.complete();
}

export async function collect(
  parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const part of parts) all.push(part);
  return Buffer.concat(all);
}

/** A call's whole body, as the store has it. */
export async function bodyOf(store: ResultStore, callId: string): Promise<Buffer | undefined> {
  const result = store.get(callId);
  return result === undefined ? undefined : await collect(result.read());
}

/** Bytes that differ from place to place, so that a wrong offset shows. */
export function pattern(length: number, seed = 0): Buffer {
  const bytes = Buffer.alloc(length);
  for (let index = 0; index < length; index += 1)
    bytes[index] = (index * 7 + (index >> 8) + seed) & 0xff;
  return bytes;
}

/** The content with one bit of it flipped. */
export function flipped(content: Buffer, bit: number): Buffer {
  const damaged = Buffer.from(content);
  damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
  return damaged;
}

export function diskBytes(directory: string): number {
  return readdirSync(directory)
    .map((name) => statSync(join(directory, name)).size)
    .reduce((sum, size) => sum + size, 0);
}
