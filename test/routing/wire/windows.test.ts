/** Windows and their sum: what a peer can make us hold is bounded, and no reader can stop another's stream. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  INITIAL_WINDOW_BYTES,
  MAX_GRANTED_BYTES_PER_LINK,
  MAX_STREAMS_PER_LINK,
  MAX_WINDOW_BYTES,
  SHORT_WINDOW_BYTES,
} from "../../../routing/wire/limits.ts";
import { GrantBudget, ReceiveWindow } from "../../../routing/wire/windows.ts";

/** A window with its sender: what the sender knows is what CREDIT told it. */
class Pair {
  readonly window: ReceiveWindow;
  /** What the sender may still send. */
  credit: number;
  /** The sender's half has ended. */
  ended = false;
  gone = false;

  constructor(budget: GrantBudget, initial = budget.initialWindow()) {
    this.credit = initial;
    this.window = new ReceiveWindow(budget, initial, (bytes) => {
      if (bytes <= 0) throw new Error(`a grant of ${bytes} bytes`);
      this.credit += bytes;
    });
  }

  send(bytes: number): void {
    if (!this.window.receive(bytes)) throw new Error("what was granted is refused");
    this.credit -= bytes;
  }

  get held(): number {
    return this.window.outstanding + this.window.buffered;
  }
}

/** One comparison for all of them: there may be 2,000. */
function checkAll(budget: GrantBudget, pairs: readonly Pair[]): void {
  let sum = 0;
  const wrong = pairs.filter(({ window, held, credit, ended, gone }) => {
    sum += held;
    if (window.outstanding < 0 || window.buffered < 0 || held > MAX_WINDOW_BYTES) return true;
    if (ended || gone) return window.outstanding !== 0;
    // Nobody waits for anybody: what its own reader took, its sender may send.
    const stopped = window.buffered === 0 && credit === 0;
    return stopped || window.outstanding !== credit;
  });
  expect(wrong).toEqual([]);
  expect(budget.granted).toBe(sum);
  expect(sum).toBeLessThanOrEqual(MAX_GRANTED_BYTES_PER_LINK);
}

/** Which stream, what happens to it, and how much of what is possible, in thousandths. */
const step = fc.record({
  pick: fc.nat(),
  action: fc.constantFrom("open", "send", "send", "send", "drain", "drain", "end", "discard"),
  share: fc.integer({ min: 0, max: 1000 }),
});

function act(pair: Pair, action: string, share: number): void {
  const { window } = pair;
  const sendable = pair.ended || pair.gone ? 0 : pair.credit;
  switch (action) {
    case "send":
      pair.send(Math.ceil((sendable * share) / 1000));
      return;
    case "drain":
      window.consume(Math.ceil((window.buffered * share) / 1000));
      return;
    case "end":
      window.close();
      pair.ended = true;
      return;
    default:
      window.discard();
      pair.gone = true;
  }
}

describe("any order of events on any number of streams", () => {
  test("the sum is what the windows hold, and everything is given back exactly once", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 200 }), (steps) => {
        const budget = new GrantBudget();
        const pairs = [new Pair(budget)];
        for (const { pick, action, share } of steps) {
          if (action === "open") pairs.push(new Pair(budget));
          else act(pairs[pick % pairs.length] as Pair, action, share);
          checkAll(budget, pairs);
        }
        for (const { window } of pairs) {
          window.close();
          window.discard();
          window.discard();
          // A write that was under way when the stream went away is reported late.
          window.consume(10);
        }
        expect(budget.granted).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test("the limit holds for 2,000 streams that grow, stall and come back as they like", () => {
    const wave = fc.record({
      streams: fc.integer({ min: 1, max: MAX_STREAMS_PER_LINK }),
      rounds: fc.integer({ min: 0, max: 6 }),
      stalls: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(wave, { minLength: 1, maxLength: 6 }), (waves) => {
        const budget = new GrantBudget();
        const pairs: Pair[] = [];
        for (const { streams, rounds, stalls } of waves) {
          while (pairs.length < streams) pairs.push(new Pair(budget));
          for (const pair of pairs.slice(-streams)) {
            for (let round = 0; round < rounds; round += 1) {
              pair.send(pair.credit);
              pair.window.consume(pair.window.buffered);
            }
            if (stalls) pair.send(pair.credit);
          }
          checkAll(budget, pairs);
        }
        for (const pair of pairs) pair.window.consume(pair.window.buffered);
        checkAll(budget, pairs);
      }),
      { numRuns: 30 },
    );
  });
});

test("bytes beyond the window are told, and counted nowhere", () => {
  const budget = new GrantBudget();
  const pair = new Pair(budget);
  pair.send(INITIAL_WINDOW_BYTES - 10);
  expect(pair.window.receive(11)).toBe(false);
  expect(pair.window.outstanding).toBe(10);
  expect(pair.window.buffered).toBe(INITIAL_WINDOW_BYTES - 10);
});

