/** Requests that wait at a gateway without a front: how many one client and one workspace may have. */
import { expect, test } from "vitest";

import type { Env } from "../../../../gateway/contracts/env.ts";
import {
  type WaitingRequests,
  waitingRequests,
} from "../../../../gateway/worker/edge/waiting-requests.ts";

const CLIENT = "192.0.2.1";

/** Where a client's requests count at a gateway with so many places. */
function requestsAt(places: number): WaitingRequests {
  const requests = waitingRequests({ POSTERN_MAX_WAITING: `${places}` } as Env, CLIENT);
  if (requests === undefined) throw new Error("nothing bounds them");
  return requests;
}

/** Lets requests of an address wait, each at a workspace of its own, until one may not. */
function fill(requests: WaitingRequests, address: string): { count: number; refusal: unknown } {
  for (let count = 0; ; count += 1) {
    const workspace = `${address} ${count}`;
    const refusal = requests.refusalFor(address, workspace);
    if (refusal !== undefined) return { count, refusal };
    requests.add(address, workspace);
  }
}

test.each([
  { places: 104, most: 52 },
  { places: 105, most: 53 },
  { places: 1_998, most: 999 },
  { places: 2_000, most: 1_000 },
  { places: 2_002, most: 1_000 },
])(
  "of $places places one client has $most: half of them, and 1,000 at most",
  ({ places, most }) => {
    const requests = requestsAt(places);
    expect(fill(requests, CLIENT)).toEqual({
      count: most,
      refusal: { code: "rate_limited", detail: `${most} requests of your address wait already` },
    });
    expect(requests.refusalFor("192.0.2.2", "other")).toBeUndefined();
  },
);

test("a place is free again when a request has its response", () => {
  const requests = requestsAt(10);
  const end = requests.add(CLIENT, "first");
  expect(fill(requests, CLIENT).count).toBe(4);
  end();
  expect(fill(requests, CLIENT).count).toBe(1);
});

test("when all places are taken, a client that has none is refused too", () => {
  const requests = requestsAt(4);
  expect(fill(requests, "192.0.2.2").count).toBe(2);
  expect(fill(requests, "192.0.2.3").count).toBe(2);
  expect(requests.refusalFor(CLIENT, "free")).toEqual({
    code: "unavailable",
    detail: "4 requests wait at this gateway already",
  });
});

test("one workspace has three quarters of the places, and others the rest", () => {
  const requests = requestsAt(100);
  for (let index = 0; index < 75; index += 1) {
    expect(requests.refusalFor(`192.0.3.${index}`, "greedy")).toBeUndefined();
    requests.add(`192.0.3.${index}`, "greedy");
  }
  expect(requests.refusalFor(CLIENT, "greedy")).toMatchObject({ code: "unavailable" });
  expect(requests.refusalFor(CLIENT, "other")).toBeUndefined();
});

test.each([
  ["", CLIENT],
  ["10", "127.0.0.1"],
  ["10", "::1"],
])("with %j places nothing bounds the requests of %s", (places, address) => {
  expect(waitingRequests({ POSTERN_MAX_WAITING: places } as Env, address)).toBeUndefined();
});
