import { describe, expect, test } from "vitest";
import { GIB } from "../../../base/units.ts";
import { Box } from "../../../origin-gpu/core/box.ts";
import type { Card } from "../../../origin-gpu/core/cards.ts";
import type { ClaimNeeds } from "../../../origin-gpu/core/claims.ts";
import { BoxWorld, CARDS, LIMITS, type TestedClaim, type TestedPool } from "./box-world.ts";

const ONE: ClaimNeeds = { gpus: [{ count: 1 }] };
const ONE_CARD = CARDS.slice(0, 1);
const TWO_CARDS = CARDS.slice(0, 2);

function pool(endpoint: string, needs: ClaimNeeds = ONE, version = "v1"): TestedPool {
  return { pool: `${endpoint}/${version}`, endpoint, app: endpoint, needs };
}

function share(gib: number): ClaimNeeds {
  return { gpuMemoryBytes: gib * GIB };
}

/** A holder that is ready, has nothing to do and may yield. */
function idleHolder(world: BoxWorld, owner: TestedPool): TestedClaim {
  const claim = world.want(owner);
  expect(claim.state).toBe("held");
  world.use(claim, 1);
  world.use(claim, 0);
  world.advance(LIMITS.residencyMs);
  return claim;
}

function busyHolder(world: BoxWorld, owner: TestedPool): TestedClaim {
  const claim = idleHolder(world, owner);
  world.use(claim, 1);
  return claim;
}

const idsOf = ({ cards }: TestedClaim) => cards.map(({ id }) => id);

describe("a claim that is not made yet", () => {
  test("is blocked by containers that load or have calls, and not by idle ones", () => {
    const world = new BoxWorld(ONE_CARD);
    expect(world.box.isBlocked(ONE)).toBe(false);
    const holder = world.want(pool("a"));
    expect(world.box.isBlocked(ONE)).toBe(true);
    world.use(holder, 1);
    expect(world.box.isBlocked(ONE)).toBe(true);
    expect(world.box.isBlocked({})).toBe(false);
    expect(world.box.isBlocked({ port: 8000 })).toBe(false);
    world.use(holder, 0);
    expect(world.box.isBlocked(ONE)).toBe(false);
  });

  test("is blocked by claims in front of it, and not by what they leave", () => {
    const world = new BoxWorld(TWO_CARDS);
    busyHolder(world, pool("a"));
    busyHolder(world, pool("b"));
    world.want(pool("c"));
    expect(world.box.isBlocked(ONE)).toBe(true);
    const other = new BoxWorld(TWO_CARDS);
    busyHolder(other, pool("a"));
    expect(other.box.isBlocked(ONE)).toBe(false);
    expect(other.box.isBlocked(share(1))).toBe(false);
    idleHolder(other, pool("b", share(10)));
    expect(other.box.isBlocked(ONE)).toBe(false);
  });
});

