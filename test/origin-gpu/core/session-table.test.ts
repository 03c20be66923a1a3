/** Which container a session's keys lead to, and how many sessions each container has. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { leftSessions } from "../../../origin-gpu/core/left-sessions.ts";
import {
  type Session,
  SessionCounts,
  type SessionPlace,
  SessionTable,
} from "../../../origin-gpu/core/session-table.ts";

class Place implements SessionPlace {
  readonly number: number;
  readonly sessions = new SessionCounts();
  keepsSessions = true;

  constructor(number: number) {
    this.number = number;
  }
}

const MINUTE_MS = 60_000;

/** A session that has its place. */
function settled(table: SessionTable, keys: string[], place: SessionPlace, nowMs = 0): Session {
  const session = table.enter(keys, undefined, nowMs);
  if (session.place === undefined) table.settle(session, place, nowMs);
  return session;
}

describe("a session's keys", () => {
  test("lead to the session of the first one that is known", () => {
    const table = new SessionTable();
    const first = settled(table, ["session_hash=a"], new Place(1));
    const second = settled(table, ["cookie=b"], new Place(2));
    expect(table.enter(["session_hash=a", "cookie=b"], undefined, 0)).toBe(first);
    expect(table.enter(["cookie=b", "session_hash=a"], undefined, 0)).toBe(second);
  });

  test("that are new belong to the session of the others", () => {
    const table = new SessionTable();
    const session = settled(table, ["cookie=b"], new Place(1));
    table.enter(["event_id=e", "cookie=b"], undefined, 0);
    expect(table.find(["event_id=e"])).toBe(session);
  });

  test("that lead elsewhere go on to do so", () => {
    const table = new SessionTable();
    settled(table, ["session_hash=a"], new Place(1));
    const other = settled(table, ["session_hash=b"], new Place(2));
    table.enter(["session_hash=a", "session_hash=b"], undefined, 0);
    expect(table.find(["session_hash=b"])).toBe(other);
  });

  test("go before the place that the client names", () => {
    const table = new SessionTable();
    const place = new Place(1);
    settled(table, ["session_hash=a"], place);
    expect(table.enter(["session_hash=a"], new Place(2), 0).place).toBe(place);
  });

  test("that nobody knows lead to the place that the client names", () => {
    const table = new SessionTable();
    const place = new Place(2);
    expect(table.enter(["cookie=b"], place, 0).place).toBe(place);
    expect(place.sessions.lasting).toBe(1);
  });

  test("all move together when the container is gone", () => {
    const table = new SessionTable();
    const gone = new Place(1);
    const session = settled(table, ["session_hash=a", "cookie=b"], gone);
    gone.keepsSessions = false;
    expect(session.isLost).toBe(true);
    table.unsettle(session);
    expect(session.hasMoved).toBe(true);
    const next = new Place(2);
    table.settle(session, next, 0);
    expect(table.find(["cookie=b"])?.place).toBe(next);
    expect([gone.sessions.lasting, next.sessions.lasting]).toEqual([0, 1]);
  });
});

describe("keys that an app hands out", () => {
  test("lead to the container of the response", () => {
    const table = new SessionTable();
    const session = settled(table, [], new Place(1));
    table.learn(session, ["event_id=e", "event_id=f"], 0);
    expect(table.find(["event_id=f"])).toBe(session);
    expect(table.knows(["event_id=g", "event_id=e"])).toBe(true);
  });

  test("stay where they are while that container is there", () => {
    const table = new SessionTable();
    const place = new Place(1);
    const first = settled(table, ["kernel=k"], place);
    const second = settled(table, ["cookie=b"], new Place(2));
    table.learn(second, ["kernel=k"], 0);
    expect(table.find(["kernel=k"])).toBe(first);
    place.keepsSessions = false;
    table.learn(second, ["kernel=k"], 0);
    expect(table.find(["kernel=k"])).toBe(second);
  });

  test("of what lies on the box are known, and lead to no container", () => {
    const table = new SessionTable();
    const session = settled(table, [], new Place(1));
    table.learn(session, ["file=0a"], 0);
    expect(table.knows(["file=0a"])).toBe(true);
    expect(table.find(["file=0a"])).toBeUndefined();
    expect(session.isAnonymous).toBe(true);
  });
});

