/** `--budget`: how much a token may use in a day. */
import { MAX_DAILY_REQUESTS } from "../api/limits.ts";
import { UsageError } from "./failure.ts";

/** The API's fields. */
export interface BudgetFields {
  daily_requests?: number;
}

/** Reads `1000req/day`. @throws {UsageError} */
export function budgetIn(text: string | undefined): BudgetFields {
  if (text === undefined) return {};
  const [, count] = /^([1-9]\d{0,11})req\/day$/.exec(text) ?? [];
  if (count === undefined || Number(count) > MAX_DAILY_REQUESTS) {
    throw new UsageError(`--budget: "${text}" is not requests a day, e.g. 1000req/day`);
  }
  return { daily_requests: Number(count) };
}

/** The form of `--budget`; "none" without one. */
export function budgetText({
  daily_requests: requests,
}: {
  daily_requests: number | null;
}): string {
  return requests === null ? "none" : `${requests}req/day`;
}
