import fc from "fast-check";
import { expect, test } from "vitest";
import {
  FAILURES_OF_A_HUNG_CONTAINER,
  type HealthAnswer,
  WELL,
  afterQuestion,
  isHung,
} from "../../../origin-gpu/core/health.ts";

/** Asks every 10 s, each answered after 1 s; returns the number of the question that tells the container hung. */
function hungAt(answers: readonly HealthAnswer[], patienceMs = 0): number | undefined {
  let history = WELL;
  for (const [index, answer] of answers.entries()) {
    const askedAtMs = index * 10_000;
    const question = { answer, askedAtMs, nowMs: askedAtMs + 1_000, patienceMs };
    history = afterQuestion(history, question);
    if (isHung(history, question)) return index + 1;
  }
  return undefined;
}

test("three bad answers in a row are those of a hung container", () => {
  expect(hungAt(["unwell", "unwell", "unwell"])).toBe(3);
  expect(hungAt(["silent", "unwell", "silent"])).toBe(3);
});

test("a good answer in between forgives what was before", () => {
  expect(hungAt(["unwell", "unwell", "well", "silent", "silent", "well"])).toBeUndefined();
});

test("silence while it works on a call counts when the call's own limit is over", () => {
  const silent = Array<HealthAnswer>(40).fill("silent");
  // The 31st question is answered, or not, 301 s after the first one was asked.
  expect(hungAt(silent, 300_000)).toBe(31);
});

test("an answer that says so counts at once, whatever the container works on", () => {
  expect(hungAt(["silent", "silent", "unwell"], 300_000)).toBe(3);
});

test("no container is hung with fewer bad answers in a row than that", () => {
  const answer = fc.constantFrom<HealthAnswer>("well", "unwell", "silent");
  fc.assert(
    fc.property(
      fc.array(answer, { maxLength: 30, size: "max" }),
      fc.nat(60_000),
      (answers, patienceMs) => {
        const at = hungAt(answers, patienceMs);
        if (at === undefined) return;
        const last = answers.slice(Math.max(0, at - FAILURES_OF_A_HUNG_CONTAINER), at);
        expect(last).toHaveLength(FAILURES_OF_A_HUNG_CONTAINER);
        expect(last).not.toContain("well");
      },
    ),
  );
});