describe("whole cards", () => {
  test("a claim gets so many cards, and the next one waits until a process is gone", () => {
    const world = new BoxWorld(TWO_CARDS);
    const first = world.want(pool("a", { gpus: [{ count: 2 }] }));
    const second = world.want(pool("b"));
    expect(idsOf(first)).toEqual(["GPU-0", "GPU-1"]);
    expect(second.state).toBe("waiting");
    world.free(first);
    expect(idsOf(second)).toEqual(["GPU-0"]);
  });

  test("the first choice that is free is taken, in order of preference", () => {
    const world = new BoxWorld();
    const needs = {
      gpus: [
        { kind: "B200", count: 1 },
        { kind: "L4", count: 1 },
        { kind: "H100", count: 2 },
      ],
    };
    expect(idsOf(world.want(pool("a", needs)))).toEqual(["GPU-2"]);
    expect(idsOf(world.want(pool("b", needs)))).toEqual(["GPU-0", "GPU-1"]);
  });

  test("a claim that no cards of the box could satisfy is refused", () => {
    const world = new BoxWorld(TWO_CARDS);
    const holder = busyHolder(world, pool("a"));
    expect(world.want(pool("b", { gpus: [{ count: 3 }] })).state).toBe("gone");
    expect(world.want(pool("c", { gpus: [{ kind: "L4", count: 1 }] })).state).toBe("gone");
    const waiter = world.want(pool("d", { gpus: [{ count: 2 }] }));
    expect(waiter.state).toBe("waiting");
    world.setCards(ONE_CARD);
    expect([waiter.state, holder.state]).toEqual(["gone", "held"]);
  });

  test("claims wait until the cards of the box are known", () => {
    const box = new Box();
    const claim = { id: "ct-1", ...pool("a") };
    expect(box.want(claim, { needs: ONE, sinceMs: 0 }, 0)).toEqual([]);
    expect(box.cards(ONE_CARD, 1)).toEqual([{ type: "grant", claim: "ct-1", cards: ONE_CARD }]);
  });

  test("a claim for two cards reserves the free one: a small claim behind it does not take it", () => {
    const world = new BoxWorld(TWO_CARDS);
    const holder = busyHolder(world, pool("a"));
    const big = world.want(pool("b", { gpus: [{ count: 2 }] }));
    const small = world.want(pool("c"));
    expect(small.state).toBe("waiting");
    world.free(holder);
    expect([big.state, small.state]).toEqual(["held", "waiting"]);
  });

  test("small claims that keep coming and are always busy do not starve a big one", () => {
    const world = new BoxWorld(TWO_CARDS);
    const owners = [pool("a"), pool("b"), pool("c")];
    for (const owner of owners) world.want(owner);
    const big = world.want(pool("big", { gpus: [{ count: 2 }] }));
    const startedMs = world.nowMs;
    while (big.state === "waiting") {
      for (const claim of world.in("held")) {
        if (claim.isAsked) {
          world.free(claim);
          world.want(owners.find(({ pool }) => pool === claim.claim.pool) as TestedPool);
        } else world.use(claim, 1, world.nowMs - 500);
      }
      world.advance(100);
      // One turn of the claim before it, and one of those that have the cards.
      expect(world.nowMs - startedMs).toBeLessThan(2 * LIMITS.patienceMs + LIMITS.residencyMs);
    }
  });
});

describe("shares of a card's memory", () => {
  test("shares pack onto one card while their sum fits, and leave whole cards free", () => {
    const world = new BoxWorld(TWO_CARDS);
    const shares = [40, 30, 10].map((gib) => world.want(pool(`s${gib}`, share(gib))));
    expect(shares.flatMap(idsOf)).toEqual(["GPU-0", "GPU-0", "GPU-0"]);
    expect(idsOf(world.want(pool("whole")))).toEqual(["GPU-1"]);
  });

  test("a share goes to the smallest card that has room", () => {
    const world = new BoxWorld();
    expect(idsOf(world.want(pool("a", share(20))))).toEqual(["GPU-2"]);
    expect(idsOf(world.want(pool("b", share(20))))).toEqual(["GPU-0"]);
    expect(idsOf(world.want(pool("c")))).toEqual(["GPU-1"]);
  });

  test("a share never lies beside a whole card's owner, and the other way round", () => {
    const world = new BoxWorld(ONE_CARD);
    const whole = world.want(pool("a"));
    const small = world.want(pool("b", share(1)));
    expect(small.state).toBe("waiting");
    world.free(whole);
    expect(small.state).toBe("held");
    expect(world.want(pool("a")).state).toBe("waiting");
  });

  test("only those shares yield that have to", () => {
    const world = new BoxWorld(ONE_CARD);
    idleHolder(world, pool("small", share(10)));
    const large = idleHolder(world, pool("large", share(60)));
    world.want(pool("new", share(60)));
    expect(world.yields).toEqual([{ id: large.claim.id, reason: "wanted" }]);
  });

  test("a card of unknown memory is given away whole alone", () => {
    const card: Card = { id: "0", name: "NVIDIA GB10", memoryBytes: 0 };
    const world = new BoxWorld([card]);
    expect(world.want(pool("b", share(1))).state).toBe("gone");
    expect(world.want(pool("a")).state).toBe("held");
  });
});

