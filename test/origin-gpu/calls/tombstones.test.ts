/** Whether a call that is asked for may be opened again: never when it ran here. */
import { expect, test } from "vitest";
import { LEFT_TOMBSTONES, Tombstones } from "../../../origin-gpu/calls/tombstones.ts";

test("before the first welcome the agent knows for nothing", () => {
  expect(new Tombstones().knownSinceMs("a", 5000)).toBe(0);
});

test("a call that never came is vouched for since the first welcome, not since a later one", () => {
  const ended = new Tombstones();
  ended.onWelcomed(1000);
  ended.onWelcomed(4000);
  expect(ended.knownSinceMs("a", 6000.7)).toBe(5000);
});

test("a call that ran is not vouched for", () => {
  const ended = new Tombstones();
  ended.onWelcomed(0);
  ended.add("a", 100);
  expect(ended.knownSinceMs("a", 200)).toBeUndefined();
  expect(ended.knownSinceMs("b", 200)).toBe(200);
});

test("a call is remembered for two minutes at least", () => {
  const ended = new Tombstones();
  ended.onWelcomed(0);
  for (let at = 100; at < 1_000_000; at += 100) {
    ended.add(`${at}`, at);
    const twoMinutesAgo = at - (at % 7 === 0 ? 119_900 : 0);
    if (twoMinutesAgo > 0) expect(ended.knownSinceMs(`${twoMinutesAgo}`, at)).toBeUndefined();
  }
});

test("a call that was forgotten for its age ended before the time that is vouched for", () => {
  const ended = new Tombstones();
  ended.onWelcomed(0);
  ended.add("a", 100);
  ended.add("b", 200_000);
  ended.add("c", 320_000);
  // A gateway that opened "a" did so before 100, that is more than 319,900 ms ago.
  expect(ended.knownSinceMs("a", 320_000)).toBe(319_900);
  expect(ended.knownSinceMs("b", 320_000)).toBeUndefined();
  expect(ended.knownSinceMs("c", 320_000)).toBeUndefined();
});

test("a burst of calls shortens the time instead of taking memory", () => {
  const ended = new Tombstones(10);
  ended.onWelcomed(0);
  for (let id = 1; id <= 105; id += 1) ended.add(String(id), id);
  const known = Array.from({ length: 105 }, (_, id) => ended.knownSinceMs(String(id + 1), 105));
  // Ten of the generation before, and five of this one.
  expect(known.filter((ms) => ms === undefined)).toHaveLength(15);
  // "90" is forgotten and ended at 90: its gateway opened it at least 15 ms ago.
  expect(known[89]).toBe(15);
});

test("an agent that has not been welcomed leaves nothing: it does not know what came before", () => {
  expect(new Tombstones().leave(5000)).toBeUndefined();
});

test("the next agent vouches for the calls of the last one too, whatever its clock", () => {
  const last = new Tombstones();
  last.onWelcomed(1000);
  last.add("a", 2000);
  const ended = new Tombstones();
  ended.inherit(LEFT_TOMBSTONES.parse(last.leave(10_000)), 50);
  expect(ended.knownSinceMs("a", 100)).toBeUndefined();
  expect(ended.knownSinceMs("b", 100)).toBe(9050);
  ended.onWelcomed(200);
  ended.add("c", 300);
  for (const callId of ["a", "c"]) expect(ended.knownSinceMs(callId, 400)).toBeUndefined();
  expect(ended.knownSinceMs("b", 400)).toBe(9350);
  expect(ended.leave(400)).toEqual({ knownForMs: 9350, callIds: ["a", "c"] });
});

test("what came from the last agent is forgotten as any other call, and vouched for no more", () => {
  const ended = new Tombstones();
  ended.inherit({ knownForMs: 9000, callIds: ["a"] }, 0);
  for (const [callId, at] of [
    ["b", 119_000],
    ["c", 120_000],
    ["d", 239_000],
  ] as const) {
    ended.add(callId, at);
    expect(ended.knownSinceMs("a", at)).toBeUndefined();
  }
  ended.add("e", 240_000);
  // The youngest that is forgotten, "b", ended at 119,000.
  expect(ended.knownSinceMs("a", 240_000)).toBe(121_000);
});
