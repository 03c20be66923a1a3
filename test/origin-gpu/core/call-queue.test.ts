/** Places in the queue, against a plain list, and turns of callers. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { CallQueue } from "../../../origin-gpu/core/call-queue.ts";
import type { PoolCall } from "../../../origin-gpu/core/pool-call.ts";

type Entry = PoolCall<number>;

const PLAIN = { asynchronous: false, accepted: false, passive: false, session: undefined };

test("each call's position is the number of those before it, whoever comes, leaves or comes back", () => {
  const step = fc.record({ what: fc.constantFrom("add", "leave", "shift", "back"), at: fc.nat() });
  fc.assert(
    fc.property(fc.array(step, { minLength: 300, maxLength: 900 }), (steps) => {
      const queue = new CallQueue<number>();
      const plain: number[] = [];
      const gone: number[] = [];
      let next = 0;
      const add = (call: number): void =>
        queue.add({ call, arrivedAtMs: call, sequence: call, ...PLAIN });
      for (const { what, at } of steps) {
        if (what === "back" && gone.length > 0) {
          const [call = 0] = gone.splice(at % gone.length, 1);
          add(call);
          plain.push(call);
          plain.sort((a, b) => a - b);
        } else if (what === "leave" && plain.length > 0) {
          const [call = 0] = plain.splice(at % plain.length, 1);
          queue.remove(call);
          gone.push(call);
        } else if (what === "shift") {
          const call = plain.shift();
          expect(queue.remove(queue.first?.call ?? -1)?.call).toBe(call);
          if (call !== undefined) gone.push(call);
        } else {
          // Most come, so that there are several blocks.
          for (let count = 0; count < 5; count += 1) {
            add(next);
            plain.push(next);
            next += 1;
          }
        }
      }
      expect([...queue].map(({ call }) => call)).toEqual(plain);
      expect(plain.map((call) => queue.positionOf(call))).toEqual(plain.map((_, index) => index));
      for (const call of gone) expect(queue.positionOf(call)).toBeUndefined();
    }),
    { numRuns: 100 },
  );
});

/** The order by its definition: rounds of one call of each caller, those of batch callers last. */
function served(queue: CallQueue<number>): number[] {
  const order: number[] = [];
  for (let { first } = queue; first !== undefined; { first } = queue) {
    queue.remove(first.call);
    order.push(first.call);
  }
  return order;
}

test("one caller's thousand calls do not delay another caller's first, nor its second by more than one", () => {
  const queue = new CallQueue<number>();
  const add = (call: number, caller: string | undefined, batch = false): void =>
    queue.add({ call, arrivedAtMs: call, sequence: call, ...PLAIN, caller, batch });
  for (let call = 0; call < 1_000; call += 1) add(call, "greedy");
  add(1_000, "other");
  add(1_001, "other");
  add(1_002, undefined);
  expect([1_000, 1_001, 1_002].map((call) => queue.positionOf(call))).toEqual([1, 4, 2]);
  expect(queue.oldest?.call).toBe(0);
  expect(served(queue).slice(0, 6)).toEqual([0, 1_000, 1_002, 1, 1_001, 2]);
});

test("calls of batch callers wait for all others, and in turns of their own", () => {
  const queue = new CallQueue<number>();
  const add = (call: number, caller: string, batch: boolean): void =>
    queue.add({ call, arrivedAtMs: call, sequence: call, ...PLAIN, caller, batch });
  add(0, "nightly", true);
  add(1, "nightly", true);
  add(2, "weekly", true);
  add(3, "chat", false);
  expect([0, 1, 2, 3].map((call) => queue.positionOf(call))).toEqual([1, 3, 2, 0]);
  expect(served(queue)).toEqual([3, 0, 2, 1]);
});

test("while a caller waits no other one is served twice, in any history", () => {
  // As many are served as come, so that turns end.
  const count = fc.oneof(fc.nat(3), fc.nat(20));
  const serves = fc.nat(4).map((number) => number > 0);
  const step = fc.record({ serves, caller: fc.nat({ max: 4 }), count });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: "max" }), (steps) => {
      const queue = new CallQueue<number>();
      const waiting = new Map<string, number>();
      /** Since a caller waits, or was served: how often each other one was. */
      const overtaken = new Map<string, Map<string, number>>();
      let sequence = 0;
      for (const { serves, caller: number, count } of steps) {
        const caller = `c${number}`;
        for (let left = serves ? 0 : count; left > 0; left -= 1) {
          if (!waiting.has(caller)) overtaken.set(caller, new Map());
          waiting.set(caller, (waiting.get(caller) ?? 0) + 1);
          sequence += 1;
          queue.add({ call: sequence, arrivedAtMs: 0, sequence, ...PLAIN, caller });
        }
        const entry = serves ? queue.first : undefined;
        if (entry?.caller === undefined) continue;
        queue.remove(entry.call);
        const left = (waiting.get(entry.caller) ?? 0) - 1;
        overtaken.set(entry.caller, new Map());
        if (left > 0) waiting.set(entry.caller, left);
        else {
          waiting.delete(entry.caller);
          overtaken.delete(entry.caller);
        }
        for (const [other, by] of overtaken) {
          if (other === entry.caller) continue;
          const times = (by.get(entry.caller) ?? 0) + 1;
          by.set(entry.caller, times);
          expect(times).toBe(1);
        }
      }
    }),
    { numRuns: 200 },
  );
});

