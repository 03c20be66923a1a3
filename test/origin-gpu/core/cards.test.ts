import { expect, test } from "vitest";
import { isOfKind } from "../../../origin-gpu/core/cards.ts";

test.each([
  ["NVIDIA H100 80GB HBM3", "H100", true],
  ["NVIDIA H100 80GB HBM3", "h100-80GB", true],
  ["NVIDIA A100-SXM4-40GB", "A100-40GB", true],
  ["NVIDIA A100-SXM4-40GB", "A100-80GB", false],
  ["NVIDIA A100-SXM4-80GB", "A10", false],
  ["NVIDIA GH200 480GB", "H200", false],
  ["NVIDIA GeForce RTX 4090", "RTX-4090", true],
  ["NVIDIA L40S", "L4", false],
  ["Tesla T4", undefined, true],
])("%s is of kind %s: %s", (name, kind, expected) => {
  expect(isOfKind({ id: "0", name, memoryBytes: 0 }, kind)).toBe(expected);
});
