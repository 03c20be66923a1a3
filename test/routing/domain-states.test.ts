import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  DOMAIN_EVIDENCE,
  DOMAIN_STATES,
  DOMAIN_TIMES,
  type DomainEvidence,
  type DomainFacts,
  type DomainState,
  judgeDomain,
  PENDING_MS,
} from "../../routing/domain-states.ts";

const NOW = 1_000_000_000_000;
const { graceMs, intervalMs } = DOMAIN_TIMES;

function judged(facts: Partial<DomainFacts>, evidence: DomainEvidence, now = NOW) {
  const whole = { state: "pending" as const, createdAt: NOW, missingSince: null, ...facts };
  return judgeDomain(whole, evidence, now, DOMAIN_TIMES);
}

/** Each state and evidence, at once after it was added. */
const NEXT: Record<DomainState, Record<DomainEvidence, DomainState>> = {
  pending: { proved: "verified", missing: "pending", taken: "pending", unanswered: "pending" },
  verified: { proved: "verified", missing: "verified", taken: "lapsed", unanswered: "verified" },
  failed: { proved: "verified", missing: "failed", taken: "failed", unanswered: "failed" },
  lapsed: { proved: "verified", missing: "lapsed", taken: "lapsed", unanswered: "lapsed" },
};

describe("a domain's life", () => {
  const cases = DOMAIN_STATES.flatMap((state) =>
    DOMAIN_EVIDENCE.map((evidence) => [state, evidence, NEXT[state][evidence]] as const),
  );

  test.each(cases)("%s, and its proof is %s: %s", (state, evidence, next) => {
    expect(judged({ state }, evidence).state).toBe(next);
  });

  test("what is never proved fails when its time is over, one moment later and not before", () => {
    expect(judged({}, "missing", NOW + PENDING_MS - 1).state).toBe("pending");
    expect(judged({}, "missing", NOW + PENDING_MS)).toEqual({
      state: "failed",
      missingSince: null,
      checkAt: null,
    });
  });

  test("a proof that is gone lapses after the grace, counted from the first time that it was missed", () => {
    const first = judged({ state: "verified" }, "missing");
    expect(first.missingSince).toBe(NOW);
    const { missingSince } = first;
    const facts = { state: "verified" as const, missingSince };
    expect(judged(facts, "missing", NOW + graceMs - 1)).toMatchObject({
      state: "verified",
      missingSince: NOW,
    });
    expect(judged(facts, "missing", NOW + graceMs).state).toBe("lapsed");
    expect(judged(facts, "proved", NOW + graceMs)).toMatchObject({
      state: "verified",
      missingSince: null,
    });
  });

  test("a resolver that is down takes no domain away, however long", () => {
    const facts = { state: "verified" as const, missingSince: NOW };
    const verdict = judged(facts, "unanswered", NOW + 100 * graceMs);
    expect(verdict).toMatchObject({ state: "verified", missingSince: NOW });
  });

  test("a domain that moves has checks ahead; one that failed has none", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...DOMAIN_STATES),
        fc.constantFrom(...DOMAIN_EVIDENCE),
        fc.nat(10 * graceMs),
        fc.option(fc.nat(10 * graceMs)),
        (state, evidence, age, missing) => {
          const missingSince = state === "verified" && missing !== null ? NOW - missing : null;
          const verdict = judged({ state, createdAt: NOW - age, missingSince }, evidence);
          if (verdict.state === "failed") expect(verdict.checkAt).toBeNull();
          else {
            expect(verdict.checkAt).toBeGreaterThan(NOW);
            expect(verdict.checkAt).toBeLessThanOrEqual(NOW + intervalMs);
          }
          if (verdict.state !== "verified") expect(verdict.missingSince).toBeNull();
          // Only a proof makes a domain serve.
          if (state !== "verified" && evidence !== "proved")
            expect(verdict.state).not.toBe("verified");
        },
      ),
    );
  });

  test("short times of a test hold for every check of what was verified", () => {
    const times = { intervalMs: 50, graceMs: 200 };
    for (const evidence of DOMAIN_EVIDENCE) {
      const facts = { state: "verified" as const, createdAt: 0, missingSince: null };
      expect(judgeDomain(facts, evidence, NOW, times).checkAt).toBe(NOW + 50);
    }
  });
});
