/** The limits of a proxy token, as flags say them. */
import { isRate } from "../routing/wire/rate.ts";
import { type BudgetFields, budgetIn } from "./budget.ts";
import { UsageError } from "./failure.ts";

export const LIMIT_OPTIONS = {
  "rate-limit": {
    type: "string",
    value: "N/S",
    summary: "N requests a second, and S seconds of burst (none)",
  },
  budget: {
    type: "string",
    value: "Nreq/day,Ns/day",
    summary: "requests, and seconds of containers, a day by UTC; one or both (none)",
  },
  concurrent: {
    type: "string",
    value: "N",
    summary: "N of its calls at a time on each box, those that wait included (none)",
  },
  priority: {
    type: "string",
    value: "interactive|batch",
    summary: "batch: its calls wait for those of other tokens (interactive)",
  },
} as const;

/** A limit's flag that takes it away. */
const NO_LIMIT = "none";

/** The API's fields. Null: no limit. */
export interface LimitFields extends BudgetFields {
  rate_limit?: string | null;
  concurrent?: number | null;
  priority?: "interactive" | "batch";
}

/** Reads those flags that are there. @throws {UsageError} for a limit that can't be meant */
export function limitsIn(values: {
  readonly "rate-limit"?: string | undefined;
  readonly budget?: string | undefined;
  readonly concurrent?: string | undefined;
  readonly priority?: string | undefined;
}): LimitFields {
  const { "rate-limit": rate, budget, concurrent, priority } = values;
  if (rate !== undefined && rate !== NO_LIMIT && !isRate(rate)) {
    throw new UsageError(
      `--rate-limit: "${rate}" is not requests a second and seconds of burst, e.g. 5/10`,
    );
  }
  if (concurrent !== undefined && concurrent !== NO_LIMIT && !/^[1-9]\d{0,5}$/.test(concurrent)) {
    throw new UsageError(`--concurrent: "${concurrent}" is not a number of calls, 1 to 999999`);
  }
  if (priority !== undefined && priority !== "interactive" && priority !== "batch") {
    throw new UsageError(`--priority: "${priority}" is neither interactive nor batch`);
  }
  return {
    ...(rate !== undefined && { rate_limit: rate === NO_LIMIT ? null : rate }),
    ...(budget !== undefined && budgetIn(budget)),
    ...(concurrent !== undefined && {
      concurrent: concurrent === NO_LIMIT ? null : Number(concurrent),
    }),
    ...(priority !== undefined && { priority }),
  };
}
