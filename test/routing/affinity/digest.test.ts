import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { digestOfText } from "../../../routing/affinity/digest.ts";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

test("the digest of any text is SHA-256's", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 300 }), (text) => {
      expect(digestOfText(text)).toBe(sha256(text));
    }),
  );
});

test("texts of each length around a block have SHA-256's digest", () => {
  for (let length = 0; length <= 260; length += 1) {
    const text = "x".repeat(length);
    expect(digestOfText(text)).toBe(sha256(text));
  }
});
