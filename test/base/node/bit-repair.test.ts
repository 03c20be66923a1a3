import { crc32 } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { differInOneBit, mendFlippedBit } from "../../../base/node/bit-repair.ts";

const contents = fc.uint8Array({ minLength: 1, maxLength: 300 });

test("any one flipped bit is mended", () => {
  fc.assert(
    fc.property(contents, fc.nat(), (content, at) => {
      const bytes = Uint8Array.from(content);
      const bit = at % (8 * bytes.length);
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(mendFlippedBit(bytes, crc32(content))).toBe(bit >> 3);
      expect(bytes).toEqual(content);
    }),
  );
});

test("content that is damaged in another way stays as it is", () => {
  fc.assert(
    fc.property(contents, contents, (content, other) => {
      fc.pre(!differInOneBit(content, other) && crc32(content) !== crc32(other));
      const bytes = Uint8Array.from(other);
      expect(mendFlippedBit(bytes, crc32(content))).toBeUndefined();
      expect(bytes).toEqual(other);
    }),
  );
});

test("texts that are equal, or differ in length or in two bits, do not differ in one", () => {
  const differ = (one: string, other: string) =>
    differInOneBit(Buffer.from(one), Buffer.from(other));
  expect([differ("ab", "ab"), differ("ab", "abc"), differ("ab", "ce")]).toEqual([
    false,
    false,
    false,
  ]);
  expect(differ("ab", "ac")).toBe(true);
});