describe("who yields", () => {
  test("the idle holder that was used least recently", () => {
    const world = new BoxWorld(TWO_CARDS);
    const first = idleHolder(world, pool("a"));
    const second = idleHolder(world, pool("b"));
    world.use(first, 1);
    world.use(first, 0);
    world.want(pool("c"));
    expect(world.yields).toEqual([{ id: second.claim.id, reason: "wanted" }]);
  });

  test("a tick that comes too early asks for another one", () => {
    const world = new BoxWorld(ONE_CARD);
    busyHolder(world, pool("a"));
    world.want(pool("b"));
    const [wake] = world.box.tick(world.nowMs + LIMITS.patienceMs - 1);
    expect(wake).toEqual({ type: "wake_at", atMs: world.nowMs + LIMITS.patienceMs });
  });

  test("no holder that loads, nor one that has just become ready", () => {
    const world = new BoxWorld(ONE_CARD);
    const holder = world.want(pool("a"));
    world.want(pool("b"));
    world.advance(10 * LIMITS.mostPatienceMs);
    expect(world.yields).toEqual([]);
    world.use(holder, 0);
    world.advance(LIMITS.residencyMs - 1);
    expect(world.yields).toEqual([]);
    world.advance(1);
    expect(world.yields).toHaveLength(1);
  });

  test("a busy one is asked when the claim's patience ends", () => {
    const world = new BoxWorld(ONE_CARD);
    busyHolder(world, pool("a"));
    world.want(pool("b"));
    world.advance(LIMITS.patienceMs - 1);
    expect(world.yields).toEqual([]);
    world.advance(1);
    expect(world.yields).toHaveLength(1);
  });

  test("a busy one serves its own older callers first, within a bound", () => {
    const world = new BoxWorld(ONE_CARD);
    const holder = busyHolder(world, pool("a"));
    const arrivedMs = world.nowMs;
    world.advance(10);
    world.use(holder, 1, arrivedMs);
    world.want(pool("b"));
    world.advance(LIMITS.patienceMs);
    expect(world.yields).toEqual([]);
    // The next one in its queue came after the claim.
    world.use(holder, 1, world.nowMs);
    expect(world.yields).toHaveLength(1);
  });

  test("a busy one serves all that waited for it together, also those that came after the claim", () => {
    const world = new BoxWorld(ONE_CARD);
    const holder = world.want(pool("a"));
    world.want(pool("b"));
    world.advance(100);
    world.use(holder, 1, 50);
    world.advance(LIMITS.patienceMs);
    expect(world.yields).toEqual([]);
    world.use(holder, 1, 150);
    expect(world.yields).toHaveLength(1);
  });

  test("a busy one goes on for as long as its load took", () => {
    const world = new BoxWorld(ONE_CARD);
    const holder = world.want(pool("a"));
    world.want(pool("b"));
    const loadMs = 2 * LIMITS.patienceMs;
    world.advance(loadMs);
    world.use(holder, 1);
    world.advance(loadMs - 1);
    expect(world.yields).toEqual([]);
    world.advance(1);
    expect(world.yields).toHaveLength(1);
  });

  test("a queue of older callers without an end does not hold a claim up for ever", () => {
    const world = new BoxWorld(ONE_CARD);
    const holder = busyHolder(world, pool("a"));
    world.use(holder, 1, 0);
    world.want(pool("b"));
    world.advance(LIMITS.mostPatienceMs - 1);
    expect(world.yields).toEqual([]);
    world.advance(1);
    expect(world.yields).toHaveLength(1);
  });

  test("a pool's second container makes no busy container drain that is its pool's only one", () => {
    const world = new BoxWorld(TWO_CARDS);
    const first = busyHolder(world, pool("a"));
    busyHolder(world, pool("b"));
    world.want(pool("a"));
    world.advance(10 * LIMITS.mostPatienceMs);
    expect(world.yields).toEqual([]);
    // Without its first one it is in need.
    world.leave(first);
    world.stick(first);
    expect(world.yields).toHaveLength(1);
  });

  test("a claim that no call waits for makes nobody yield", () => {
    const world = new BoxWorld(ONE_CARD);
    const holder = idleHolder(world, pool("a"));
    const inAdvance = world.want(pool("b"), {});
    world.advance(10 * LIMITS.mostPatienceMs);
    expect(world.yields).toEqual([]);
    world.free(holder);
    expect(inAdvance.state).toBe("held");
  });

  test("one that ends anyway is waited for, and one that can't end is not", () => {
    const world = new BoxWorld(TWO_CARDS);
    const ending = idleHolder(world, pool("a"));
    const idle = idleHolder(world, pool("b"));
    world.leave(ending);
    world.want(pool("c"));
    expect(world.yields).toEqual([]);
    world.stick(ending);
    expect(world.yields).toEqual([{ id: idle.claim.id, reason: "wanted" }]);
  });

  test("a claim that is withdrawn is given up", () => {
    const world = new BoxWorld(ONE_CARD);
    const holder = busyHolder(world, pool("a"));
    world.withdraw(world.want(pool("b")));
    world.advance(10 * LIMITS.mostPatienceMs);
    world.free(holder);
    expect(world.yields).toEqual([]);
    expect(world.grants).toHaveLength(1);
  });
});

