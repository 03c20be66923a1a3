import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Slots, type Ticket } from "../../../origin-gpu/calls/slots.ts";

describe("slots", () => {
  test("are granted at once while there are some, then in the order of arrival", () => {
    const slots = new Slots(2, 10);
    const granted: string[] = [];
    const ask = (name: string) => slots.request(() => granted.push(name)) as Ticket;
    const [a, b] = [ask("a"), ask("b")];
    ask("c");
    ask("d");
    expect(granted).toEqual(["a", "b"]);
    b.release();
    expect(granted).toEqual(["a", "b", "c"]);
    a.release();
    expect(granted).toEqual(["a", "b", "c", "d"]);
  });

  test("refuse who comes when the queue is full", () => {
    const slots = new Slots(1, 1);
    slots.request(() => undefined);
    expect(slots.request(() => undefined)).toBeDefined();
    expect(slots.request(() => undefined)).toBeUndefined();
  });

  test("count asynchronous calls apart, but serve all in one order", () => {
    const slots = new Slots(1, 1, 2);
    const granted: string[] = [];
    const ask = (name: string, asynchronous: boolean) =>
      slots.request(() => granted.push(name), asynchronous);
    const first = ask("first", false) as Ticket;
    const asynchronous = [ask("a", true), ask("b", true)] as Ticket[];
    expect(ask("c", true)).toBeUndefined();
    const waited = ask("d", false) as Ticket;
    expect(ask("e", false)).toBeUndefined();
    first.release();
    expect(granted).toEqual(["first", "a"]);
    // One of the two left the queue for its slot: there is room for another.
    expect(ask("f", true)).toBeDefined();
    expect(ask("g", true)).toBeUndefined();
    asynchronous[1]?.release();
    asynchronous[1]?.release();
    expect(ask("h", true)).toBeDefined();
    expect(ask("i", true)).toBeUndefined();
    asynchronous[0]?.release();
    waited.release();
    expect(granted).toEqual(["first", "a", "d", "f"]);
  });

  test("pass over who left the queue", () => {
    const slots = new Slots(1, 10);
    const granted: string[] = [];
    const a = slots.request(() => granted.push("a")) as Ticket;
    const b = slots.request(() => granted.push("b")) as Ticket;
    slots.request(() => granted.push("c"));
    b.release();
    a.release();
    expect(granted).toEqual(["a", "c"]);
  });

  test("that are resized are taken by those who wait, and given up by nobody", () => {
    const slots = new Slots(2, 10);
    const granted: string[] = [];
    const ask = (name: string) => slots.request(() => granted.push(name)) as Ticket;
    const [a, b] = [ask("a"), ask("b"), ask("c"), ask("d")];
    slots.resize(0);
    a.release();
    b.release();
    expect(granted).toEqual(["a", "b"]);
    expect(slots.taken).toBe(0);
    slots.resize(1);
    expect(granted).toEqual(["a", "b", "c"]);
    slots.resize(Infinity);
    expect(granted).toEqual(["a", "b", "c", "d"]);
  });

  test("tell when nobody holds one", async () => {
    const slots = new Slots(1, 10);
    await slots.unused();
    const first = slots.request(() => undefined) as Ticket;
    const second = slots.request(() => undefined) as Ticket;
    let unused = false;
    const told = slots.unused().then(() => (unused = true));
    first.release();
    await Promise.resolve();
    expect(unused).toBe(false);
    second.release();
    await told;
    expect(unused).toBe(true);
  });

  test("are never given twice and never lost, whoever leaves when", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 6 }),
        fc.array(fc.oneof(fc.constant("come" as const), fc.nat(20)), { maxLength: 60 }),
        (limit, maxPending, steps) => {
          const slots = new Slots(limit, maxPending);
          const running = new Set<number>();
          const tickets = new Map<number, Ticket>();
          let next = 0;
          for (const step of steps) {
            if (step === "come") {
              const id = next++;
              const ticket = slots.request(() => running.add(id));
              if (ticket !== undefined) tickets.set(id, ticket);
            } else {
              const ids = [...tickets.keys()];
              const id = ids[step % Math.max(1, ids.length)];
              if (id === undefined) continue;
              const ticket = tickets.get(id);
              running.delete(id);
              tickets.delete(id);
              ticket?.release();
              ticket?.release();
            }
            expect(running.size).toBeLessThanOrEqual(limit);
            expect(slots.taken).toBe(running.size);
            expect(slots.waiting).toBe(tickets.size - running.size);
            expect(slots.waiting === 0 || slots.taken === limit).toBe(true);
          }
        },
      ),
    );
  });
});
