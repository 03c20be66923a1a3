/** Buffers of request bodies: lent, given back, and never in two hands. */
import { expect, test } from "vitest";
import { KIB } from "../../../base/units.ts";
import { BodyBuffers } from "../../../origin-gpu/calls/body-buffers.ts";

const PART = Buffer.alloc(40 * KIB, "part");

test("a part is a copy: what it was read into may be read into again", () => {
  const buffers = new BodyBuffers();
  for (const size of [1, 40 * KIB, 100 * KIB]) {
    const part = Buffer.alloc(size, "a");
    const copy = buffers.copy(part);
    part.fill("b");
    expect(Buffer.from(copy).equals(Buffer.alloc(size, "a"))).toBe(true);
  }
});

test("a buffer that was given back is used again, and only then", () => {
  const buffers = new BodyBuffers();
  const first = buffers.copy(PART);
  const second = buffers.copy(PART);
  expect(second.buffer).not.toBe(first.buffer);
  buffers.giveBack(Buffer.from(first.buffer, 0, first.length));
  expect(buffers.copy(PART).buffer).toBe(first.buffer);
  expect(buffers.copy(PART).buffer).not.toBe(first.buffer);
});

test("one that is given back twice is in one hand afterwards", () => {
  const buffers = new BodyBuffers();
  const part = buffers.copy(PART);
  buffers.giveBack(part);
  buffers.giveBack(part);
  expect(buffers.copy(PART).buffer).not.toBe(buffers.copy(PART).buffer);
});

test("one that was kept, and memory of others, is not taken back", () => {
  const buffers = new BodyBuffers();
  const kept = buffers.copy(PART);
  buffers.keep(kept);
  buffers.giveBack(kept);
  buffers.giveBack(PART);
  const { buffer } = buffers.copy(PART);
  expect(buffer).not.toBe(kept.buffer);
  expect(buffer).not.toBe(PART.buffer);
});

test("a small part has memory of its own size", () => {
  expect(new BodyBuffers().copy(Uint8Array.of(1, 2, 3)).buffer.byteLength).toBe(3);
});
