/** A response's body inside the object: the bytes that count as taken are those that the reader has. */
import { expect, test } from "vitest";

import { ResponseBodyStream } from "../../../../gateway/objects/link/response-body-stream.ts";
import { MAX_CHUNK_BYTES } from "../../../../gateway/contracts/link.ts";

/** A body whose events are noted. */
function observed() {
  const seen: (number | "whole" | "left")[] = [];
  const body = new ResponseBodyStream({
    onTaken: (bytes) => seen.push(bytes),
    onWhole: () => seen.push("whole"),
    onLeft: () => seen.push("left"),
  });
  return { body, seen, reader: body.readable.getReader() };
}

const bytes = (...values: number[]) => Uint8Array.from(values);

test("a piece counts as taken when the reader comes back, not when it is handed on", async () => {
  const { body, seen, reader } = observed();
  body.push(bytes(1, 2, 3));
  expect((await reader.read()).value).toEqual(bytes(1, 2, 3));
  expect(seen).toEqual([]);
  const next = reader.read();
  body.push(bytes(4));
  expect((await next).value).toEqual(bytes(4));
  expect(seen).toEqual([3]);
});

test("pieces that wait go out together, in their order, as many as one read takes", async () => {
  const { body, reader } = observed();
  const large = new Uint8Array(MAX_CHUNK_BYTES).fill(7);
  for (const piece of [bytes(1), bytes(2, 3), large, bytes(4)]) body.push(piece);
  expect((await reader.read()).value).toEqual(bytes(1, 2, 3));
  expect((await reader.read()).value).toEqual(large);
  expect((await reader.read()).value).toEqual(bytes(4));
});

test("the end comes after the last piece, and then the body is whole", async () => {
  const { body, seen, reader } = observed();
  body.push(bytes(1));
  body.end();
  expect((await reader.read()).value).toEqual(bytes(1));
  expect(seen).toEqual([]);
  expect((await reader.read()).done).toBe(true);
  expect(seen).toEqual([1, "whole"]);
});

test("a break comes after what came before it, and is no end", async () => {
  const { body, seen, reader } = observed();
  body.push(bytes(1));
  body.break();
  expect((await reader.read()).value).toEqual(bytes(1));
  await expect(reader.read()).rejects.toThrow("the response broke off");
  expect(seen).toEqual([1]);
});

test("an answer that was complete before the link broke is whole", async () => {
  const { body, seen, reader } = observed();
  body.push(bytes(1));
  body.end();
  body.break();
  await reader.read();
  expect((await reader.read()).done).toBe(true);
  expect(seen).toEqual([1, "whole"]);
});

test("a reader that leaves is noticed, and nothing is kept for it", async () => {
  const { body, seen, reader } = observed();
  body.push(bytes(1));
  await reader.cancel();
  body.push(bytes(2));
  body.end();
  expect(seen).toEqual(["left"]);
});
