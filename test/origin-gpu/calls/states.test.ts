import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type CallEvent,
  callProgress,
  type CallState,
  callStatus,
  isEnded,
  transition,
} from "../../../origin-gpu/calls/states.ts";

const STATES: CallState[] = [
  "receiving",
  "queued",
  "running",
  "retrying",
  "responding",
  "complete",
  "failed",
  "cancelled",
  "lost",
  "not_started",
  "expired",
];
const EVENTS: CallEvent[] = [
  "body_received",
  "started",
  "requeued",
  "retried",
  "answered",
  "completed",
  "failed",
  "cancelled",
  "lost",
  "not_started",
  "expired",
];

/** Every legal transition, written out; all others are illegal. */
const LEGAL: Record<string, CallState> = {
  "receiving body_received": "queued",
  "receiving started": "running",
  "receiving failed": "failed",
  "receiving cancelled": "cancelled",
  "receiving lost": "lost",
  "receiving not_started": "not_started",
  "queued started": "running",
  "queued failed": "failed",
  "queued cancelled": "cancelled",
  "queued lost": "lost",
  "queued not_started": "not_started",
  "running body_received": "running",
  "running requeued": "queued",
  "running retried": "retrying",
  "running answered": "responding",
  "running failed": "failed",
  "running cancelled": "cancelled",
  "running lost": "lost",
  "retrying body_received": "retrying",
  "retrying started": "running",
  "retrying failed": "failed",
  "retrying cancelled": "cancelled",
  "retrying lost": "lost",
  "responding body_received": "responding",
  "responding completed": "complete",
  "responding failed": "failed",
  "responding cancelled": "cancelled",
  "responding lost": "lost",
  "complete expired": "expired",
  "failed expired": "expired",
  "cancelled expired": "expired",
  "lost expired": "expired",
  "not_started expired": "expired",
};

describe("the life of a call", () => {
  it.each(STATES.flatMap((state) => EVENTS.map((event) => [state, event] as const)))(
    "%s, then %s",
    (state, event) => {
      expect(transition(state, event)).toBe(LEGAL[`${state} ${event}`] ?? "illegal");
    },
  );

  /** The states that a history leads through; what is illegal changes nothing. */
  function live(events: CallEvent[]): CallState[] {
    const states: CallState[] = ["receiving"];
    for (const event of events) {
      const next = transition(states.at(-1) as CallState, event);
      if (next !== "illegal") states.push(next);
    }
    return states;
  }

  const histories = fc.array(fc.constantFrom(...EVENTS), { maxLength: 30, size: "max" });

  it("starts once, unless its start is withdrawn or it is run again", () => {
    fc.assert(
      fc.property(histories, (events) => {
        const again = new Set<CallEvent>(["requeued", "retried"]);
        const states = live(events.filter((event) => !again.has(event)));
        const starts = states.filter((state, index) => {
          return state === "running" && states[index - 1] !== "running";
        });
        expect(starts.length).toBeLessThanOrEqual(1);
      }),
    );
  });

  it("came further than to the queue once it has started, and may run anew only before", () => {
    fc.assert(
      fc.property(histories, (events) => {
        const states = live(events);
        for (const [index, state] of states.entries()) {
          if (state !== "running") continue;
          const after = states[index + 1];
          if (after === "queued" || after === undefined) continue;
          expect(callProgress(after)).not.toBe("not_sent");
        }
      }),
    );
  });

  it("ends once, and then can only expire", () => {
    fc.assert(
      fc.property(histories, (events) => {
        const states = live(events);
        const ended = states.filter(isEnded);
        expect(ended.length).toBeLessThanOrEqual(2);
        if (ended.length === 2) expect(ended[1]).toBe("expired");
      }),
    );
  });

  it("can end from wherever it is", () => {
    for (const state of STATES) {
      if (isEnded(state)) continue;
      for (const event of ["failed", "cancelled", "lost"] as const) {
        expect(isEnded(transition(state, event) as CallState)).toBe(true);
      }
    }
    expect(STATES.filter(isEnded)).toEqual([
      "complete",
      "failed",
      "cancelled",
      "lost",
      "not_started",
      "expired",
    ]);
  });
});

describe("the status that users see", () => {
  it.each([
    ["receiving", undefined, "pending"],
    ["queued", undefined, "pending"],
    ["running", undefined, "running"],
    ["responding", undefined, "running"],
    ["complete", undefined, "success"],
    ["failed", undefined, "failure"],
    ["failed", "origin_error", "failure"],
    ["failed", "call_timeout", "timeout"],
    ["failed", "startup_timeout", "init_failure"],
    ["failed", "starting_failed", "init_failure"],
    ["failed", "call_lost", "lost"],
    ["cancelled", undefined, "terminated"],
    ["lost", undefined, "lost"],
    ["not_started", undefined, "init_failure"],
  ] as const)("of a call that is %s (%s) is %s", (state, failure, status) => {
    expect(callStatus(state, failure)).toBe(status);
  });
});
