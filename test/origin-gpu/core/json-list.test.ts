import fc from "fast-check";
import { expect, test } from "vitest";

import { elementsOf, listOf } from "../../../origin-gpu/core/json-list.ts";
import { runs } from "../../support/runs.ts";

/** A JSON text with white space wherever it may stand. */
const spacedJson = () =>
  fc
    .tuple(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom(0, 1, "\t", "\r\n  "))
    .map(([value, space]) => JSON.stringify(value, undefined, space));

test("a list of any texts has just these as its elements", () => {
  fc.assert(
    fc.property(fc.array(spacedJson(), { maxLength: 8 }), (texts) => {
      expect(elementsOf(listOf(texts))).toEqual(texts.map((text) => text.trim()));
    }),
    { numRuns: runs(300) },
  );
});

test.each([
  ["[]", []],
  [" [ ] \n", []],
  ["[1.0, 12345678901234567890,1e2]", ["1.0", "12345678901234567890", "1e2"]],
  [
    '["],[", "\\"],", "\\\\", {"a,]": [1, [2]]}]',
    ['"],["', '"\\"],"', '"\\\\"', '{"a,]": [1, [2]]}'],
  ],
])("%s keeps its elements' texts", (text, elements) => {
  expect(elementsOf(text)).toEqual(elements);
});

test.each(["", "{}", '"[]"', "[1", "[1,]", "[1] 2", "[1],[2]", "null"])("%j is no list", (text) => {
  expect(elementsOf(text)).toBeUndefined();
});
