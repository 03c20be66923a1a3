/** Buffers of request bodies: lent, given back, and never in two hands. */
import { expect, test } from "vitest";
import { KIB } from "../../../base/units.ts";
import { BodyBuffers } from "../../../origin-gpu/calls/body-buffers.ts";

const PART = Buffer.alloc(40 * KIB, "part");

/** The one copy of a part that fits one buffer. */
function copyOf(part: Uint8Array, buffers: BodyBuffers): Uint8Array {
  const [copy, ...more] = buffers.copy(part);
  if (copy === undefined || more.length > 0) throw new Error("not one copy");
  return copy;
}

test("a part is a copy: what it was read into may be read into again", () => {
  const buffers = new BodyBuffers();
  for (const size of [0, 1, 40 * KIB, 64 * KIB, 256 * KIB, 300_001]) {
    const part = Buffer.alloc(size, "a");
    const copies = buffers.copy(part);
    part.fill("b");
    expect(Buffer.concat(copies).equals(Buffer.alloc(size, "a"))).toBe(true);
    expect(copies.length).toBe(Math.ceil(size / (64 * KIB)));
  }
});

test("a buffer that was given back is used again, and only then", () => {
  const buffers = new BodyBuffers();
  const first = copyOf(PART, buffers);
  const second = copyOf(PART, buffers);
  expect(second.buffer).not.toBe(first.buffer);
  buffers.giveBack(Buffer.from(first.buffer, 0, first.length));
  expect(copyOf(PART, buffers).buffer).toBe(first.buffer);
  expect(copyOf(PART, buffers).buffer).not.toBe(first.buffer);
});

test("one that is given back twice is in one hand afterwards", () => {
  const buffers = new BodyBuffers();
  const part = copyOf(PART, buffers);
  buffers.giveBack(part);
  buffers.giveBack(part);
  expect(copyOf(PART, buffers).buffer).not.toBe(copyOf(PART, buffers).buffer);
});

test("one that was kept, and memory of others, is not taken back", () => {
  const buffers = new BodyBuffers();
  const kept = copyOf(PART, buffers);
  buffers.keep(kept);
  buffers.giveBack(kept);
  buffers.giveBack(PART);
  const { buffer } = copyOf(PART, buffers);
  expect(buffer).not.toBe(kept.buffer);
  expect(buffer).not.toBe(PART.buffer);
});

test("a small part has memory of its own size", () => {
  expect(copyOf(Uint8Array.of(1, 2, 3), new BodyBuffers()).buffer.byteLength).toBe(3);
});