describe("turns", () => {
  test("the claim whose call has waited longest comes first", () => {
    const world = new BoxWorld(ONE_CARD);
    const holder = busyHolder(world, pool("a"));
    const late = world.want(pool("b"));
    const early = world.want(pool("c"), { sinceMs: 0 });
    world.free(holder);
    expect([late.state, early.state]).toEqual(["waiting", "held"]);
  });

  test("a claim whose oldest call left is in line by the next one", () => {
    const world = new BoxWorld(ONE_CARD);
    const holder = busyHolder(world, pool("a"));
    const first = world.want(pool("b"), { sinceMs: 0 });
    const second = world.want(pool("c"), { sinceMs: 10 });
    world.wantSince(first, 20);
    world.free(holder);
    expect([first.state, second.state]).toEqual(["waiting", "held"]);
  });

  test("a pool that yielded is behind those that waited meanwhile, however old its calls are", () => {
    const world = new BoxWorld(ONE_CARD);
    const holder = busyHolder(world, pool("a"));
    world.use(holder, 1, 0);
    const others = [world.want(pool("b")), world.want(pool("c"))];
    world.advance(LIMITS.mostPatienceMs);
    expect(world.yields).toHaveLength(1);
    const again = world.want(pool("a"), { sinceMs: 0 });
    world.free(holder);
    expect([...others, again].map(({ state }) => state)).toEqual(["held", "waiting", "waiting"]);
    world.free(others[0] as TestedClaim);
    expect([...others, again].map(({ state }) => state)).toEqual(["gone", "held", "waiting"]);
  });
});

describe("fixed ports", () => {
  test("a port has one owner, and an idle owner yields it", () => {
    const world = new BoxWorld([]);
    const first = idleHolder(world, pool("a", { port: 8000 }));
    const second = world.want(pool("b", { port: 8000 }));
    expect(world.want(pool("c", { port: 8001 })).state).toBe("held");
    expect(world.yields).toEqual([{ id: first.claim.id, reason: "wanted" }]);
    world.free(first);
    expect(second.state).toBe("held");
  });
});

