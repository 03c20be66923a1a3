import { expect, test } from "vitest";
import { GIB } from "../../../base/units.ts";
import { parseDeclaredCards } from "../../../origin-gpu/gpus/declared-cards.ts";

test("cards are numbered in their order, with a name and memory", () => {
  expect(parseDeclaredCards("H100:80GiB, H100:80GiB,RTX 4090:24GiB").ok).toBe(true);
  expect(parseDeclaredCards("H100:80GiB, L4")).toEqual({
    ok: true,
    value: [
      { id: "0", name: "H100", memoryBytes: 80 * GIB },
      { id: "1", name: "L4", memoryBytes: 0 },
    ],
  });
});

test("a device of its own is for parts of a card and other numbers", () => {
  expect(parseDeclaredCards("MIG 1g.10gb:10GiB@MIG-8c6b/1/0,L4:24GiB@3")).toEqual({
    ok: true,
    value: [
      { id: "MIG-8c6b/1/0", name: "MIG 1g.10gb", memoryBytes: 10 * GIB },
      { id: "3", name: "L4", memoryBytes: 24 * GIB },
    ],
  });
});

test("none declares that there is no card", () => {
  expect(parseDeclaredCards("none")).toEqual({ ok: true, value: [] });
});

test.each([
  ["H100:80GB", 'POSTERN_GPUS: "H100:80GB": must be "none", or NAME'],
  ["H100,,L4", 'POSTERN_GPUS: "": must be'],
  [":80GiB", "must be"],
  ["H100:80GiB@", "must be"],
  ["none,H100", 'POSTERN_GPUS: "none": must be'],
  ["H100, None :80GiB", "must be"],
  ["any", "must be"],
  ["H100@1,L4", 'POSTERN_GPUS: "L4": device 1 is declared twice'],
  [Array.from({ length: 65 }, () => "L4").join(","), "more than 64 cards"],
])("%s is refused with the form that is right", (text, reason) => {
  const result = parseDeclaredCards(text);
  expect(result.ok ? "" : result.error).toContain(reason);
});
