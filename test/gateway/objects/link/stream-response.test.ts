/** One stream's response inside the link's object: how it ends, and when its client counts as gone. */
import { afterEach, expect, test, vi } from "vitest";
import { Deadlines } from "../../../../gateway/objects/link/deadlines.ts";
import { StreamResponse } from "../../../../gateway/objects/link/stream-response.ts";
import type { Stream } from "../../../../routing/wire/multiplexer.ts";

const PIECE = new TextEncoder().encode("piece");

/** A response on a stream, and what the object says on that stream. */
function started() {
  const said: string[] = [];
  const stream = {
    localClosed: true,
    consume: (bytes: number) => said.push(`consumed ${bytes}`),
    finish: () => said.push("finished"),
    cancel: () => said.push("cancelled"),
    discard: () => undefined,
  };
  const response = new StreamResponse(new Request("http://app"), new Deadlines());
  response.start(stream as unknown as Stream);
  return { response, said };
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
  const { response, said } = started();
  const halfClosed = (afterMs: number): void => {
    vi.setSystemTime(Date.now() + afterMs);
    response.onHalfClosed();
  };
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
