/** What a box gets for what it says: the number of its share, what it has to confirm, and when its turn begins. */
import { expect, test } from "vitest";
import { type GrantedUse, granted, isToConfirm, type SaidUse } from "../../routing/pool-grants.ts";

const TURN_MS = 30_000;
const BOUNDS = { min: 0, max: 1, buffer: 0 };

function give(said: Partial<SaidUse>, before?: GrantedUse, nowMs = 0, others: GrantedUse[] = []) {
  const use = { box: "a", needs: 0, has: 0, ...said };
  return granted(use, before, others, BOUNDS, { nowMs, turnMs: TURN_MS });
}

test("each share has a number of its own, and one that stays keeps it", () => {
  const first = give({ needs: 1 });
  const same = give({ needs: 1, has: 1, grant: first.grant }, first, 5);
  const smaller = give({ grant: first.grant }, same, 5);
  expect([first, same, smaller].map(({ grant }) => grant)).toEqual([1, 1, 5]);
  const larger = give({ needs: 1, grant: smaller.grant }, smaller, 5);
  expect(larger.grant).toBe(6);
});

test("a smaller share is to be confirmed by its number, unless the box has the containers anyway", () => {
  const first = give({ needs: 1, grant: 0 });
  const smaller = give({ grant: first.grant }, first, 5);
  expect(smaller).toMatchObject({ granted: { most: 0 }, unconfirmed: 1 });
  expect(isToConfirm(smaller)).toBe(true);
  expect(give({ grant: first.grant }, smaller, 6)).toMatchObject({ unconfirmed: 1 });
  expect(give({ grant: smaller.grant }, smaller, 6)).toMatchObject({ unconfirmed: 0 });
  const other = give({ box: "b", needs: 1 }, undefined, TURN_MS);
  const drains = give({ needs: 1, has: 1, grant: first.grant }, first, 2 * TURN_MS, [other]);
  expect(isToConfirm(drains)).toBe(false);
});

test("an agent that does not say its share confirms it with its next request", () => {
  const smaller = give({}, give({ needs: 1 }), 5);
  expect(smaller).toMatchObject({ unconfirmed: 1 });
  expect(give({}, smaller, 6)).toMatchObject({ unconfirmed: 0 });
});

test("a turn begins anew when the first container has started, and not when it has failed", () => {
  const first = give({ needs: 1 }, undefined, 1);
  const starts = give({ needs: 1, has: 1, starting: true, grant: 1 }, first, 50);
  expect(starts).toMatchObject({ isStarting: true, sinceMs: 1 });
  expect(give({ needs: 1, has: 1, grant: 1 }, starts, 90).sinceMs).toBe(90);
  expect(give({ needs: 1, has: 0, grant: 1 }, starts, 90).sinceMs).toBe(1);
});

test("a box whose lease has ended begins anew", () => {
  expect(give({ needs: 1, has: 1, grant: 3 }, undefined, 7)).toMatchObject({
    granted: { most: 1 },
    unconfirmed: 0,
    grant: 7,
    sinceMs: 7,
  });
});

test("a box whose turn is over waits for its next one, though its container has calls to finish", () => {
  const first = give({ needs: 1, has: 1 }, undefined, 0);
  const other = give({ box: "b", needs: 1 }, undefined, 1, [first]);
  expect(other.granted.most).toBe(0);
  const over = give({ needs: 1, has: 1, grant: first.grant }, first, 2 * TURN_MS, [other]);
  expect(over.granted.most).toBe(0);
  const drains = give({ needs: 0, has: 1, grant: over.grant }, over, 2 * TURN_MS, [other]);
  // A call comes meanwhile.
  const again = give({ needs: 1, has: 1, grant: drains.grant }, drains, 2 * TURN_MS, [other]);
  expect([drains, again].map(({ granted: { most } }) => most)).toEqual([0, 0]);
  const gone = give({ needs: 1, grant: again.grant }, again, 2 * TURN_MS, [other]);
  const next = give({ box: "b", needs: 1, grant: other.grant }, other, 2 * TURN_MS, [gone]);
  expect(next.granted.most).toBe(1);
});
