/** A container sleeps, and calls of its sessions wait for it alone: others of its pool do not help them. */
import { expect, test } from "vitest";
import { GIB } from "../../../base/units.ts";
import { BoxWorld, CARDS, LIMITS, type TestedClaim, type TestedPool } from "./box-world.ts";

const pool = (name: string): TestedPool => ({
  pool: name,
  endpoint: name,
  app: name,
  needs: { gpus: [{ count: 1 }] },
});

/** A box of so many cards, and what is on them past their first seconds. */
function boxOf(cards: number) {
  const world = new BoxWorld(CARDS.slice(0, cards));
  const working = (owner: TestedPool, inFlight: number): TestedClaim => {
    const claim = world.want(owner);
    world.use(claim, inFlight);
    world.advance(LIMITS.residencyMs);
    return claim;
  };
  return { world, working };
}

test.each([
  ["at once where that has nothing to do", 0, 0],
  ["when the turn of a busy one is over", 1, LIMITS.patienceMs],
])("another container of its pool yields to it: %s", (_, inFlight, waitsMs) => {
  const { world, working } = boxOf(1);
  const sleeper = working(pool("a"), 0);
  world.sleep(sleeper);
  const other = working(pool("a"), 0);
  // The session's call waits at the pool of both.
  world.use(other, inFlight, world.nowMs);
  world.wake(sleeper, true);
  world.advance(waitsMs - 1);
  expect(world.yields).toHaveLength(waitsMs === 0 ? 1 : 0);
  world.advance(1);
  expect(world.yields).toEqual([{ id: other.claim.id, reason: "wanted" }]);
  world.free(other);
  expect(sleeper.state).toBe("held");
});

test("it keeps its turn when one of its own pool makes room, and another pool one of the two that it needs", () => {
  const { world, working } = boxOf(2);
  const two = { ...pool("a"), needs: { gpus: [{ count: 2 }] } };
  const one = { ...pool("b"), needs: { gpuMemoryBytes: GIB } };
  const sleeper = working(two, 0);
  world.sleep(sleeper);
  // Both hold a card of the two.
  const own = world.want({ ...two, needs: { gpus: [{ count: 1 }] } });
  world.use(own, 0);
  const other = working(one, 1);
  world.wake(sleeper, true);
  const later = world.want({ ...pool("c"), needs: two.needs });
  world.advance(LIMITS.patienceMs);
  expect(world.yields.map(({ id }) => id).toSorted()).toEqual([own.claim.id, other.claim.id]);
  world.free(own);
  world.free(other);
  expect([sleeper.state, later.state]).toEqual(["held", "waiting"]);
});

test("it keeps its turn when another container of its pool makes room for a later claim", () => {
  const { world, working } = boxOf(2);
  const sleeper = working(pool("a"), 0);
  world.sleep(sleeper);
  const inItsPlace = working(pool("b"), 1);
  const other = working(pool("a"), 0);
  world.wake(sleeper, true);
  world.use(other, 1);
  world.advance(LIMITS.patienceMs);
  const later = world.want(pool("c"));
  world.advance(1);
  world.use(other, 0);
  expect(world.yields.map(({ id }) => id)).toEqual([inItsPlace.claim.id, other.claim.id]);
  world.free(inItsPlace);
  expect([sleeper.state, later.state]).toEqual(["held", "waiting"]);
});

test("the only container of another pool yields to it at the end of its turn", () => {
  const { world, working } = boxOf(2);
  const sleeper = working(pool("a"), 0);
  world.sleep(sleeper);
  const only = working(pool("b"), 1);
  // Its pool has another container, and is not in need.
  working(pool("a"), 1);
  world.wake(sleeper, true);
  world.advance(LIMITS.patienceMs);
  expect(world.yields).toEqual([{ id: only.claim.id, reason: "wanted" }]);
});

test("nobody of its pool yields where any container would do", () => {
  const { world, working } = boxOf(1);
  const sleeper = working(pool("a"), 0);
  world.sleep(sleeper);
  working(pool("a"), 0);
  world.wake(sleeper);
  world.advance(10 * LIMITS.mostPatienceMs);
  expect(world.yields).toEqual([]);
});