test("a caller that had its turn has no second one by a call that comes back", () => {
  const queue = new CallQueue<number>();
  const entries = ["greedy", "greedy", "greedy", "other", "greedy"].map((caller, call) =>
    Object.assign({ call, arrivedAtMs: call, sequence: call, caller }, PLAIN),
  );
  const [first, , third, other, later] = entries as [Entry, Entry, Entry, Entry, Entry];
  for (const entry of entries.slice(0, 2)) queue.add(entry);
  served(queue);
  queue.add(third);
  queue.add(other);
  expect(queue.first).toBe(third);
  queue.remove(third.call);
  queue.add(first);
  queue.add(later);
  // Its old place is before all others, and its caller's next turn behind the other one.
  expect(served(queue)).toEqual([0, 3, 4]);
});

test("callers come, leave and come back: positions, the oldest and each caller's order hold", () => {
  const step = fc.record({
    what: fc.constantFrom("add", "add", "add", "leave", "serve", "back"),
    caller: fc.nat({ max: 4 }),
    at: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 600, maxLength: 1_500 }), (steps) => {
      const queue = new CallQueue<number>();
      const waiting: PoolCall<number>[] = [];
      const gone: PoolCall<number>[] = [];
      let sequence = 0;
      const take = (from: PoolCall<number>[], at: number): PoolCall<number> =>
        from.splice(at % from.length, 1)[0] as PoolCall<number>;
      for (const { what, caller, at } of steps) {
        const { first } = queue;
        if (what === "leave" && waiting.length > 0) queue.remove(take(waiting, at).call);
        else if (what === "serve" && first !== undefined) {
          queue.remove(first.call);
          gone.push(take(waiting, waiting.indexOf(first)));
        } else if (what === "back" && gone.length > 0) {
          // One that could not be sent.
          const entry = take(gone, at);
          waiting.push(entry);
          queue.add(entry);
        } else {
          sequence += 1;
          const mine = { caller: `c${caller}`, batch: caller === 4 };
          const entry = { call: sequence, arrivedAtMs: sequence, sequence, ...PLAIN, ...mine };
          waiting.push(entry);
          queue.add(entry);
        }
      }
      const order = [...queue];
      expect(order.map(({ call }) => queue.positionOf(call))).toEqual(order.map((_, at) => at));
      const arrived = waiting.map(({ call }) => call).toSorted((a, b) => a - b);
      expect(order.map(({ call }) => call).toSorted((a, b) => a - b)).toEqual(arrived);
      expect(queue.oldest?.call).toBe(arrived[0]);
      for (const caller of ["c0", "c1", "c2", "c3", "c4"]) {
        const own = order.filter((entry) => entry.caller === caller).map(({ call }) => call);
        expect(own).toEqual(own.toSorted((a, b) => a - b));
      }
      for (const { call } of gone) expect(queue.positionOf(call)).toBeUndefined();
    }),
    { numRuns: 50, endOnFailure: true },
  );
});

test("where not all may wait, the greediest caller gives way, and batch callers before it", () => {
  const queue = new CallQueue<number>();
  const add = (call: number, more: Partial<PoolCall<number>>): PoolCall<number> => {
    const entry = { call, arrivedAtMs: call, sequence: call, ...PLAIN, ...more };
    queue.add(entry);
    return entry;
  };
  const greedy = [0, 1, 2].map((call) => add(call, { caller: "greedy" }));
  expect(queue.displacedBy(greedy[2] as PoolCall<number>)).toBeUndefined();
  const other = add(3, { caller: "other" });
  expect(queue.displacedBy(other)?.call).toBe(2);
  const equals = add(4, { caller: "other" });
  queue.remove(2);
  expect(queue.displacedBy(equals)).toBeUndefined();
  const nightly = add(5, { caller: "nightly", batch: true });
  expect(queue.displacedBy(equals)?.call).toBe(5);
  expect(queue.displacedBy(nightly)).toBeUndefined();
  queue.remove(5);
  add(6, { caller: "nightly", batch: true, accepted: true });
  expect(queue.displacedBy(equals)).toBeUndefined();
});
