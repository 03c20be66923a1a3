/** Tells a refused client of a rate limit or a budget, in the fields of draft-ietf-httpapi-ratelimit-headers-10. Pure. */
import { DAY_S } from "../base/units.ts";
import type { BudgetPart } from "./budgets.ts";
import type { Rate } from "./wire/rate.ts";

/**
 * Names in lower case and values in turn.
 * @param policy the limit's name, of letters alone
 * @param waitMs until a request may pass
 */
export function rateHeaders(policy: string, rate: Rate, waitMs: number): string[] {
  // Quotas and windows are whole numbers there, and a quota is 1 at least.
  const windowS = Math.max(1, Math.ceil(rate.windowS));
  const quota = Math.max(1, Math.floor(rate.perSecond * windowS));
  return limitHeaders(policy, `q=${quota};w=${windowS}`, waitMs);
}

/**
 * The same of a budget that is spent.
 * @param quota of a day
 * @param waitMs until the day ends
 */
export function budgetHeaders(part: BudgetPart, quota: number, waitMs: number): string[] {
  const unit = part === "requests" ? "" : `;qu="${part}"`;
  return limitHeaders(`token-${part}`, `q=${quota};w=${DAY_S}${unit}`, waitMs);
}

function limitHeaders(policy: string, parameters: string, waitMs: number): string[] {
  return [
    "ratelimit-policy",
    `"${policy}";${parameters}`,
    "ratelimit",
    `"${policy}";r=0;t=${Math.max(1, Math.ceil(waitMs / 1000))}`,
  ];
}
