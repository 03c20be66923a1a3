/** Boxes and a gateway whose messages are late or lost: a pool has never more containers than it may, all boxes together. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { PoolLeases } from "../../../origin-gpu/apps/pool-leases.ts";
import { NO_TERMS, type PoolTerms } from "../../../origin-gpu/endpoints/pool-terms.ts";
import { type GrantedUse, granted, isToConfirm } from "../../../routing/pool-grants.ts";
import { concernedBoxes, fairShares, type PoolBounds } from "../../../routing/pool-shares.ts";
import type { PoolLease, PoolUses } from "../../../routing/wire/pool-leases.ts";
import { runs } from "../../support/runs.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const LEASE_MS = 60_000;
/** An agent does not wait longer for an answer; its request may come later all the same. */
const PATIENCE_MS = 20_000;
const NAMES = ["a", "b", "c"] as const;

/** What becomes of a message: its delay, or none where it is lost. */
type Fate = number | "lost";

/** A gateway as the workspace's object decides, with one pool. */
class Gateway {
  readonly #uses = new Map<string, GrantedUse>();
  readonly #until = new Map<string, number>();
  readonly #latest = new Map<string, number>();
  readonly #bounds: PoolBounds;

  constructor(bounds: PoolBounds) {
    this.#bounds = bounds;
  }