describe("a new version", () => {
  const next = (endpoint: string, needs = ONE) => pool(endpoint, needs, "v2");

  test("overlaps with the serving one where both fit", () => {
    const world = new BoxWorld(TWO_CARDS);
    busyHolder(world, pool("a"));
    expect(world.want(next("a"), { rollout: "auto" }).state).toBe("held");
    expect(world.yields).toEqual([]);
  });

  test("takes an idle container's place rather than the busy serving one's", () => {
    const world = new BoxWorld(TWO_CARDS);
    busyHolder(world, pool("a"));
    const idle = idleHolder(world, pool("b"));
    world.want(next("a"), { rollout: "auto" });
    expect(world.yields).toEqual([{ id: idle.claim.id, reason: "wanted" }]);
  });

  test("makes the serving one drain at once where they don't fit beside each other", () => {
    const world = new BoxWorld(ONE_CARD);
    const serving = busyHolder(world, pool("a"));
    const candidate = world.want(next("a"), { rollout: "auto" });
    expect(world.yields).toEqual([{ id: serving.claim.id, reason: "wanted" }]);
    world.free(serving);
    expect(candidate.state).toBe("held");
  });

  test("is before everybody in line, and no victim until it is switched to", () => {
    const world = new BoxWorld(ONE_CARD);
    const serving = busyHolder(world, pool("a"));
    const waiter = world.want(pool("b"), { sinceMs: 0 });
    const candidate = world.want(next("a"), { rollout: "auto" });
    world.free(serving);
    expect([waiter.state, candidate.state]).toEqual(["waiting", "held"]);
    world.use(candidate, 0);
    world.advance(LIMITS.mostPatienceMs - 1);
    expect(world.yields).toHaveLength(1);
    world.unpin(candidate);
    expect(world.yields).toHaveLength(2);
  });

  test("that is proved and not switched to for long makes room for calls that wait", () => {
    const world = new BoxWorld(ONE_CARD);
    const candidate = world.want(next("a"), { rollout: "auto" });
    world.want(pool("a"));
    world.advance(10 * LIMITS.mostPatienceMs);
    expect(world.yields).toEqual([]);
    world.use(candidate, 0);
    world.advance(LIMITS.mostPatienceMs);
    expect(world.yields).toEqual([{ id: candidate.claim.id, reason: "wanted" }]);
  });

  test("that serves makes nobody yield any more to claims that no call waits for", () => {
    const world = new BoxWorld(ONE_CARD);
    busyHolder(world, pool("b"));
    const candidate = world.want(next("a"), { rollout: "auto" });
    world.unpin(candidate);
    world.advance(10 * LIMITS.mostPatienceMs);
    expect(world.yields).toEqual([]);
    world.wantSince(candidate, world.nowMs);
    world.advance(LIMITS.patienceMs);
    expect(world.yields).toHaveLength(1);
  });

  test("that is given up leaves its place to the serving one", () => {
    const world = new BoxWorld(ONE_CARD);
    const serving = busyHolder(world, pool("a"));
    const candidate = world.want(next("a"), { rollout: "auto" });
    world.free(serving);
    const again = world.want(pool("a"), { sinceMs: 0 });
    expect(again.state).toBe("waiting");
    world.free(candidate);
    expect(again.state).toBe("held");
  });

  test('with rollout "overlap" never asks the serving one, and says once that it waits', () => {
    const world = new BoxWorld(ONE_CARD);
    const serving = idleHolder(world, pool("a"));
    const candidate = world.want(next("a"), { rollout: "overlap" });
    world.advance(10 * LIMITS.mostPatienceMs);
    expect(world.yields).toEqual([]);
    expect(world.roomAwaited).toEqual([candidate.claim.id]);
    world.free(serving);
    expect(candidate.state).toBe("held");
  });

  test('with rollout "replace" starts when the serving one is gone, though both would fit', () => {
    const world = new BoxWorld(TWO_CARDS);
    const serving = busyHolder(world, pool("a"));
    const candidate = world.want(next("a"), { rollout: "replace" });
    expect(world.yields).toEqual([{ id: serving.claim.id, reason: "replaced" }]);
    expect(candidate.state).toBe("waiting");
    world.free(serving);
    expect(candidate.state).toBe("held");
    const back = world.want(pool("a"));
    expect(back.state).toBe("waiting");
    world.free(candidate);
    expect(back.state).toBe("held");
  });

  test("proves its endpoints one after the other where they don't fit together", () => {
    const world = new BoxWorld(ONE_CARD);
    const [first, second] = ["x", "y"].map((endpoint) =>
      world.want(Object.assign(next(endpoint), { app: "app" }), { rollout: "auto" }),
    );
    expect([first?.state, second?.state]).toEqual(["held", "waiting"]);
    expect(world.yields).toEqual([]);
    world.use(first as TestedClaim, 0);
    expect(world.yields).toHaveLength(1);
    world.free(first as TestedClaim);
    expect(second?.state).toBe("held");
  });
});