describe("the number of a container's sessions", () => {
  test("counts a session once, however many keys and calls it has", () => {
    const table = new SessionTable();
    const place = new Place(1);
    const session = settled(table, ["cookie=a", "session_hash=b"], place);
    table.begin(session, 0);
    table.learn(session, ["event_id=e"], 0);
    table.begin(session, 0);
    expect(place.sessions.lasting).toBe(1);
  });

  test("forgets a session that nobody has used for ten minutes", () => {
    const table = new SessionTable();
    const place = new Place(1);
    settled(table, ["cookie=a"], place);
    settled(table, ["cookie=b"], place, 5 * MINUTE_MS);
    table.tick(10 * MINUTE_MS);
    expect(place.sessions.lasting).toBe(1);
    table.enter(["cookie=a"], undefined, 11 * MINUTE_MS);
    expect(place.sessions.lasting).toBe(2);
  });

  test("has a session for as long as a call of it runs", () => {
    const table = new SessionTable();
    const place = new Place(1);
    const session = settled(table, ["cookie=a"], place);
    table.begin(session, 0);
    table.tick(60 * MINUTE_MS);
    expect(place.sessions.lasting).toBe(1);
    table.end(session, 61 * MINUTE_MS);
    table.tick(70 * MINUTE_MS);
    expect(place.sessions.lasting).toBe(1);
    table.tick(72 * MINUTE_MS);
    expect(place.sessions.lasting).toBe(0);
  });

  test("takes a client that carried nothing for half a session after half a minute", () => {
    const table = new SessionTable();
    const place = new Place(1);
    settled(table, [], place);
    expect(place.sessions.all(0)).toBe(1);
    expect(place.sessions.all(30_000)).toBeCloseTo(0.5);
    expect(place.sessions.areExpected(31_000)).toBe(false);
  });

  test("takes it for a whole one when it comes back", () => {
    const table = new SessionTable();
    const place = new Place(1);
    settled(table, [], place);
    table.enter(["cookie=a"], place, 0);
    expect(place.sessions.all(0)).toBe(1);
    const learner = settled(table, [], place);
    table.learn(learner, ["event_id=e"], 0);
    expect([place.sessions.lasting, place.sessions.all(0)]).toEqual([2, 2]);
  });

  test("counts conversations apart: any container can go on with them", () => {
    const table = new SessionTable();
    const place = new Place(1);
    const session = settled(table, ["prompt=a"], place);
    expect([place.sessions.lasting, place.sessions.advised]).toEqual([0, 1]);
    table.learn(session, ["mcp-session-id=a"], 0);
    expect([place.sessions.lasting, place.sessions.advised]).toEqual([1, 0]);
  });
});

describe("the bounds", () => {
  test("100,000 keys: those that were used longest ago are forgotten, and their sessions count no more", () => {
    const table = new SessionTable();
    const place = new Place(1);
    settled(table, ["cookie=first"], place);
    settled(table, ["cookie=second"], place);
    table.enter(["cookie=first"], undefined, 0);
    for (let count = 0; count < 99_999; count += 1) settled(table, [`cookie=${count}`], place);
    expect(table.size).toBe(100_000);
    expect(table.knows(["cookie=first"])).toBe(true);
    expect(table.knows(["cookie=second"])).toBe(false);
    expect(place.sessions.lasting).toBe(100_000);
  });

  test("1,000 keys of one session: others keep theirs", () => {
    const table = new SessionTable();
    const session = settled(table, ["session_hash=a"], new Place(1));
    for (let count = 0; count < 2_000; count += 1) table.learn(session, [`event_id=${count}`], 0);
    expect(table.size).toBe(1_000);
    expect(table.knows(["event_id=999"])).toBe(false);
    expect(table.knows(["event_id=1999"])).toBe(true);
  });

  test("clients that carry nothing leave nothing", () => {
    const table = new SessionTable();
    for (let count = 0; count < 1_000; count += 1) settled(table, [], new Place(1));
    expect(table.size).toBe(0);
  });
});

