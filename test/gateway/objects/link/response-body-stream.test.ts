/** A response's body inside the object: the bytes that count as taken are those that the reader has. */
import { expect, test } from "vitest";

import { ResponseBodyStream } from "../../../../gateway/objects/link/response-body-stream.ts";

/** A body whose events are noted. */
function observed(length?: number) {
  const seen: (number | "whole" | "left")[] = [];
  const body = new ResponseBodyStream(
    {
      onTaken: (bytes) => seen.push(bytes),
      onWhole: () => seen.push("whole"),
      onLeft: () => seen.push("left"),
    },
    length,
  );
  return { body, seen, reader: body.readable.getReader() };
}

/** Lets the runtime settle what a read has brought about. */
const settled = () => scheduler.wait(0);

const bytes = (...values: number[]) => Uint8Array.from(values);

test("a piece counts as taken when the reader has it", async () => {
  const { body, seen, reader } = observed();
  body.push(bytes(1, 2, 3));
  await settled();
  expect(seen).toEqual([]);
  expect((await reader.read()).value).toEqual(bytes(1, 2, 3));
  await settled();
  expect(seen).toEqual([3]);
});

test("small pieces that wait go out together", async () => {
  const { body, seen, reader } = observed();
  for (const piece of [bytes(1), bytes(2), bytes(3, 4)]) body.push(piece);
  expect((await reader.read()).value).toEqual(bytes(1));
  expect((await reader.read()).value).toEqual(bytes(2, 3, 4));
  await settled();
  expect(seen).toEqual([1, 3]);
});

test("pieces of all sizes keep their order, and each byte counts once", async () => {
  const { body, seen, reader } = observed();
  reader.releaseLock();
  const pieces = [1, 70_000, 3, 65_535, 65_536, 2, 2, 65_536, 1].map((size, index) =>
    new Uint8Array(size).fill(index),
  );
  for (const piece of pieces) body.push(piece);
  body.end();
  const whole = await new Response(body.readable).arrayBuffer();
  let at = 0;
  for (const piece of pieces) {
    const part = new Uint8Array(whole, at, piece.length);
    expect(part.every((byte) => byte === piece[0])).toBe(true);
    at += piece.length;
  }
  expect(at).toBe(whole.byteLength);
  await settled();
  expect(seen.at(-1)).toBe("whole");
  const taken = seen.slice(0, -1).reduce<number>((sum, bytes) => sum + Number(bytes), 0);
  expect(taken).toBe(whole.byteLength);
});

test("the end comes after the last piece, and then the body is whole", async () => {
  const { body, seen, reader } = observed();
  body.push(bytes(1));
  body.end();
  expect((await reader.read()).value).toEqual(bytes(1));
  expect((await reader.read()).done).toBe(true);
  await settled();
  expect(seen).toEqual([1, "whole"]);
});

test("a break comes after what came before it, and is no end", async () => {
  const { body, seen, reader } = observed();
  body.push(bytes(1));
  body.break(new Error("the response broke off"));
  expect((await reader.read()).value).toEqual(bytes(1));
  await expect(reader.read()).rejects.toThrow("the response broke off");
  await settled();
  expect(seen).toEqual([1]);
});

test("a response that was complete before the link broke is whole", async () => {
  const { body, seen, reader } = observed();
  body.push(bytes(1));
  body.end();
  body.break(new Error("the response broke off"));
  await reader.read();
  expect((await reader.read()).done).toBe(true);
  await settled();
  expect(seen).toEqual([1, "whole"]);
});

test("a body of a declared length ends with its last byte", async () => {
  const { body, seen, reader } = observed(3);
  body.push(bytes(1, 2));
  body.push(bytes(3));
  body.end();
  await reader.read();
  await reader.read();
  expect((await reader.read()).done).toBe(true);
  await settled();
  expect(seen).toEqual([2, 1, "whole"]);
});

test.each([
  ["below", 3, bytes(1)],
  ["beyond", 1, bytes(1, 2, 3)],
])("a body that ends %s its declared length breaks for its reader", async (_, length, piece) => {
  const { body, reader } = observed(length);
  body.push(piece);
  body.end();
  const read = async (): Promise<void> => {
    while (!(await reader.read()).done);
  };
  await expect(read()).rejects.toThrow("FixedLengthStream");
});

test("a reader that leaves is noticed, and nothing is kept for it", async () => {
  const { body, seen, reader } = observed();
  body.push(bytes(1));
  await reader.cancel();
  await settled();
  body.push(bytes(2));
  body.end();
  await settled();
  expect(seen).toEqual(["left"]);
});
