/** The streams of a link: one endpoint gets most of them, and never the last one of another. */
import { expect, test } from "vitest";
import { OPERATIONS, StreamShares } from "../../../routing/wire/stream-shares.ts";

/** Of 2,000 streams 100 are for operations alone. */
const [OF_ENDPOINTS, OF_OPERATIONS] = [1_900, 100];

/** Takes streams until there is none. @returns how many there were */
function takeAll(shares: StreamShares<object>, name: string): number {
  let taken = 0;
  while (shares.take(name)) taken += 1;
  return taken;
}

test("an endpoint alone has three quarters of a link's streams, and one more when one ends", () => {
  const shares = new StreamShares<object>(() => undefined);
  expect(takeAll(shares, "greedy")).toBe(OF_ENDPOINTS * (3 / 4));
  expect(shares.take("greedy")).toBe(false);
  shares.release("greedy");
  expect(shares.take("greedy")).toBe(true);
  expect(shares.take("greedy")).toBe(false);
});

test("endpoints that come after a greedy one find streams, and operations theirs after all", () => {
  const shares = new StreamShares<object>(() => undefined);
  takeAll(shares, "greedy");
  const taken = Array.from({ length: 4 }, (_, index) => takeAll(shares, `endpoint-${index}`));
  expect(Math.min(...taken)).toBeGreaterThan(0);
  expect(shares.open).toBeLessThanOrEqual(OF_ENDPOINTS);
  expect(takeAll(shares, OPERATIONS)).toBeGreaterThanOrEqual(OF_OPERATIONS);
});
