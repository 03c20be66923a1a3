/** A box asks for its shares of pools: when it must, and no more often; and it does without a gateway what it may. */
import { expect, test } from "vitest";
import { PoolLeases } from "../../../origin-gpu/apps/pool-leases.ts";
import type { PoolNeeds, PoolTerms } from "../../../origin-gpu/endpoints/pool-terms.ts";
import type { LeasedShare, PoolUses } from "../../../routing/wire/pool-leases.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const LEASE_MS = 60_000;

/** One box, and a gateway that says what the test says. */
class World {
  readonly clock = new VirtualClock();
  readonly lines: string[] = [];
  readonly asked: PoolUses["pools"][] = [];
  isReachable = true;
  /** How long an answer is on its way. */
  travelMs = 0;
  /** What the gateway gives each pool. */
  share: Partial<LeasedShare> = { most: 1 };
  readonly leases = new PoolLeases({
    ask: async ({ pools }) => {
      this.asked.push(pools);
      if (this.travelMs > 0) {
        await new Promise<void>((resolve) => {
          this.clock.timer(resolve, this.travelMs);
        });
      }
      if (!this.isReachable) throw new Error("no route");
      return {
        pools: pools.map(({ app, version, pool }) => {
          const none = { least: 0, buffer: 0, most: 0, proved: false, elsewhere: false };
          return Object.assign({ app, version, pool }, none, this.share);
        }),
        leaseMs: LEASE_MS,
        askAgainMs: LEASE_MS / 2,
      };
    },
    later: this.clock.timer,
    now: this.clock.now,
    notice: (line) => this.lines.push(line),
  });

  async pool(needs: Partial<PoolNeeds> = {}, name = "f") {
    const said = { min: 0, max: 3, buffer: 0, needs: 0, has: 0, proved: false, ...needs };
    const seen: PoolTerms[] = [];
    const membership = this.leases.join(
      { app: "ap-1", version: 1, pool: name },
      { needs: () => ({ ...said }), onTerms: (terms) => seen.push(terms) },
    );
    await this.pass(0);
    return {
      get terms() {
        return seen.at(-1);
      },
      /** Something has happened to it. */
      is: async (now: Partial<PoolNeeds>) => {
        Object.assign(said, now);
        membership.changed();
        await this.pass(0);
      },
      leave: async () => {
        membership.leave();
        await this.pass(0);
      },
    };
  }

  /** Lets time pass, and promises settle. */
  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
  }
}

test("a pool is asked for when it begins, with all others, and has the terms of the answer", async () => {
  const world = new World();
  world.share = { least: 1, buffer: 1, most: 2, elsewhere: false };
  const first = world.pool();
  const second = world.pool({}, "g");
  expect((await first).terms).toMatchObject({ least: 1, buffer: 1, most: 2, mayStart: true });
  expect((await second).terms).toMatchObject({ most: 2 });
  expect(world.asked.map((pools) => pools.map(({ pool }) => pool))).toEqual([["f", "g"]]);
});

test("it is asked for at once when it needs more than its share, and not for each call", async () => {
  const world = new World();
  const pool = await world.pool();
  await pool.is({ needs: 1 });
  await pool.is({ needs: 1, has: 1 });
  expect(world.asked).toHaveLength(1);
  await pool.is({ needs: 2 });
  await pool.is({ needs: 2, has: 1 });
  expect(world.asked).toHaveLength(2);
  expect(world.asked.at(-1)).toMatchObject([{ pool: "f", needs: 2, has: 1, max: 3 }]);
});

test("the first call of a pool with a buffer asks for it at once, though the share has room for the call", async () => {
  const world = new World();
  const pool = await world.pool({ min: 1, buffer: 1, has: 1 });
  world.share = { least: 1, buffer: 1, most: 2 };
  await pool.is({ needs: 1 });
  expect(world.asked.map(([use]) => use?.needs)).toEqual([0, 1]);
  expect(pool.terms).toMatchObject({ buffer: 1, most: 2 });
  await pool.is({ needs: 1, has: 2 });
  await pool.is({ needs: 0 });
  await pool.is({ needs: 1 });
  expect(world.asked).toHaveLength(2);
});