  isLive(box: string, nowMs: number): boolean {
    return (this.#until.get(box) ?? 0) > nowMs;
  }

  /**
   * @param number of the agent's request
   * @returns the answer, and the boxes that are told to ask; undefined for a request behind a later one
   */
  ask(
    box: string,
    number: number,
    { pools: [use] }: PoolUses,
    nowMs: number,
  ): [PoolLease, string[]] | undefined {
    if (use === undefined) throw new Error("it asks for the pool");
    if (number < (this.#latest.get(box) ?? 0)) return undefined;
    this.#latest.set(box, number);
    const turn = { nowMs, turnMs: LEASE_MS / 2 };
    const before = this.isLive(box, nowMs) ? this.#uses.get(box) : undefined;
    this.#until.set(box, nowMs + LEASE_MS);
    const others = [...this.#uses.values()].filter(
      ({ box: name }) => name !== box && this.isLive(name, nowMs),
    );
    const after = granted({ box, ...use }, before, others, this.#bounds, turn);
    this.#uses.set(box, after);
    const all = [after, ...others];
    const told = concernedBoxes(fairShares(all, this.#bounds, turn), all, this.#bounds);
    const { grant } = after;
    const rest = { proved: false, elsewhere: false, grant, confirm: isToConfirm(after) };
    const share = { app: "ap-1", version: 1, pool: "f", ...after.granted, ...rest };
    const lease = { pools: [share], leaseMs: LEASE_MS, askAgainMs: LEASE_MS / 2 };
    return [lease, told.filter((name) => name !== box)];
  }
}

/** An agent with one pool, which has at once what its terms allow. */
class Agent {
  needs = 0;
  has = 0;
  hasLapsed = false;
  #terms: PoolTerms = NO_TERMS;
  readonly leases: PoolLeases;
  readonly #changed: () => void;

  constructor(world: World, name: string) {
    this.leases = new PoolLeases({
      ask: async (uses) => await world.ask(name, uses),
      later: world.clock.timer,
      now: world.clock.now,
      notice: () => (this.hasLapsed = true),
    });
    const { min, max, buffer } = world.bounds;
    const membership = this.leases.join(
      { app: "ap-1", version: 1, pool: "f" },
      {
        needs: () => ({ min, max, buffer, needs: this.needs, has: this.has, proved: false }),
        onTerms: (terms) => {
          this.#terms = terms;
          this.#work();
        },
      },
    );
    this.#changed = () => membership.changed();
  }

  /** Calls come and go. */
  need(needs: number): void {
    this.needs = needs;
    this.#work();
    this.#changed();
  }

  /** Containers that nothing needs any more end. */
  endIdle(): void {
    this.has = Math.min(this.has, this.#wanted);
    this.#changed();
  }

  get #wanted(): number {
    const { least, buffer, most } = this.#terms;
    return Math.min(most, Math.max(least, this.needs > 0 ? this.needs + buffer : 0));
  }

  #work(): void {
    if (this.#terms.mayStart) this.has = Math.max(this.has, this.#wanted);
  }
}

class World {
  readonly clock = new VirtualClock();
  readonly bounds: PoolBounds;
  readonly gateway: Gateway;
  readonly agents: ReadonlyMap<string, Agent>;
  readonly #fates: Iterator<Fate>;
  #requests = 0;

  constructor(bounds: PoolBounds, fates: Iterator<Fate>) {
    this.bounds = bounds;
    this.gateway = new Gateway(bounds);
    this.#fates = fates;
    this.agents = new Map(NAMES.map((name) => [name, new Agent(this, name)]));
  }

  async ask(box: string, uses: PoolUses): Promise<PoolLease> {
    const { promise, resolve, reject } = Promise.withResolvers<PoolLease>();
    this.clock.timer(() => reject(new Error("no answer")), PATIENCE_MS);
    this.#requests += 1;
    const number = this.#requests;
    this.#send(() => {
      const answer = this.gateway.ask(box, number, uses, this.clock.now());
      if (answer === undefined) return;
      const [lease, told] = answer;
      this.#send(() => resolve(lease));
      for (const name of told) this.#send(() => this.agents.get(name)?.leases.refresh());
    });
    return await promise;
  }

  /** So many times the boxes have asked. */
  get requests(): number {
    return this.#requests;
  }

  get has(): number {
    return [...this.agents.values()].reduce((sum, { has }) => sum + has, 0);
  }

  get hasLapsed(): boolean {
    return [...this.agents.values()].some((agent) => agent.hasLapsed);
  }

  #send(arrive: () => void): void {
    const fate = this.#fates.next().value as Fate;
    if (fate !== "lost") this.clock.timer(arrive, fate);
  }
}

const box = fc.constantFrom(...NAMES);

const step = fc.record({
  box,
  does: fc.oneof(
    fc.constant({ needs: 0 }),
    fc.record({ needs: fc.nat(3) }),
    fc.constantFrom("ends_idle" as const, "asks" as const),
  ),
  thenMs: fc.oneof(
    { weight: 4, arbitrary: fc.nat(200) },
    { weight: 1, arbitrary: fc.nat(3_000) },
    { weight: 1, arbitrary: fc.nat(LEASE_MS / 2) },
  ),
});

const anyBounds = fc
  .record({ min: fc.nat(2), max: fc.integer({ min: 1, max: 3 }), buffer: fc.nat(1) })
  .filter(({ min, max }) => min <= max);

const fate: fc.Arbitrary<Fate> = fc.oneof(
  { weight: 20, arbitrary: fc.nat(300) },
  { weight: 1, arbitrary: fc.nat(PATIENCE_MS) },
  // The agent has given it up, and asks again meanwhile.
  { weight: 2, arbitrary: fc.integer({ min: PATIENCE_MS, max: 2 * PATIENCE_MS }) },
  { weight: 1, arbitrary: fc.constant("lost" as const) },
);

test("a box that starts a container while its share gets smaller has it before others may", async () => {
  const travels = fc.sample(fc.constant(100), 100);
  const world = new World({ min: 0, max: 1, buffer: 0 }, travels.values());
  const [one, other] = ["a", "b"].map((name) => world.agents.get(name)) as [Agent, Agent];
  await world.clock.advance(1_000);
  one.need(1);
  await world.clock.advance(1_000);
  one.need(0);
  one.endIdle();
  one.leases.refresh();
  await world.clock.advance(50);
  other.need(1);
  // Its request has come, and the answer has not.
  await world.clock.advance(100);
  one.need(1);
  await world.clock.advance(10_000);
  expect([one.has, other.has]).toEqual([1, 0]);
  one.need(0);
  one.endIdle();
  await world.clock.advance(LEASE_MS);
  expect([one.has, other.has]).toEqual([0, 1]);
});

test("what a box has is not given away by a request of its that comes behind a later one", async () => {
  // The box's first request, which says that it has nothing, comes when its second one has been answered.
  const travels = [25_000, ...fc.sample(fc.constant(100), 100)];
  const world = new World({ min: 0, max: 2, buffer: 0 }, travels.values());
  const [one, other] = ["a", "b"].map((name) => world.agents.get(name)) as [Agent, Agent];
  await world.clock.advance(1_000);
  one.leases.refresh();
  await world.clock.advance(15_800);
  one.need(2);
  await world.clock.advance(5_000);
  other.need(1);
  await world.clock.advance(500);
  one.leases.refresh();
  await world.clock.advance(5_000);
  expect([one.has, other.has]).toEqual([2, 0]);
});

/** Boxes whose messages take 20 ms, and how often they ask from now on. */
async function promptWorld(bounds: PoolBounds): Promise<World> {
  const world = new World(bounds, fc.sample(fc.constant(20), 10_000).values());
  await world.clock.advance(0);
  await world.clock.advance(1_000);
  for (const agent of world.agents.values()) agent.endIdle();
  await world.clock.advance(1_000);
  return world;
}

test("of boxes that were idle the one that a call comes to has the buffer at once", async () => {
  for (const name of NAMES) {
    const world = await promptWorld({ min: 1, max: 3, buffer: 1 });
    expect(world.has).toBe(1);
    const agent = world.agents.get(name);
    agent?.need(1);
    await world.clock.advance(0);
    await world.clock.advance(200);
    expect(agent?.has).toBe(2);
    // The container that another box had in advance stays there.
    await world.clock.advance(LEASE_MS);
    expect(agent?.has).toBe(2);
    expect(world.has).toBeLessThanOrEqual(3);
  }
});

test("short calls at all boxes by turns leave the buffer where it is, and the gateway in peace", async () => {
  const world = await promptWorld({ min: 1, max: 9, buffer: 1 });
  const before = world.requests;
  const had = new Set<string>();
  for (let call = 0; call < 1_200; call += 1) {
    const agent = world.agents.get(NAMES[call % NAMES.length] as string);
    agent?.need(1);
    await world.clock.advance(0);
    await world.clock.advance(30);
    agent?.need(0);
    await world.clock.advance(20);
    if (call >= 600) had.add([...world.agents.values()].map(({ has }) => has).join(" "));
  }
  expect(world.requests - before).toBeLessThan(60);
  expect([...had]).toHaveLength(1);
});

test("boxes whose leases are alive have max_containers at most, however late messages are", async () => {
  await fc.assert(
    fc.asyncProperty(
      anyBounds,
      fc.infiniteStream(fate),
      fc.array(step, { maxLength: 60, size: "max" }),
      async (bounds, fates, steps) => {
        const world = new World(bounds, fates);
        await world.clock.advance(1_000);
        for (const { box: name, does, thenMs } of steps) {
          const agent = world.agents.get(name);
          if (does === "asks") agent?.leases.refresh();
          else if (does === "ends_idle") agent?.endIdle();
          else agent?.need(does.needs);
          await world.clock.advance(thenMs);
          // A box that has lost its lease keeps its containers, as documented.
          if (world.hasLapsed) return;
          expect(world.has).toBeLessThanOrEqual(bounds.max);
        }
      },
    ),
    { numRuns: runs(1_000) },
  );
});
