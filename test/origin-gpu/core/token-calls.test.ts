/** So many calls of a token at a time: one more is refused, and a place that is free is free once. */
import { expect, test } from "vitest";
import { TokenCalls } from "../../../origin-gpu/core/token-calls.ts";

test("a token has as many calls as it may, and another token its own", () => {
  const calls = new TokenCalls<object>();
  const [one, two, three] = [{}, {}, {}];
  expect(calls.enter(one, "a", 2)).toBe(true);
  expect(calls.enter(two, "a", 2)).toBe(true);
  expect(calls.enter(three, "a", 2)).toBe(false);
  expect(calls.enter({}, "b", 1)).toBe(true);
  // Neither a refused call nor a second end gives a place back.
  calls.leave(three);
  expect(calls.enter({}, "a", 2)).toBe(false);
  calls.leave(one);
  calls.leave(one);
  expect(calls.enter(three, "a", 2)).toBe(true);
  expect(calls.enter({}, "a", 2)).toBe(false);
});

test("a limit that is lowered holds for the next call", () => {
  const calls = new TokenCalls<object>();
  const running = [{}, {}, {}];
  for (const call of running) expect(calls.enter(call, "a", 3)).toBe(true);
  for (const call of running.slice(0, 2)) {
    calls.leave(call);
    expect(calls.enter({}, "a", 1)).toBe(false);
  }
  for (const call of running) calls.leave(call);
  expect(calls.enter({}, "a", 1)).toBe(true);
});
