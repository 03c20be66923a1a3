/** How many objects of each kind one workspace may have. */
export const MAX_BOXES = 1_000;
export const MAX_ENVIRONMENTS = 1_500;

/** Tokens of each kind. The edge holds a workspace's proxy tokens in memory. */
export const MAX_TOKENS = 1_000;

/** A budget's requests, and its container-seconds, of a day: a million in each second. */
export const MAX_DAILY_BUDGET = 100_000_000_000;

/** Calls of a token at a time. */
export const MAX_CONCURRENT = 1_000_000;

/** Custom domains. DNS is asked about each at intervals. */
export const MAX_DOMAINS = 100;
