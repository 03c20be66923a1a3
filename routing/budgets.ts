/**
 * The budget of a token for a day (UTC), over many isolates: the side that knows what has been used
 * (`gateway/objects/meter/`). Isolates take requests in batches, as leases, so that most requests ask nobody;
 * `routing/leased-budget.ts` is their side. Pure.
 *
 * A lease counts as used from the moment that it is given, and is never returned. So no more requests pass than the
 * budget has, whatever isolate or object dies. A lease has at most a hundredth of the budget: the part of it that an
 * isolate has when it ends is lost for the day.
 */
import { DAY_MS } from "../base/units.ts";

/** A part that is absent has no limit. */
export interface Budget {
  readonly requests?: number | undefined;
  readonly containerSeconds?: number | undefined;
}

/** The two kinds of budget, as clients read them in a header. */
export type BudgetPart = "requests" | "container-seconds";

/** A token's use of a day. */
export interface Used {
  /** Those on lease included. */
  readonly requests: number;
  readonly containerSeconds: number;
}

/** The answer to an isolate that wants requests. */
export type BudgetAnswer = {
  /** Days since 1970. */
  readonly day: number;
  readonly dayEndsInMs: number;
} & (
  | {
      readonly kind: "granted";
      /** Infinity where the budget does not limit them. */
      readonly requests: number;
    }
  | { readonly kind: "spent"; readonly part: BudgetPart }
);

/** Of a budget's requests, at most so large a part is on one lease. */
const LEASE_PART = 1 / 100;

/** The day of a moment, in days since 1970. @param now milliseconds of the epoch */
export function dayOf(now: number): number {
  return Math.floor(now / DAY_MS);
}

/** Decides on an isolate's question. @param now milliseconds of the epoch, of the day whose use is given */
export function budgetAnswer(
  budget: Budget,
  used: Used,
  wanted: number,
  now: number,
): BudgetAnswer {
  const day = dayOf(now);
  const moment = { day, dayEndsInMs: (day + 1) * DAY_MS - now };
  const { requests: most = Infinity, containerSeconds: seconds = Infinity } = budget;
  if (used.containerSeconds >= seconds) {
    return { ...moment, kind: "spent", part: "container-seconds" };
  }
  if (used.requests >= most) return { ...moment, kind: "spent", part: "requests" };
  if (most === Infinity) return { ...moment, kind: "granted", requests: Infinity };
  const leased = Math.max(1, Math.min(wanted, Math.floor(most * LEASE_PART)));
  return { ...moment, kind: "granted", requests: Math.min(leased, most - used.requests) };
}