test("calls that need the container that was their buffer ask for another one, as soon as a pause is over", async () => {
  const world = new World();
  const pool = await world.pool({ min: 1, max: 4, buffer: 1, has: 1 });
  world.share = { least: 1, buffer: 1, most: 2 };
  await pool.is({ needs: 1 });
  world.share = { least: 1, buffer: 1, most: 4 };
  await pool.is({ needs: 2 });
  expect(world.asked).toHaveLength(2);
  await world.pass(2_000);
  expect(world.asked.map(([use]) => use?.needs)).toEqual([0, 1, 2]);
  // All that there may be.
  await pool.is({ needs: 4 });
  await world.pass(3_000);
  expect(world.asked).toHaveLength(3);
});

test("a box that has more than it needs for two seconds says so, since another box may wait for it", async () => {
  const world = new World();
  const pool = await world.pool();
  await pool.is({ needs: 2, has: 1 });
  const told = () => world.asked.map(([use]) => use?.needs);
  expect(told()).toEqual([0, 2]);
  await pool.is({ needs: 0 });
  await world.pass(1_999);
  // A call comes and goes.
  await pool.is({ needs: 1 });
  await pool.is({ needs: 0 });
  await world.pass(1_999);
  expect(told()).toEqual([0, 2]);
  await world.pass(1);
  expect(told()).toEqual([0, 2, 0]);
  await world.pass(10_000);
  expect(world.asked).toHaveLength(3);
});

test("a pool that leaves is not told of any more, whatever it had", async () => {
  const world = new World();
  const pool = await world.pool();
  await pool.is({ needs: 2, has: 1 });
  await pool.is({ needs: 0 });
  await pool.leave();
  const before = world.asked.length;
  await world.pass(10_000);
  expect(world.asked).toHaveLength(before);
});

test("where another box has the buffer, calls that come and go do not ask for it", async () => {
  const world = new World();
  const pool = await world.pool({ buffer: 1, has: 1 });
  for (let call = 0; call < 100; call += 1) {
    await pool.is({ needs: 1 });
    await pool.is({ needs: 0 });
  }
  expect(world.asked).toHaveLength(2);
});

test("two pools whose calls come and go in turns ask for their buffers once in two seconds", async () => {
  const world = new World();
  const pools = [await world.pool({ buffer: 1 }, "f"), await world.pool({ buffer: 1 }, "g")];
  world.asked.length = 0;
  for (let turn = 0; turn < 200; turn += 1) {
    await pools[turn % 2]?.is({ needs: 1 });
    await world.pass(25);
    await pools[turn % 2]?.is({ needs: 0 });
    await world.pass(25);
  }
  expect(world.asked.length).toBeGreaterThan(1);
  expect(world.asked.length).toBeLessThanOrEqual(6);
});

test("what happens while the gateway is asked is asked for once, afterwards", async () => {
  const world = new World();
  const joining = world.pool();
  const pool = await joining;
  const asked = Promise.all([pool.is({ needs: 2 }), pool.is({ needs: 3 }), pool.is({ needs: 4 })]);
  await asked;
  expect(world.asked.map(([use]) => use?.needs)).toEqual([0, 4]);
});

test("a container that had too much tells of its end at once, since another box waits for it", async () => {
  const world = new World();
  const pool = await world.pool({ needs: 2, has: 2 });
  expect(world.asked).toHaveLength(1);
  await pool.is({ has: 1 });
  expect(world.asked).toHaveLength(2);
  await pool.is({ has: 0 });
  expect(world.asked).toHaveLength(2);
});

