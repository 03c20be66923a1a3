import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { isWithin, matchesPattern, placementOf } from "../../routing/placement.ts";

const BOXES = [
  { name: "gpu-2", region: "eu-west-1", connected: true },
  { name: "gpu-1", region: "us-east1", connected: false },
  { name: "cpu-1", region: "", connected: true },
];

describe("an app runs", () => {
  test.each<[string, Parameters<typeof placementOf>[0], string[], string[]]>([
    ["on all boxes of a pattern", { boxes: ["gpu-*"] }, [], ["gpu-1", "gpu-2"]],
    ["on boxes of any of the patterns", { boxes: ["cpu-?", "gpu-1"] }, [], ["cpu-1", "gpu-1"]],
    ["on all boxes of a region", { region: ["eu"] }, [], ["gpu-2"]],
    ["where pattern and region both fit", { boxes: ["gpu-*"], region: ["us-east"] }, [], ["gpu-1"]],
    ["nowhere where none fits", { boxes: ["tpu-*"] }, ["gpu-1"], []],
    ["on the box that it is deployed from", {}, ["gpu-1", "cpu-1"], ["gpu-1"]],
    ["where it runs, if the deploying machine is no box", {}, ["laptop", "gpu-2"], ["gpu-2"]],
    ["on the first connected box without any wish", {}, [], ["cpu-1"]],
  ])("%s", (_name, rule, preferred, expected) => {
    expect(placementOf(rule, BOXES, preferred)).toEqual(expected);
  });

  test("on the first box while none is connected", () => {
    const away = BOXES.map(({ name, region }) => ({ name, region, connected: false }));
    expect(placementOf({}, away, [])).toEqual(["cpu-1"]);
    expect(placementOf({}, [], [])).toEqual([]);
  });
});

describe("a pattern", () => {
  test.each([
    ["*", "", true],
    ["*", "anything", true],
    ["gpu-?", "gpu-1", true],
    ["gpu-?", "gpu-12", false],
    ["a*b*c", "axxbyyc", true],
    ["a*b*c", "axxbyyd", false],
    ["gpu", "gpu-1", false],
    ["GPU-1", "gpu-1", false],
    ["a.c", "abc", false],
  ])("%s and the name %s: %s", (pattern, name, expected) => {
    expect(matchesPattern(pattern, name)).toBe(expected);
  });

  test("means what the same regular expression means", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 8 });
    const names = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 10 });
    fc.assert(
      fc.property(letters, names, (pattern, name) => {
        const expression = new RegExp(`^${pattern.replaceAll("*", ".*").replaceAll("?", ".")}$`);
        expect(matchesPattern(pattern, name)).toBe(expression.test(name));
      }),
    );
  });

  test("of many stars takes no time", () => {
    const began = performance.now();
    expect(matchesPattern("*a".repeat(200), "a".repeat(10_000).concat("b"))).toBe(false);
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});

test.each([
  ["eu", "eu", true],
  ["eu", "eu-west-1", true],
  ["EU", "eu-west-1", true],
  ["us-east", "us-east-1", true],
  ["us-east", "us-east1", true],
  ["us-east1", "us-east10", false],
  ["us-east", "us-eastern", false],
  ["eu-west-1", "eu", false],
  ["eu", "", false],
])("region %s has %s: %s", (broad, region, expected) => {
  expect(isWithin(broad, region)).toBe(expected);
});
