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
  clock: { nowMs: number };
}

export async function openStore(options: Partial<ResultStoreOptions> = {}): Promise<TestStore> {
  const { directory = join(temporaryDirectory(), "results") } = options;
  const expired: string[] = [];
  const said: DamagedFile[] = [];
  const clock = { nowMs: 1_000_000 };
  const store = await ResultStore.open({
    quotaBytes: 1e12,
    now: () => clock.nowMs,
    onDropped: (callId) => expired.push(callId),
    onDamaged: (file) => said.push(file),
    ...options,
    directory,
  });
  return { store, directory, expired, said, clock };
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

export function diskBytes(directory: string): number {
  return readdirSync(directory)
    .map((name) => statSync(join(directory, name)).size)
    .reduce((sum, size) => sum + size, 0);
}