test("settings that have changed and a proof are told at once", async () => {
  const world = new World();
  const pool = await world.pool();
  await pool.is({ max: 5 });
  await pool.is({ proved: true });
  expect(world.asked.map(([use]) => [use?.max, use?.proved])).toEqual([
    [3, false],
    [5, false],
    [5, true],
  ]);
});

test("a lease is renewed before it ends, and ends unsaid where the pool has and needs nothing", async () => {
  const world = new World();
  const pool = await world.pool({ has: 1 });
  await world.pass(LEASE_MS / 2);
  expect(world.asked).toHaveLength(2);
  await pool.is({ has: 0 });
  world.share = { elsewhere: true };
  await world.pass(LEASE_MS / 2);
  expect(world.asked).toHaveLength(3);
  expect(pool.terms).toMatchObject({ mayStart: true, elsewhere: true });
  world.isReachable = false;
  await world.pass(LEASE_MS);
  expect(pool.terms).toMatchObject({ mayStart: false, elsewhere: false });
  expect(world.lines).toEqual([]);
});

test("without the gateway a pool keeps what it has and starts nothing, which is said once; then it goes on", async () => {
  const world = new World();
  const pool = await world.pool({ needs: 1, has: 1 });
  world.isReachable = false;
  await world.pass(LEASE_MS - 1);
  expect(pool.terms).toMatchObject({ mayStart: true });
  await world.pass(1);
  expect(pool.terms).toMatchObject({ most: 1, mayStart: false });
  expect(world.lines).toHaveLength(1);
  expect(world.lines[0]).toMatch(/^postern: no lease .*none is started until the gateway answers/);
  const asked = world.asked.length;
  for (let calls = 2; calls < 10; calls += 1) await pool.is({ needs: calls });
  expect(world.asked).toHaveLength(asked);
  await world.pass(LEASE_MS);
  expect(world.asked.length).toBeLessThan(asked + 3);
  expect(world.lines).toHaveLength(1);
  world.isReachable = true;
  world.share = { most: 2 };
  world.leases.refresh();
  await world.pass(0);
  expect(pool.terms).toMatchObject({ most: 2, mayStart: true });
});

test("an answer that was on its way for too long is no lease any more", async () => {
  const world = new World();
  world.travelMs = LEASE_MS;
  const pool = await world.pool();
  await world.pass(LEASE_MS);
  expect(pool.terms).toMatchObject({ mayStart: false });
});

test("a share that the gateway wants confirmed is confirmed at once, by its number", async () => {
  const world = new World();
  world.share = { most: 2, grant: 7 };
  const pool = await world.pool({ needs: 2, has: 2 });
  const answers = [true];
  world.share = {
    most: 1,
    grant: 8,
    get confirm() {
      return answers.pop() === true;
    },
  };
  await pool.is({ needs: 3 });
  expect(world.asked.map(([use]) => use?.grant)).toEqual([0, 7, 8]);
});

test("a pool that begins while another one of its key ends has what that one leaves", async () => {
  const world = new World();
  world.share = { most: 3 };
  const old = await world.pool({ needs: 0, has: 2 });
  const pool = await world.pool({ needs: 3 });
  expect(world.asked.at(-1)).toMatchObject([{ needs: 3, has: 2 }]);
  expect(pool.terms).toMatchObject({ most: 1 });
  await pool.is({ has: 1 });
  const asked = world.asked.length;
  await pool.is({ has: 1 });
  expect(world.asked).toHaveLength(asked);
  await old.leave();
  expect(world.asked.at(-1)).toMatchObject([{ needs: 3, has: 1 }]);
  expect(pool.terms).toMatchObject({ most: 3 });
});

test("a pool that leaves is told of as gone", async () => {
  const world = new World();
  const pool = await world.pool();
  await world.pool({}, "g");
  await pool.leave();
  expect(world.asked.at(-1)).toMatchObject([{ pool: "g" }]);
});
