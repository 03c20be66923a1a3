/** One stream's response inside the link's object: how it ends, and when its client counts as gone. */
import { afterEach, expect, test, vi } from "vitest";
import { KIB } from "../../../../base/units.ts";
import { receivedOpening } from "../../../../gateway/contracts/attempt.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { Deadlines } from "../../../../gateway/objects/link/deadlines.ts";
import { StreamResponse } from "../../../../gateway/objects/link/stream-response.ts";
import type { StreamResponseOptions } from "../../../../gateway/objects/link/stream-response-options.ts";
import type { Stream } from "../../../../routing/wire/multiplexer.ts";

const PIECE = new TextEncoder().encode("piece");

/** A response on a stream, and what the object says on that stream. */
function started({
  uploads = false,
  ...options
}: { uploads?: boolean } & Partial<StreamResponseOptions> = {}) {
  const said: string[] = [];
  const stream = {
    localClosed: !uploads,
    room: 64 * KIB,
    consume: (bytes: number) => said.push(`consumed ${bytes}`),
    finish: () => said.push("finished"),
    cancel: () => said.push("cancelled"),
    discard: () => undefined,
  };
  const response = new StreamResponse(new Request("http://app"), new Deadlines(), options);
  response.start(stream as unknown as Stream);
  const halfClosed = (afterMs: number): void => {
    vi.setSystemTime(Date.now() + afterMs);
    response.onHalfClosed();
  };
  return { response, said, halfClosed, stream: stream as unknown as Stream };
}

function headOf(length: number): string {
  return JSON.stringify({ status: 200, headers: ["content-length", `${length}`] });
}

/** Lets the runtime settle what a read has brought about. */
const settled = () => scheduler.wait(0);

afterEach(() => {
  vi.useRealTimers();
});

test("a client that has closed its half stays while it has more to read", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const { response, said, halfClosed } = started();
  response.onHead(headOf(2 * PIECE.length), PIECE, false);
  const reader = (await response.response).body?.getReader();
  halfClosed(0);
  halfClosed(1_000);
  expect(said).toEqual([]);
  expect(await reader?.read()).toMatchObject({ value: PIECE });
  await settled();
  halfClosed(0);
  halfClosed(299);
  expect(said).toEqual(["consumed 5"]);
  halfClosed(1);
  expect(said).toEqual(["consumed 5", "cancelled"]);
});

test("a client that has closed its half stays while the link is away", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const back = Promise.withResolvers<void>();
  const { response, said, halfClosed, stream } = started({
    resume: async () => {
      await back.promise;
      return { kind: "stream", stream };
    },
  });
  response.onHead(headOf(2 * PIECE.length), PIECE, false);
  await (await response.response).body?.getReader().read();
  await settled();
  response.onEnd({ kind: "link_lost" });
  halfClosed(0);
  halfClosed(1_000);
  back.resolve();
  await settled();
  expect(said).toEqual(["consumed 5"]);
  halfClosed(299);
  expect(said).toEqual(["consumed 5"]);
  halfClosed(1);
  expect(said).toEqual(["consumed 5", "cancelled"]);
});

test("an answer to HEAD that comes during an upload ends with it, whatever length it tells", async () => {
  const { response, said } = started({ uploads: true });
  const { readable, writable } = new IdentityTransformStream();
  const env = { POSTERN_ONE_ISOLATE: "1" } as Env;
  const uploaded = response.sendBody(readable, env, "{}");
  response.onHead(headOf(7), new Uint8Array(0), true);
  const answer = await response.response;
  await writable.close();
  await uploaded;
  expect(await answer.text()).toBe("");
  await settled();
  expect(said).toEqual(["finished"]);
});

test("bytes of a lost link give no credit on the link that goes on", async () => {
  const credit: number[] = [];
  const next = {
    consume: (bytes: number) => credit.push(bytes),
    finish: () => undefined,
    discard: () => undefined,
  } as unknown as Stream;
  const offsets: number[] = [];
  const { response, said } = started({
    resume: async (_events, offset) => {
      offsets.push(offset);
      return await Promise.resolve({ kind: "stream", stream: next });
    },
  });
  response.onHead(headOf(2 * PIECE.length), PIECE, false);
  const reader = (await response.response).body?.getReader();
  response.onEnd({ kind: "link_lost" });
  await settled();
  response.onHead(headOf(2 * PIECE.length), PIECE, true);
  for (let read = 0; read < 2; read += 1)
    expect(await reader?.read()).toMatchObject({ value: PIECE });
  expect((await reader?.read())?.done).toBe(true);
  await settled();
  expect(offsets).toEqual([PIECE.length]);
  expect(credit).toEqual([PIECE.length]);
  expect(said).toEqual([]);
});

test("a call that waits leaves its request with what is left of its client's patience, and its stream to others", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const held: Stream[] = [];
  const { response, said, halfClosed, stream } = started({
    patienceMs: 10_000,
    onPark: (parked) => held.push(parked),
  });
  vi.setSystemTime(Date.now() + 90);
  response.onPark();
  expect(receivedOpening(await response.response)).toEqual({ kind: "parked", patienceMs: 9_910 });
  expect(held).toEqual([stream]);
  halfClosed(0);
  halfClosed(1_000);
  expect(said).toEqual([]);
});

test("a call that is parked while its Worker knows goes on waiting by the same request", async () => {
  const { response, said } = started();
  response.onPark();
  response.onHead(JSON.stringify({ status: 204, headers: [] }), new Uint8Array(0), true);
  expect(receivedOpening(await response.response)).toMatchObject({ kind: "response" });
  expect(said).toEqual(["consumed 0", "finished"]);
});

test.each([
  ["the agent itself", undefined],
  ["call c-1", "c-1"],
])("a response that breaks off says whose it is: %s", async (whose, id) => {
  const { response } = started({ callId: () => id });
  response.onHead(headOf(2 * PIECE.length), PIECE, false);
  const reader = (await response.response).body?.getReader();
  await reader?.read();
  const rest = expect(reader?.read()).rejects.toThrow(`the response of ${whose} broke off: `);
  response.onEnd({ kind: "link_lost" });
  await rest;
});
