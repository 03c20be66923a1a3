/** Bodies of calls that may be run again: kept while they stream, where there is room. */
import { expect, test } from "vitest";
import { BodySpools } from "../../../origin-gpu/calls/body-spool.ts";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import { RequestBody } from "../../../origin-gpu/calls/request-body.ts";
import { keepBody } from "../../../origin-gpu/endpoints/waiting-bodies.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

const ROOM_BYTES = 100_000;
const HALF = new Uint8Array(20_000).fill(7);

/** A call whose body's first half is here. */
function receiving(declaredBytes: number) {
  const failures: string[] = [];
  const call = {
    body: new RequestBody(undefined, HALF, false),
    head: { headers: ["content-length", `${declaredBytes}`] },
    fail: ({ code }: { code: string }) => failures.push(code),
  };
  return { call: call as unknown as Call, body: call.body, failures };
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
