import { expect, test } from "vitest";

import { Pacer } from "./pacer.ts";

test("each stream has one turn an interval, and the turns are spread over it", () => {
  const pacer = new Pacer<number>(20, 0);
  for (let stream = 0; stream < 100; stream++) pacer.add(stream);
  const perMs = Array.from({ length: 20 }, (_, ms) => {
    const turns: number[] = [];
    pacer.advance(ms + 1, (stream) => turns.push(stream));
    return turns;
  });
  expect(perMs.flat().toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 100 }, (_, at) => at),
  );
  expect(Math.max(...perMs.map(({ length }) => length))).toBeLessThanOrEqual(6);
});

test("a caller that is late makes up for the turns that it missed", () => {
  const pacer = new Pacer<string>(20, 5);
  pacer.add("stream");
  let turns = 0;
  pacer.advance(45, () => turns++);
  expect(turns).toBe(2);
});

test("a stream that is taken out has no turn", () => {
  const pacer = new Pacer<string>(20, 0);
  const remove = pacer.add("stream");
  remove();
  pacer.advance(100, () => expect.unreachable());
});
