/**
 * The life of a custom domain, as one table: what each answer of DNS makes of its state, and when DNS is asked again.
 * Pure: the time is an argument, in milliseconds of the epoch.
 *
 * Only a verified domain serves. An answer that DNS does not give changes no state: a resolver that is down takes no
 * domain away.
 */
import { HOUR_MS, MINUTE_MS } from "../base/units.ts";

/**
 * `pending`: added, and never proved. `verified`: proved, and it serves. `failed`: not proved in time, so that only its
 * owner asks again. `lapsed`: it was verified, and the proof has gone.
 */
export const DOMAIN_STATES = ["pending", "verified", "failed", "lapsed"] as const;

export type DomainState = (typeof DOMAIN_STATES)[number];

/**
 * `proved`: the record is there, and the claim is the workspace's. `missing`: DNS has no such record. `taken`: the
 * record is there, and another workspace has proved the domain since. `unanswered`: DNS gave no answer.
 */
export const DOMAIN_EVIDENCE = ["proved", "missing", "taken", "unanswered"] as const;

export type DomainEvidence = (typeof DOMAIN_EVIDENCE)[number];

export interface DomainTimes {
  /** Between two questions about a verified or lapsed domain. */
  readonly intervalMs: number;
  /** For how long the proof of a verified domain may be gone. */
  readonly graceMs: number;
}

/** Four questions a day notice a domain that was sold; three days forgive a zone that was moved carelessly. */
export const DOMAIN_TIMES: DomainTimes = { intervalMs: 6 * HOUR_MS, graceMs: 72 * HOUR_MS };

/** A domain that is added and not proved for so long has failed. */
export const PENDING_MS = 72 * HOUR_MS;

/** A pending domain is asked about after half of its age, within these bounds. */
const FIRST_PAUSE_MS = MINUTE_MS;
const LONGEST_PAUSE_MS = HOUR_MS;

/** While a verified domain's proof is gone or DNS gives no answer. */
const RETRY_MS = 10 * MINUTE_MS;

export interface DomainFacts {
  readonly state: DomainState;
  readonly createdAt: number;
  /** When DNS first said that the proof of a verified domain is gone; null while it is there. */
  readonly missingSince: number | null;
}

export interface DomainVerdict {
  readonly state: DomainState;
  readonly missingSince: number | null;
  /** When DNS is asked again; null: only when the owner wants it. */
  readonly checkAt: number | null;
}

/** Judges a domain by an answer of DNS. */
export function judgeDomain(
  facts: DomainFacts,
  evidence: DomainEvidence,
  now: number,
  times: DomainTimes,
): DomainVerdict {
  const state = TABLE[facts.state][evidence](facts, now, times);
  return {
    state,
    missingSince: state === "verified" ? goneSince(facts, evidence, now) : null,
    checkAt: checkAt(state, evidence, facts, now, times),
  };
}

/** An answer that did not come says nothing of the proof. */
function goneSince(
  { missingSince }: DomainFacts,
  evidence: DomainEvidence,
  now: number,
): number | null {
  if (evidence === "proved") return null;
  return evidence === "unanswered" ? missingSince : (missingSince ?? now);
}

type Rule = (facts: DomainFacts, now: number, times: DomainTimes) => DomainState;

const verified: Rule = () => "verified";
const lapsed: Rule = () => "lapsed";
const same: Rule = ({ state }) => state;
const pendingInTime: Rule = ({ createdAt }, now) =>
  now - createdAt < PENDING_MS ? "pending" : "failed";
const verifiedInGrace: Rule = ({ missingSince }, now, { graceMs }) =>
  missingSince === null || now - missingSince < graceMs ? "verified" : "lapsed";

const TABLE: Readonly<Record<DomainState, Readonly<Record<DomainEvidence, Rule>>>> = {
  pending: {
    proved: verified,
    missing: pendingInTime,
    taken: pendingInTime,
    unanswered: pendingInTime,
  },
  verified: { proved: verified, missing: verifiedInGrace, taken: lapsed, unanswered: same },
  failed: { proved: verified, missing: same, taken: same, unanswered: same },
  lapsed: { proved: verified, missing: same, taken: same, unanswered: same },
};

function checkAt(
  state: DomainState,
  evidence: DomainEvidence,
  { createdAt }: DomainFacts,
  now: number,
  { intervalMs }: DomainTimes,
): number | null {
  if (state === "failed") return null;
  if (state === "pending") return now + pauseOf(now - createdAt);
  if (evidence === "proved" || state === "lapsed") return now + intervalMs;
  return now + Math.min(RETRY_MS, intervalMs);
}

function pauseOf(ageMs: number): number {
  return Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, ageMs / 2));
}
