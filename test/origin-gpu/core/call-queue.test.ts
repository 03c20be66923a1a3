/** Places in the queue, against a plain list. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { CallQueue } from "../../../origin-gpu/core/call-queue.ts";

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
          expect(queue.shift()?.call).toBe(call);
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
