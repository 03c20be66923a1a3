import { expect, onTestFinished, test } from "vitest";
import { type StallingCall, StallWatch } from "../../../origin-gpu/endpoints/stall-watch.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

/** A call that a test stalls; it is not running any more once it was cut. */
class Running implements StallingCall {
  stalledSinceMs: number | undefined;
  cutAtMs: number | undefined;
  readonly container: { readonly id: string };
  readonly #bench: Bench;

  constructor(bench: Bench, containerId: string) {
    this.#bench = bench;
    this.container = { id: containerId };
  }

  stall(): void {
    this.stalledSinceMs = this.#bench.clock.now();
  }

  cut(forS: number): void {
    expect(forS).toBe(60);
    this.cutAtMs = this.#bench.clock.now();
    this.#bench.running.delete(this);
    this.#bench.waiting = Math.max(0, this.#bench.waiting - 1);
  }
}

class Bench {
  readonly clock = new VirtualClock();
  readonly running = new Set<Running>();
  waiting = 0;
  readonly watch = new StallWatch({
    stallTimeoutMs: 60_000,
    countWaiting: () => this.waiting,
    running: () => [...this.running].map((call) => ({ call, container: call.container })),
    timer: this.clock.timer,
    now: this.clock.now,
  });

  constructor() {
    onTestFinished(() => this.watch.close());
  }

  run(containerId = "ct-1"): Running {
    const call = new Running(this, containerId);
    this.running.add(call);
    return call;
  }

  wait(): void {
    this.waiting += 1;
    this.watch.onWaiting();
  }
}

test("a stalled call is cut after the limit, while another waits", async () => {
  const bench = new Bench();
  const [stalled, well] = [bench.run(), bench.run()];
  await bench.clock.advance(5_000);
  stalled.stall();
  bench.wait();
  await bench.clock.advance(59_999);
  expect(stalled.cutAtMs).toBeUndefined();
  await bench.clock.advance(1);
  expect(stalled.cutAtMs).toBe(65_000);
  await bench.clock.advance(600_000);
  expect(well.cutAtMs).toBeUndefined();
});

test("one that had stalled before goes when the first call has to wait", async () => {
  const bench = new Bench();
  const stalled = bench.run();
  stalled.stall();
  await bench.clock.advance(600_000);
  expect(stalled.cutAtMs).toBeUndefined();
  bench.wait();
  expect(stalled.cutAtMs).toBe(600_000);
});

test("one that goes on in time, or stalls anew, has the limit from then on", async () => {
  const bench = new Bench();
  const call = bench.run();
  bench.wait();
  call.stall();
  await bench.clock.advance(50_000);
  call.stall();
  await bench.clock.advance(59_999);
  expect(call.cutAtMs).toBeUndefined();
  await bench.clock.advance(1);
  expect(call.cutAtMs).toBe(110_000);
});

test("one that stalls while others wait already is found on time", async () => {
  const bench = new Bench();
  const call = bench.run();
  bench.wait();
  await bench.clock.advance(30_000);
  call.stall();
  await bench.clock.advance(60_000);
  expect(call.cutAtMs).toBe(90_000);
});

test("no more calls are cut than wait, and those that are stalled longest go first", async () => {
  const bench = new Bench();
  const [late, early] = [bench.run(), bench.run()];
  early.stall();
  await bench.clock.advance(1);
  late.stall();
  await bench.clock.advance(100_000);
  bench.wait();
  await bench.clock.advance(10_000);
  expect([early.cutAtMs, late.cutAtMs]).toEqual([100_001, undefined]);
});

test("all that are stalled at a container which is to make room are cut, and none at another one", async () => {
  const bench = new Bench();
  const [first, second, other] = [bench.run(), bench.run(), bench.run("ct-2")];
  for (const call of [first, second, other]) call.stall();
  await bench.clock.advance(20_000);
  bench.watch.onDrains("ct-1");
  await bench.clock.advance(39_999);
  expect([first.cutAtMs, second.cutAtMs]).toEqual([undefined, undefined]);
  await bench.clock.advance(1);
  expect([first.cutAtMs, second.cutAtMs]).toEqual([60_000, 60_000]);
  await bench.clock.advance(600_000);
  expect(other.cutAtMs).toBeUndefined();
});

test("a container that has made room, and takes calls again, is like any other", async () => {
  const bench = new Bench();
  bench.watch.onDrains("ct-1");
  bench.watch.onDrained("ct-1");
  const call = bench.run();
  call.stall();
  bench.watch.onDrains("ct-2");
  await bench.clock.advance(600_000);
  expect(call.cutAtMs).toBeUndefined();
});

test("nothing is looked at while no call waits, nor once it is closed", async () => {
  const bench = new Bench();
  bench.run();
  bench.wait();
  bench.waiting = 0;
  await bench.clock.advance(60_000);
  expect(bench.clock.pending).toBe(0);
});
