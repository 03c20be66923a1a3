/** Bodies of calls that wait, or may be run again: kept while they stream, where there is room. */
import { describe, expect, test, vi } from "vitest";
import { BodySpools } from "../../../origin-gpu/calls/body-spool.ts";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import { RequestBody } from "../../../origin-gpu/calls/request-body.ts";
import { keepBody, parkCall } from "../../../origin-gpu/endpoints/waiting-bodies.ts";
import type { Stream } from "../../../routing/wire/multiplexer.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { FaultyFiles } from "../calls/store/faulty-files.ts";

const ROOM_BYTES = 100_000;
const HALF = new Uint8Array(20_000).fill(7);

/** A call whose body's first half is here. */
function receiving(declaredBytes?: number) {
  const failures: string[] = [];
  const consume = vi.fn<(bytes: number) => void>();
  const call = {
    body: new RequestBody({ consume } as Partial<Stream> as Stream, HALF, false),
    head: { headers: declaredBytes === undefined ? [] : ["content-length", `${declaredBytes}`] },
    hasBegun: false,
    park: () => undefined,
    fail: ({ code }: { code: string }) => failures.push(code),
  };
  const begin = () => (call.hasBegun = true);
  return { call: call as unknown as Call, body: call.body, failures, begin, consume };
}

async function bytesOf(body: RequestBody): Promise<number> {
  let bytes = 0;
  for await (const part of body.chunks()) bytes += part.length;
  return bytes;
}

test("a body that streams can be read as often as its call is run", async () => {
  const bodies = await BodySpools.open({ directory: temporaryDirectory(), limitBytes: ROOM_BYTES });
  const { call, body } = receiving(HALF.length * 2);
  keepBody(call, bodies);
  const first = bytesOf(body);
  body.push(HALF, true);
  expect(await first).toBe(HALF.length * 2);
  expect(body.isSpooled).toBe(true);
  expect(await bytesOf(body)).toBe(HALF.length * 2);
  body.abort();
});

test("one that has no room streams on, and its call does not fail", async () => {
  const bodies = await BodySpools.open({ directory: temporaryDirectory(), limitBytes: ROOM_BYTES });
  const { call, body, failures } = receiving(ROOM_BYTES + 1);
  keepBody(call, bodies);
  expect(body.isSpooled).toBe(false);
  const read = bytesOf(body);
  body.push(HALF, true);
  expect(await read).toBe(HALF.length * 2);
  expect(failures).toEqual([]);
  expect(bodies.usedBytes).toBe(0);
});

interface Lack {
  limitBytes?: number;
  diskBytes?: number;
}

/** The room that there is for the first half of a body, and for no more. */
async function roomForHalf({ limitBytes = 1e9, diskBytes = Infinity }: Lack): Promise<BodySpools> {
  const faulty = new FaultyFiles();
  faulty.roomBytes = diskBytes;
  const directory = temporaryDirectory();
  return await BodySpools.open({ directory, limitBytes, files: faulty.files });
}

describe.each<[string, Lack]>([
  // An endpoint has three quarters of it.
  ["the room for bodies", { limitBytes: HALF.length * 1.5 }],
  ["the disk", { diskBytes: HALF.length }],
])("where %s gets full", (_what, lack) => {
  test("the body of a call that runs streams on, and its call runs once", async () => {
    const { call, body, failures } = receiving();
    keepBody(call, await roomForHalf(lack));
    const read = bytesOf(body);
    body.push(HALF, false);
    body.push(HALF, true);
    expect(await read).toBe(HALF.length * 3);
    expect(failures).toEqual([]);
    expect(body.isSpooled).toBe(false);
    expect(await body.collect(1e9)).toBeUndefined();
    await expect(bytesOf(body)).rejects.toThrow("broke off");
    body.abort();
  });

  test("a call that waits is refused, and one that has got its place goes on", async () => {
    for (const hasPlace of [false, true]) {
      const { call, body, failures, begin, consume } = receiving();
      parkCall(call, await roomForHalf(lack));
      await expect.poll(() => consume.mock.calls).toEqual([[HALF.length]]);
      if (hasPlace) begin();
      body.push(HALF, true);
      if (hasPlace) expect(await bytesOf(body)).toBe(HALF.length * 2);
      await expect.poll(() => failures).toEqual(hasPlace ? [] : ["queue_full"]);
      body.abort();
    }
  });

  test("the client sends no more than the app takes", async () => {
    const { call, body, begin, consume } = receiving();
    begin();
    keepBody(call, await roomForHalf(lack));
    body.push(HALF, false);
    // The part without room has its credit: it is the only one that waits in memory.
    await expect.poll(() => consume.mock.calls.length).toBe(2);
    body.push(HALF, false);
    // Its sender has done what it may, and the app has not.
    expect(body.awaitsSender).toBe(false);
    const read = body.chunks();
    for (let bytes = 0; bytes < HALF.length * 3; bytes += (await read.next()).value?.length ?? 0) {
      expect(consume.mock.calls.length).toBe(2);
    }
    const next = read.next();
    await expect.poll(() => consume.mock.calls.length).toBe(3);
    expect(body.awaitsSender).toBe(true);
    body.push(HALF, true);
    expect((await next).value).toHaveLength(HALF.length);
    expect((await read.next()).done).toBe(true);
    body.abort();
  });
});
