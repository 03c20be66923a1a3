import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formerHomes, homeBox } from "../../routing/boxes.ts";

const names = fc.uniqueArray(fc.stringMatching(/^[a-z0-9._-]{1,20}$/), {
  minLength: 1,
  maxLength: 12,
});
const placesOf = (boxes: readonly string[]) => boxes.map((box) => ({ box }));
const hex = fc.stringMatching(/^[0-9a-f]{64}$/);

describe("a key's home", () => {
  it("is one of the boxes, whatever their order", () => {
    fc.assert(
      fc.property(names, hex, fc.nat(), (boxes, key, turn) => {
        const places = placesOf(boxes);
        const at = turn % boxes.length;
        const turned = [...places.slice(at), ...places.slice(0, at)];
        const home = homeBox(key, places)?.box;
        expect(boxes).toContain(home);
        expect(homeBox(key, turned)?.box).toBe(home);
        expect(homeBox(key, places.toReversed())?.box).toBe(home);
      }),
    );
  });

  it("stays where it is when another box goes, and moves to a new box or nowhere when one comes", () => {
    fc.assert(
      fc.property(names, hex, fc.nat(), (boxes, key, which) => {
        fc.pre(boxes.length > 1);
        const one = boxes[which % boxes.length] as string;
        const others = boxes.filter((box) => box !== one);
        const before = homeBox(key, placesOf(boxes))?.box;
        const after = homeBox(key, placesOf(others))?.box;
        if (before === one) expect(others).toContain(after);
        else expect(after).toBe(before);
      }),
    );
  });

  it("is shared out evenly, also among boxes of much the same name", () => {
    const boxes = placesOf(["gpu-1", "gpu-2", "gpu-3", "gpu-4", "gpu-5"]);
    const counts = new Map<string, number>();
    const keys = 20_000;
    for (let key = 0; key < keys; key += 1) {
      const box = homeBox(`key-${key}`, boxes)?.box ?? "";
      counts.set(box, (counts.get(box) ?? 0) + 1);
    }
    for (const count of counts.values()) {
      expect(Math.abs(count / (keys / boxes.length) - 1)).toBeLessThan(0.05);
    }
  });

  it("is for ever: these keys have always lived there", () => {
    const boxes = placesOf(["gpu-1", "gpu-2", "gpu-3"]);
    const homes = ["a", "b", "c", "d", "g", "h", "i"].map((key) => homeBox(key, boxes)?.box);
    expect(homes).toEqual(["gpu-3", "gpu-2", "gpu-3", "gpu-2", "gpu-2", "gpu-1", "gpu-3"]);
  });
});

describe("a key's former homes", () => {
  const NOW = 1_000_000;
  const sets = fc.array(
    fc.record({ boxes: names, untilMs: fc.integer({ min: 0, max: 2 * NOW }) }),
    {
      maxLength: 5,
    },
  );

  it("are its homes in every set whose calls are remembered, without its present home", () => {
    fc.assert(
      fc.property(names, hex, sets, (boxes, key, former) => {
        const homes = formerHomes(key, placesOf(boxes), former, NOW);
        const present = homeBox(key, placesOf(boxes))?.box;
        const remembered = former.filter(({ untilMs }) => untilMs > NOW);
        const expected = remembered.map((set) => homeBox(key, placesOf(set.boxes))?.box);
        expect(new Set([...homes, present])).toEqual(new Set([...expected, present]));
        expect(homes).not.toContain(present);
        expect(new Set(homes).size).toBe(homes.length);
      }),
    );
  });

  it("are none of a box that was added alone, where its present home served before", () => {
    const former = [{ boxes: ["b1"], untilMs: NOW + 1 }];
    const keys = Array.from({ length: 50 }, (_, number) => `key-${number}`);
    for (const key of keys) {
      const home = homeBox(key, placesOf(["b1", "b2"]))?.box;
      expect(formerHomes(key, placesOf(["b1", "b2"]), former, NOW)).toEqual(
        home === "b1" ? [] : ["b1"],
      );
      expect(formerHomes(key, placesOf(["b1", "b2"]), former, NOW + 1)).toEqual([]);
    }
  });

  it("are asked also where no box serves the endpoint any more", () => {
    expect(formerHomes("k", [], [{ boxes: ["b1"], untilMs: NOW + 1 }], NOW)).toEqual(["b1"]);
  });
});