describe("containers that sleep", () => {
  test("give their cards back, and wake on the same ones", () => {
    const world = new BoxWorld(TWO_CARDS);
    const sleeper = idleHolder(world, pool("a"));
    world.sleep(sleeper);
    const other = idleHolder(world, pool("b"));
    expect(idsOf(other)).toEqual(["GPU-0"]);
    world.wake(sleeper);
    expect(world.yields).toEqual([{ id: other.claim.id, reason: "wanted" }]);
    world.free(other);
    expect(sleeper.state).toBe("held");
    expect(idsOf(sleeper)).toEqual(["GPU-0"]);
  });

  test("keep their port, and end when somebody else needs it", () => {
    const world = new BoxWorld(TWO_CARDS);
    const needs = { ...ONE, port: 8000 };
    const sleeper = idleHolder(world, pool("a", needs));
    world.sleep(sleeper);
    const other = world.want(pool("b", needs));
    expect(other.state).toBe("waiting");
    expect(world.yields).toEqual([{ id: sleeper.claim.id, reason: "wanted" }]);
    world.free(sleeper);
    expect(other.state).toBe("held");
  });
});

describe("containers that sleep while the machine's memory is short", () => {
  /** Sleep one after the other. */
  function sleepers(world: BoxWorld, ...endpoints: string[]): TestedClaim[] {
    return endpoints.map((endpoint) => {
      const sleeper = idleHolder(world, pool(endpoint));
      world.advance(1_000);
      world.sleep(sleeper);
      return sleeper;
    });
  }

  test("end one at a time, the one that has slept longest first", () => {
    const world = new BoxWorld(TWO_CARDS);
    const [first, second] = sleepers(world, "a", "b") as [TestedClaim, TestedClaim];
    world.memoryShort();
    world.memoryShort();
    const ended = [{ id: first.claim.id, reason: "memory_short" }];
    expect(world.yields).toEqual(ended);
    world.free(first);
    world.memoryShort();
    expect(world.yields).toEqual([...ended, { id: second.claim.id, reason: "memory_short" }]);
  });

  test("count from when they slept last, and stay where they are to wake", () => {
    const world = new BoxWorld(TWO_CARDS);
    const [first, second] = sleepers(world, "a", "b") as [TestedClaim, TestedClaim];
    world.wake(first);
    world.use(first, 1);
    world.use(first, 0);
    world.advance(1_000);
    world.sleep(first);
    const busy = [busyHolder(world, pool("c")), busyHolder(world, pool("d"))];
    world.wake(second);
    expect(second.state).toBe("waking");
    world.memoryShort();
    expect(world.yields).toEqual([{ id: first.claim.id, reason: "memory_short" }]);
    expect(busy.map(({ state }) => state)).toEqual(["held", "held"]);
  });

  test("are all that ends: a box on which none sleeps stays as it is", () => {
    const world = new BoxWorld(TWO_CARDS);
    idleHolder(world, pool("a"));
    world.memoryShort();
    expect(world.yields).toEqual([]);
    expect(world.box.hasSleepers).toBe(false);
  });
});

describe("a card that is taken out", () => {
  test("its holder yields, busy or asleep, and nobody gets it", () => {
    const world = new BoxWorld(TWO_CARDS);
    const asleep = idleHolder(world, pool("a"));
    world.sleep(asleep);
    const busy = busyHolder(world, pool("b"));
    expect(idsOf(busy)).toEqual(["GPU-0"]);
    world.setCards(CARDS.slice(1, 2));
    expect(world.yields).toEqual([
      { id: asleep.claim.id, reason: "card_lost" },
      { id: busy.claim.id, reason: "card_lost" },
    ]);
    world.free(busy);
    expect(idsOf(world.want(pool("b")))).toEqual(["GPU-1"]);
    expect(world.want(pool("c")).state).toBe("waiting");
  });

  test("comes back for those that wait", () => {
    const world = new BoxWorld(TWO_CARDS);
    world.want(pool("a"));
    world.setCards(ONE_CARD);
    const claim = world.want(pool("b"));
    expect(claim.state).toBe("waiting");
    world.setCards(TWO_CARDS);
    expect(idsOf(claim)).toEqual(["GPU-1"]);
  });

  test("is waited for by claims that no other card would satisfy, which are told so once", () => {
    const world = new BoxWorld(ONE_CARD);
    const holder = idleHolder(world, pool("a"));
    const waiting = world.want(pool("b"));
    world.setCards([], ONE_CARD);
    const later = world.want(pool("c"));
    world.free(holder);
    expect(world.cardOuts).toEqual([waiting.claim.id, later.claim.id]);
    expect([waiting.state, later.state]).toEqual(["waiting", "waiting"]);
    world.setCards(ONE_CARD);
    expect(idsOf(waiting)).toEqual(["GPU-0"]);
    world.setCards([], ONE_CARD);
    expect(world.cardOuts).toEqual([waiting.claim.id, later.claim.id, later.claim.id]);
  });

  test("is not waited for by a claim that it could not satisfy either", () => {
    const world = new BoxWorld(ONE_CARD);
    world.setCards([], ONE_CARD);
    expect(world.want(pool("a", { gpus: [{ count: 2 }] })).state).toBe("gone");
    expect(world.cardOuts).toEqual([]);
  });

  test("holds up no claim that others satisfy", () => {
    const world = new BoxWorld(ONE_CARD);
    const [lost] = CARDS.slice(1, 2);
    world.setCards(ONE_CARD, lost === undefined ? [] : [lost]);
    expect(world.want(pool("a", { gpus: [{ count: 2 }] })).state).toBe("waiting");
    expect(idsOf(world.want(pool("b")))).toEqual(["GPU-0"]);
  });
});

