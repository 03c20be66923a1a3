import { describe, expect, test } from "vitest";

import { Places } from "../../cli/front/places.ts";

const places = (max: number) => new Places({ max, isProxy: (address) => address === "10.0.0.1" });

describe("places", () => {
  test("a place that is given back can be taken again", () => {
    const taken = places(2);
    const first = taken.client("a");
    expect(taken.client("a")).toBeUndefined();
    first?.();
    expect(taken.client("a")).toBeDefined();
  });

  test("clients take seven of eight, one address half of these, a proxy all", () => {
    const all = places(80);
    const take = (address: string) => Array.from({ length: 80 }, () => all.client(address));
    const count = (taken: unknown[]) => taken.filter((each) => each !== undefined).length;
    const ofOne = take("192.0.2.1");
    expect(count(ofOne)).toBe(35);
    for (const release of ofOne) release?.();
    expect(count(take("10.0.0.1"))).toBe(70);
    expect(count(take("192.0.2.1"))).toBe(0);
    const boxes = Array.from({ length: 80 }, () => all.box("192.0.2.1"));
    expect(count(boxes)).toBe(10);
  });

  test("of 40,000 places boxes alone have 256, and one address half of the others", () => {
    const all = places(40_000);
    const count = (take: () => unknown): number => {
      let taken = 0;
      while (take() !== undefined) taken += 1;
      return taken;
    };
    expect(count(() => all.client("192.0.2.1"))).toBe((40_000 - 256) / 2);
    expect(count(() => all.client("10.0.0.1"))).toBe((40_000 - 256) / 2);
    expect(all.client("192.0.2.2")).toBeUndefined();
    expect(count(() => all.box("192.0.2.1"))).toBe(256);
  });

  test("the refusals of one address leave room for those of others", () => {
    const all = places(80);
    while (all.refusal("192.0.2.1") !== undefined);
    expect(all.refusal("192.0.2.2")).toBeDefined();
  });
});
