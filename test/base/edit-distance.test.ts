import fc from "fast-check";
import { expect, it } from "vitest";
import { editDistance, nearest } from "../../base/edit-distance.ts";

it("finds the word that was meant", () => {
  const words = ["gateway", "serve", "url", "max_inputs"];
  expect(nearest("gatway", words)).toBe("gateway");
  expect(nearest("sevre", words)).toBe("serve");
  expect(nearest("urll", words)).toBe("url");
  expect(nearest("MaxInputs", words)).toBe("max_inputs");
  expect(nearest("kubernetes", words)).toBeUndefined();
});

it("is a distance: symmetric, zero for equal words alone, at most the longer word", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (left, right) => {
      const distance = editDistance(left, right);
      expect(distance).toBe(editDistance(right, left));
      expect(distance === 0).toBe(left === right);
      expect(distance).toBeLessThanOrEqual(Math.max(left.length, right.length));
    }),
  );
});
