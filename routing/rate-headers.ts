/** Tells a refused client of a rate limit, in the fields of draft-ietf-httpapi-ratelimit-headers-10. Pure. */
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
  return [
    "ratelimit-policy",
    `"${policy}";q=${quota};w=${windowS}`,
    "ratelimit",
    `"${policy}";r=0;t=${Math.max(1, Math.ceil(waitMs / 1000))}`,
  ];
}
