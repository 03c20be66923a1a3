/** The box's promises over random histories. `BoxWorld` checks each grant and each yield. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { GIB } from "../../../base/units.ts";
import type { Card } from "../../../origin-gpu/core/cards.ts";
import type { Rollout } from "../../../origin-gpu/core/claims.ts";
import { runs, runsTimeoutMs } from "../../support/runs.ts";
import { BoxWorld, CARDS, type TestedClaim, type TestedPool } from "./box-world.ts";

const NEEDS = {
  one: { gpus: [{ count: 1 }] },
  two: { gpus: [{ count: 2 }] },
  h100: {
    gpus: [
      { kind: "H100", count: 2 },
      { kind: "L4", count: 1 },
    ],
  },
  small: { gpuMemoryBytes: 10 * GIB },
  large: { gpuMemoryBytes: 50 * GIB },
  port: { port: 8000 },
  both: { gpus: [{ kind: "H100", count: 1 }], port: 8000 },
};

const POOLS: readonly TestedPool[] = Object.entries(NEEDS).flatMap(([endpoint, needs]) =>
  ["v1", "v2"].map((version) => ({
    pool: `${endpoint}/${version}`,
    endpoint,
    app: endpoint === "two" ? "one" : endpoint,
    needs,
  })),
);

const WEIGHTS = {
  want: 6,
  wantInAdvance: 1,
  prepare: 2,
  wantSince: 1,
  withdraw: 2,
  use: 8,
  idle: 6,
  queue: 2,
  free: 5,
  leave: 1,
  sleep: 2,
  wake: 2,
  unpin: 2,
  stick: 1,
  changeCards: 1,
  advance: 6,
};
type Action = keyof typeof WEIGHTS;

interface Step {
  readonly action: Action;
  readonly pick: number;
  readonly amount: number;
}

const ROLLOUTS: readonly Rollout[] = ["auto", "overlap", "replace"];

const step: fc.Arbitrary<Step> = fc.record({
  action: fc.oneof(
    ...(Object.keys(WEIGHTS) as Action[]).map((name) => ({
      arbitrary: fc.constant(name),
      weight: WEIGHTS[name],
    })),
  ),
  pick: fc.nat(30),
  amount: fc.nat(20_000),
});

function take(world: BoxWorld, { action, pick, amount }: Step): void {
  const one = (among: readonly TestedClaim[]) => among[pick % Math.max(1, among.length)];
  const pool = POOLS[pick % POOLS.length] as TestedPool;
  const sinceMs = world.nowMs - (amount % 5_000);
  const held = world.in("held");
  const with_ = (among: readonly TestedClaim[], act: (tested: TestedClaim) => void) => {
    const tested = one(among);
    if (tested !== undefined) act(tested);
  };
  const actions: Record<Action, () => void> = {
    want: () => world.want(pool, { sinceMs }),
    wantInAdvance: () => world.want(pool, {}),
    prepare: () => world.want(pool, { rollout: ROLLOUTS[amount % 3] }),
    wantSince: () => with_(world.in("waiting"), (tested) => world.wantSince(tested, sinceMs)),
    withdraw: () => with_(world.in("waiting", "waking"), (tested) => world.withdraw(tested)),
    use: () => with_(held, (tested) => world.use(tested, 1 + (amount % 3))),
    idle: () => with_(held, (tested) => world.use(tested, 0)),
    queue: () => with_(held, (tested) => world.use(tested, amount % 2, sinceMs)),
    free: () => with_(world.in("held", "asleep"), (tested) => world.free(tested)),
    leave: () => with_(held, (tested) => world.leave(tested)),
    sleep: () =>
      with_(
        held.filter(({ isStuck }) => !isStuck),
        (tested) => world.sleep(tested),
      ),
    wake: () =>
      with_(
        world.in("asleep").filter(({ isAsked }) => !isAsked),
        (tested) => world.wake(tested, amount % 2 > 0),
      ),
    unpin: () => with_([...world.claims.values()], (tested) => world.unpin(tested)),
    stick: () => with_(held, (tested) => world.stick(tested)),
    changeCards: () => {
      const isLost = (card: Card): boolean => CARDS.indexOf(card) === pick % 5;
      // One that is taken out may come back; one that is gone from the list was never seen.
      const lost = amount % 2 === 0 ? CARDS.filter(isLost) : [];
      world.setCards(
        CARDS.filter((card) => !isLost(card)),
        lost,
      );
    },
    advance: () => world.advance(amount),
  };
  actions[action]();
}

/** From now on each container starts, ends its calls and ends when it is asked to. */
function settle(world: BoxWorld): void {
  world.setCards(CARDS);
  for (let round = 0; round < 300 && starved(world).length > 0; round++) {
    for (const tested of world.in("waiting", "held", "asleep", "waking")) {
      if (tested.state === "gone") continue;
      if (tested.rollout !== undefined) world.unpin(tested);
      if (tested.isAsked || tested.isLeaving || tested.isStuck) world.free(tested);
      else if (tested.state === "held") world.use(tested, 0);
    }
    world.advance(1_000);
  }
}

/** Claims that calls wait for alone, or at a pool that has nothing to serve them with. */
function starved(world: BoxWorld): TestedClaim[] {
  const served = new Set(world.in("held", "asleep").map(({ claim }) => claim.pool));
  return world
    .in("waiting", "waking")
    .filter(({ sinceMs }) => sinceMs !== undefined)
    .filter(({ claim, isAwaited }) => isAwaited || !served.has(claim.pool));
}

test.each([
  { length: 30, count: 96_000 },
  { length: 120, count: 4_000 },
])(
  "each resource has one owner, turns are kept and no claim starves: histories of up to $length events",
  ({ length, count }) => {
    const history = fc.array(step, { minLength: 10, maxLength: length, size: "max" });
    fc.assert(
      fc.property(history, (steps) => {
        const world = new BoxWorld();
        for (const each of steps) take(world, each);
        settle(world);
        expect(starved(world)).toEqual([]);
      }),
      { numRuns: runs(count) },
    );
  },
  runsTimeoutMs() * 6,
);