test("a stream whose reader keeps pace grows to 1 MiB and no further", () => {
  const budget = new GrantBudget();
  const pair = new Pair(budget);
  const windows = [pair.credit];
  for (let round = 0; round < 6; round += 1) {
    pair.send(pair.credit);
    pair.window.consume(pair.window.buffered);
    windows.push(pair.credit);
  }
  expect(windows.map((bytes) => bytes / 1024)).toEqual([64, 128, 256, 512, 1024, 1024, 1024]);
});

test("it grows no less where frames are drained one by one", () => {
  const budget = new GrantBudget();
  const pair = new Pair(budget);
  for (let round = 0; round < 12; round += 1) {
    const frames = Math.ceil(pair.credit / INITIAL_WINDOW_BYTES);
    for (let frame = 0; frame < frames; frame += 1) {
      pair.send(Math.min(pair.credit, INITIAL_WINDOW_BYTES));
    }
    // What is granted meanwhile arrives at the sender a round later.
    for (let frame = 0; frame < frames; frame += 1) {
      pair.window.consume(Math.min(pair.window.buffered, INITIAL_WINDOW_BYTES));
    }
  }
  expect(pair.credit).toBe(MAX_WINDOW_BYTES);
});

test("a reader that lags keeps the window that it has", () => {
  const budget = new GrantBudget();
  const pair = new Pair(budget);
  for (let round = 0; round < 20; round += 1) {
    pair.send(Math.min(pair.credit, 8 * 1024));
    pair.window.consume(4 * 1024);
    expect(pair.held).toBeLessThanOrEqual(INITIAL_WINDOW_BYTES);
  }
});

test("small reads are not answered with a CREDIT each", () => {
  const budget = new GrantBudget();
  let credits = 0;
  const window = new ReceiveWindow(budget, INITIAL_WINDOW_BYTES, () => {
    credits += 1;
  });
  for (let bytes = 0; bytes < INITIAL_WINDOW_BYTES; bytes += 64) {
    expect(window.receive(64)).toBe(true);
    window.consume(64);
  }
  expect(credits).toBeLessThanOrEqual(3);
});

test("readers that stopped with full windows leave every other stream its short one", () => {
  const budget = new GrantBudget();
  const stuck: Pair[] = [];
  while (budget.spare > 0) {
    const pair = new Pair(budget);
    stuck.push(pair);
    for (let round = 0; round < 5; round += 1) {
      pair.send(pair.credit);
      pair.window.consume(pair.window.buffered);
    }
    pair.send(pair.credit);
  }
  const others: Pair[] = [];
  while (stuck.length + others.length < MAX_STREAMS_PER_LINK) others.push(new Pair(budget));
  for (const pair of others) {
    for (let round = 0; round < 3; round += 1) {
      expect(pair.credit).toBe(SHORT_WINDOW_BYTES);
      pair.send(pair.credit);
      pair.window.consume(pair.window.buffered);
    }
  }
  checkAll(budget, [...stuck, ...others]);
});

test("2,000 streams that wait for their first byte all have a window", () => {
  const budget = new GrantBudget();
  const pairs = Array.from({ length: MAX_STREAMS_PER_LINK }, () => new Pair(budget));
  expect(Math.min(...pairs.map(({ credit }) => credit))).toBe(SHORT_WINDOW_BYTES);
  checkAll(budget, pairs);
});

test("a large window is let run down when the sum is short, and grows again when it is ample", () => {
  const budget = new GrantBudget();
  const large = new Pair(budget);
  for (let round = 0; round < 4; round += 1) {
    large.send(large.credit);
    large.window.consume(large.window.buffered);
  }
  const others: Pair[] = [];
  while (budget.spare > 0)
    others.push(new Pair(budget, Math.min(INITIAL_WINDOW_BYTES, budget.spare)));
  // What it holds has room for others only once it is used up.
  for (let bytes = 0; bytes < 2 * MAX_WINDOW_BYTES; bytes += 4096) {
    large.send(Math.min(4096, large.credit));
    large.window.consume(large.window.buffered);
    others.push(new Pair(budget, Math.min(4096, budget.spare)));
  }
  expect(large.credit).toBeLessThanOrEqual(SHORT_WINDOW_BYTES);
  for (const { window } of others) window.discard();
  for (let round = 0; round < 8; round += 1) {
    large.send(large.credit);
    large.window.consume(large.window.buffered);
  }
  expect(large.credit).toBe(MAX_WINDOW_BYTES);
});

test("a window that starts with nothing gets a short one when it asks", () => {
  const budget = new GrantBudget();
  const pair = new Pair(budget, 0);
  pair.window.replenish();
  expect(pair.credit).toBeGreaterThanOrEqual(SHORT_WINDOW_BYTES);
});
