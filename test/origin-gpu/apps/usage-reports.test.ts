/** Reports of a box's use: while calls run, once each, and again where the gateway was not heard. */
import { expect, test } from "vitest";
import { UsageReports } from "../../../origin-gpu/apps/usage-reports.ts";
import { SharedTime } from "../../../origin-gpu/core/shared-time.ts";
import type { QueuedCall } from "../../../origin-gpu/endpoints/queued-call.ts";
import type { UsageBatch } from "../../../routing/wire/usage.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

/** One agent, and a gateway that takes batches as the test says. */
class World {
  readonly clock = new VirtualClock();
  readonly lines: string[] = [];
  readonly sent: UsageBatch[] = [];
  answer: () => Promise<void> = () => Promise.resolve();
  readonly reports = new UsageReports({
    send: async (batch) => {
      this.sent.push(batch);
      await this.answer();
    },
    later: this.clock.timer,
    now: this.clock.now,
    notice: (line) => this.lines.push(line),
  });

  /** A call of a token that gets a place in a container of its own; the result ends it. */
  begin(token?: string, { reruns = 0, unsent = 0 } = {}): () => void {
    const caller = token === undefined ? {} : { caller: { token } };
    const head = { endpoint: "main/app/web", ...caller };
    const queued = { call: { head, reruns }, unsent } as unknown as QueuedCall;
    const time = new SharedTime();
    time.enter(this.clock.now());
    this.reports.begin(queued, time, this.clock.now());
    return () => this.reports.end(queued, this.clock.now());
  }

  get rows() {
    return this.sent.map(({ batch, rows }) => [
      batch,
      ...rows.flatMap(({ token, requests, containerMs }) => [token, requests, containerMs]),
    ]);
  }
}

test("a call that runs is charged every five seconds, and its end soon after it", async () => {
  const world = new World();
  const end = world.begin("wk-a");
  await world.clock.advance(12_000);
  end();
  await world.clock.advance(60_000);
  expect(world.rows).toEqual([
    [1, "wk-a", 1, 5_000],
    [2, "wk-a", 0, 5_000],
    [3, "wk-a", 0, 2_000],
  ]);
  // Nothing is left to report, and nothing wakes the agent for it.
  expect(world.clock.pending).toBe(0);
});

test("calls without a token report nothing", async () => {
  const world = new World();
  world.begin()();
  await world.clock.advance(60_000);
  expect(world.sent).toEqual([]);
});

test("a call that is run again is one request", async () => {
  const world = new World();
  world.begin("wk-a")();
  world.begin("wk-a", { reruns: 1 })();
  world.begin("wk-a", { unsent: 1 })();
  await world.clock.advance(5_000);
  expect(world.rows).toEqual([[1, "wk-a", 1, 0]]);
});

test("a batch that was not heard of comes again as it was, and what came meanwhile after it", async () => {
  const world = new World();
  world.begin("wk-a")();
  world.answer = () => Promise.reject(new Error("no route"));
  await world.clock.advance(5_000);
  world.begin("wk-b")();
  await world.clock.advance(5_000);
  world.answer = () => Promise.resolve();
  await world.clock.advance(5_000);
  expect(world.rows).toEqual([
    [1, "wk-a", 1, 0],
    [1, "wk-a", 1, 0],
    [1, "wk-a", 1, 0],
    [2, "wk-b", 1, 0],
  ]);
  expect(world.lines).toEqual([]);
});

test("a gateway that is away for a minute is told to the operator once", async () => {
  const world = new World();
  world.begin("wk-a")();
  world.answer = () => Promise.reject(new Error("no route"));
  await world.clock.advance(300_000);
  expect(world.lines).toEqual([
    "postern: the use by tokens can't be reported, and is kept: no route",
  ]);
});

test("an agent that ends reports the rest, after a report that is on its way", async () => {
  const world = new World();
  const end = world.begin("wk-a");
  const answered = Promise.withResolvers<void>();
  world.answer = () => answered.promise;
  await world.clock.advance(7_000);
  end();
  const closed = world.reports.close();
  world.answer = () => Promise.resolve();
  answered.resolve();
  await closed;
  expect(world.rows).toEqual([
    [1, "wk-a", 1, 5_000],
    [2, "wk-a", 0, 2_000],
  ]);
  expect(world.clock.pending).toBe(0);
});