test("under any history the counts are those of the sessions, and no key leads to two", () => {
  const step = fc.record({
    what: fc.constantFrom("enter", "learn", "begin", "end", "lose", "pass"),
    key: fc.integer({ min: 0, max: 5 }),
    other: fc.integer({ min: 0, max: 5 }),
    place: fc.integer({ min: 0, max: 2 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const table = new SessionTable();
      let places = [0, 1, 2].map((number) => new Place(number));
      const sessions = new Set<Session>();
      let nowMs = 0;
      for (const { what, key, other, place: index } of steps) {
        const place = places[index] as Place;
        const session = table.find([`cookie=${key}`]);
        if (what === "enter") {
          const entered = table.enter([`cookie=${key}`, `sid=${other}`], undefined, nowMs);
          if (entered.isLost) table.unsettle(entered);
          if (entered.place === undefined) table.settle(entered, place, nowMs);
          sessions.add(entered);
        } else if (what === "pass") {
          nowMs += key * MINUTE_MS;
          table.tick(nowMs);
        } else if (what === "lose") {
          place.keepsSessions = false;
          places = places.with(index, new Place(index));
        } else if (session === undefined) continue;
        else if (what === "learn") table.learn(session, [`event_id=${other}`], nowMs);
        else if (what === "begin") table.begin(session, nowMs);
        else if (session.running > 0) table.end(session, nowMs);
        for (const each of places) {
          const counted = [...sessions].filter((one) => one.counted?.place === each);
          expect(each.sessions.lasting).toBe(counted.length);
          for (const one of counted) expect(one.running > 0 || one.keys.size > 0).toBe(true);
        }
        for (const one of sessions) for (const its of one.keys) expect(table.find([its])).toBe(one);
      }
    }),
    { numRuns: 2_000 },
  );
});

describe("sessions that are left to the next agent", () => {
  /** Another table, which has the sessions of these containers at its own ones. */
  function handOver(table: SessionTable, places: readonly Place[], leftMs: number, nowMs = 0) {
    const next = new SessionTable();
    const nextPlaces = places.map((place) => {
      const nextPlace = new Place(place.number);
      next.restore(table.leave(place, leftMs), nextPlace, nowMs);
      return nextPlace;
    });
    return { next, nextPlaces };
  }

  test("are at the same containers there, by each of their keys", () => {
    const table = new SessionTable();
    const places = [new Place(1), new Place(2)] as const;
    settled(table, ["x-session=a", "cookie=a"], places[0]);
    table.learn(settled(table, [], places[1]), ["mcp-session-id=b", "file=0a"], 0);
    settled(table, ["prompt=c"], places[1]);
    const { next, nextPlaces } = handOver(table, places, 0);
    const placeOf = (key: string) => next.find([key])?.place;
    expect(["x-session=a", "cookie=a"].map(placeOf)).toEqual([nextPlaces[0], nextPlaces[0]]);
    expect(["mcp-session-id=b", "prompt=c"].map(placeOf)).toEqual([nextPlaces[1], nextPlaces[1]]);
    expect(next.find(["cookie=a"])).toBe(next.find(["x-session=a"]));
    expect(next.knows(["file=0a"])).toBe(true);
    expect(nextPlaces.map(({ sessions }) => [sessions.lasting, sessions.advised])).toEqual([
      [1, 0],
      [1, 1],
    ]);
  });

  test("count for as long as they would have at the last agent, in whatever order the containers come", () => {
    const table = new SessionTable();
    const places = [new Place(1), new Place(2)];
    for (const [index, place] of places.entries()) {
      settled(table, [`cookie=late ${index}`], place, (9 + index) * MINUTE_MS);
      settled(table, [`cookie=early ${index}`], place, (7 - index) * MINUTE_MS);
      settled(table, [`cookie=old ${index}`], place, 0);
    }
    const { next, nextPlaces } = handOver(table, places, 12 * MINUTE_MS, 2 * MINUTE_MS);
    const counts = () => nextPlaces.map(({ sessions }) => sessions.lasting);
    expect(counts()).toEqual([2, 2]);
    expect(next.knows(["cookie=old 0"])).toBe(true);
    next.tick(6 * MINUTE_MS);
    expect(counts()).toEqual([2, 1]);
    next.tick(7 * MINUTE_MS);
    expect(counts()).toEqual([1, 1]);
    next.tick(9 * MINUTE_MS);
    expect(counts()).toEqual([0, 1]);
  });

  test("are forgotten in the order of their last use, as at the last agent", () => {
    const table = new SessionTable();
    const places = [new Place(1), new Place(2)];
    settled(table, ["cookie=new"], places[0] as Place, 2);
    settled(table, ["cookie=old"], places[1] as Place, 1);
    const { next } = handOver(table, places, 2);
    for (let count = 0; count < 99_999; count += 1)
      next.enter([`x-session=${count}`], undefined, 3);
    expect(next.knows(["cookie=old"])).toBe(false);
    expect(next.knows(["cookie=new"])).toBe(true);
  });

  test("have no key that is another session's by then", () => {
    const place = new Place(1);
    const table = new SessionTable();
    const known = settled(table, ["cookie=a"], place);
    const sessions = [
      { idleMs: 0, keys: ["cookie=a"] },
      { idleMs: 0, keys: ["cookie=a", "cookie=b"] },
    ];
    table.restore({ sessions, ofTheBox: [] }, place, 0);
    expect(table.find(["cookie=a"])).toBe(known);
    expect(table.find(["cookie=b"])?.keys).toEqual(new Set(["cookie=b"]));
    expect(place.sessions.lasting).toBe(2);
  });

  test("are those that were used last, where a container has more than can be left", () => {
    const session = (name: string, lastUsedMs: number) => ({ keys: new Set([name]), lastUsedMs });
    const sessions = [session("x=1", 1), session("x=3", 3), session("x=2", 2)];
    expect(leftSessions(sessions, ["file=1", "file=2"], 3, 12)).toEqual({
      sessions: [
        { idleMs: 2, keys: ["x=1"] },
        { idleMs: 1, keys: ["x=2"] },
        { idleMs: 0, keys: ["x=3"] },
      ],
      ofTheBox: [],
    });
    expect(leftSessions(sessions, ["file=1", "file=2"], 3, 8).sessions).toHaveLength(2);
    expect(leftSessions(sessions, ["file=1", "file=2"], 3, 15).ofTheBox).toEqual(["file=2"]);
  });

  test("under any history each key leads to the same container, and the counts are equal from then on", () => {
    const step = fc.record({
      what: fc.constantFrom("enter", "advise", "learn", "lose", "pass"),
      key: fc.integer({ min: 0, max: 5 }),
      other: fc.integer({ min: 0, max: 5 }),
      place: fc.integer({ min: 0, max: 2 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), fc.nat(12), (steps, later) => {
        const table = new SessionTable();
        let places = [0, 1, 2].map((number) => new Place(number));
        let nowMs = 0;
        for (const { what, key, other, place: index } of steps) {
          const session = table.find([`cookie=${key}`]);
          if (what === "pass") nowMs += key * MINUTE_MS;
          else if (what === "lose") {
            (places[index] as Place).keepsSessions = false;
            places = places.with(index, new Place(index));
          } else if (what === "learn") {
            table.learn(session, [`sid=${other}`, `file=${other}`], nowMs);
          } else {
            const keys = what === "advise" ? [`prompt=${key}`] : [`cookie=${key}`, `sid=${other}`];
            const entered = table.enter(keys, undefined, nowMs);
            if (entered.isLost) table.unsettle(entered);
            if (entered.place === undefined) table.settle(entered, places[index] as Place, nowMs);
          }
        }
        const { next, nextPlaces } = handOver(table, places, nowMs, 0);
        for (const name of ["cookie", "sid", "prompt", "file"]) {
          for (let key = 0; key < 6; key += 1) {
            const place = table.find([`${name}=${key}`])?.place;
            const kept = place?.keepsSessions === true ? place.number : undefined;
            expect(next.find([`${name}=${key}`])?.place?.number).toBe(kept);
            if (name === "file") {
              expect(next.knows([`file=${key}`])).toBe(table.knows([`file=${key}`]));
            }
          }
        }
        for (const passedMs of [0, later * MINUTE_MS]) {
          table.tick(nowMs + passedMs);
          next.tick(passedMs);
          for (const [index, { sessions }] of nextPlaces.entries()) {
            const before = (places[index] as Place).sessions;
            expect([sessions.lasting, sessions.advised]).toEqual([before.lasting, before.advised]);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