describe("a container that an earlier agent left running", () => {
  const left = { id: "left/ct-1", ...pool("a"), pool: "left" };
  const waiter = { id: "b/1", ...pool("b") };
  const GRANT = { type: "grant", claim: "b/1", cards: ONE_CARD } as const;

  function boxWithLeft(needs: ClaimNeeds = ONE, cards: readonly Card[] = ONE_CARD): Box {
    const box = new Box();
    expect(box.left(left, { needs, cards }, 0)).toEqual([]);
    expect(box.cards(ONE_CARD, 0)).toEqual([]);
    return box;
  }

  test("keeps its card until it is gone", () => {
    const box = boxWithLeft();
    expect(box.want(waiter, { needs: ONE, sinceMs: 0 }, 1)).toEqual([]);
    expect(box.free(left.id, 2)).toEqual([GRANT]);
  });

  test("keeps its port until it is gone", () => {
    const box = boxWithLeft({ port: 8000 }, []);
    expect(box.want(waiter, { needs: { port: 8000 }, sinceMs: 0 }, 1)).toEqual([]);
    expect(box.free(left.id, 2)).toEqual([{ ...GRANT, cards: [] }]);
  });

  test("passes it on to the claim of the pool that adopts it, also before others that wait", () => {
    const box = boxWithLeft();
    box.want(waiter, { needs: ONE, sinceMs: 0 }, 1);
    const adopter = { id: "a/1", ...pool("a") };
    expect(box.adopt(left.id, adopter, { needs: ONE }, 2)).toEqual([
      { type: "grant", claim: "a/1", cards: ONE_CARD },
    ]);
    expect(box.free(left.id, 3)).toEqual([]);
    expect(box.free("a/1", 4)).toEqual([GRANT]);
  });

  test("that has gone passes nothing on", () => {
    const box = boxWithLeft();
    box.free(left.id, 1);
    expect(box.adopt(left.id, { id: "a/1", ...pool("a") }, { needs: ONE }, 2)).toEqual([]);
  });

  test("whose card is lost yields when it is adopted", () => {
    const box = boxWithLeft();
    box.cards(TWO_CARDS.slice(1), 1);
    const adopted = box.adopt(left.id, { id: "a/1", ...pool("a") }, { needs: ONE }, 2);
    expect(adopted).toContainEqual({ type: "yield", claim: "a/1", reason: "card_lost" });
  });
});

test("events that are told together have the effects of the last of them", () => {
  const box = new Box(ONE_CARD, LIMITS);
  const needs = ONE;
  const of = (name: string) => ({ id: name, pool: name, endpoint: name, app: name });
  box.want(of("idle"), { needs }, 0);
  box.used("idle", { inFlight: 0, oldestWaiterMs: undefined }, 0);
  const later = LIMITS.residencyMs;
  box.hold();
  // A call that waited has its place now.
  expect(box.want(of("other"), { needs, sinceMs: later }, later)).toEqual([]);
  expect(box.want(of("other"), { needs }, later)).toEqual([]);
  expect(box.settle(later)).toEqual([]);
  expect(box.want(of("other"), { needs, sinceMs: later }, later)).toMatchObject([
    { type: "yield", claim: "idle" },
  ]);
});
