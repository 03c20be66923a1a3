/** `--budget`: how much a token may use in a day. */
import { MAX_DAILY_BUDGET } from "../api/limits.ts";
import { UsageError } from "./failure.ts";

/** The API's fields. Null: no limit. */
export interface BudgetFields {
  daily_requests?: number | null;
  daily_container_seconds?: number | null;
}

const FIELDS = { req: "daily_requests", s: "daily_container_seconds" } as const;

/**
 * Reads `1000req/day`, `3600s/day`, both with a comma between, or `none`. The other part is without a limit.
 * @throws {UsageError}
 */
export function budgetIn(text: string): BudgetFields {
  const fields: BudgetFields = { daily_requests: null, daily_container_seconds: null };
  if (text === "none") return fields;
  for (const part of text.split(",")) {
    const [, count = "", unit = ""] = /^([1-9]\d{0,11})(req|s)\/day$/.exec(part) ?? [];
    const field = FIELDS[unit as keyof typeof FIELDS];
    if (field === undefined || fields[field] !== null || Number(count) > MAX_DAILY_BUDGET) {
      throw new UsageError(
        `--budget: "${text}" is not requests or seconds a day, e.g. 1000req/day or 3600s/day`,
      );
    }
    fields[field] = Number(count);
  }
  return fields;
}

/** The form of `--budget`. */
export function budgetText(token: {
  readonly daily_requests: number | null;
  readonly daily_container_seconds: number | null;
}): string {
  const { daily_requests: requests, daily_container_seconds: seconds } = token;
  const parts = [
    ...(requests === null ? [] : [`${requests}req/day`]),
    ...(seconds === null ? [] : [`${seconds}s/day`]),
  ];
  return parts.join(",") || "none";
}
