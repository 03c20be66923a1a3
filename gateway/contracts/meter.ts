/** The methods of `Meter`, by which an isolate takes tokens of a workspace's rate limits, and of its tokens' budgets. */
import type { Budget, BudgetAnswer } from "../../routing/budgets.ts";
import type { UsageBatch, UsageRow } from "../../routing/wire/usage.ts";
import type { Page, PageRequest } from "./workspace/pages.ts";
import type { LeaseGrant, LeaseRequest } from "../../routing/rate-leases.ts";

/** One limit's question. */
export interface MeterQuestion {
  /** Of the workspace (`workspace`), or of one of its endpoints or tokens. */
  readonly limit: string;
  /** As its setting writes it. */
  readonly rate: string;
  readonly request: LeaseRequest;
}

/** How many requests an isolate would like of a token's budget. */
export interface BudgetQuestion {
  readonly token: string;
  readonly budget: Budget;
  readonly wanted: number;
}

/** The use of a box by tokens, as one agent process reports it. */
export interface UsageNote extends UsageBatch {
  readonly box: string;
  readonly incarnation: string;
}

/** Requests that limits have refused. */
export interface RefusedRow {
  /** `-` where it was refused before its token was read. */
  readonly token: string;
  readonly endpoint: string;
  readonly refused: number;
}

/** The use of an endpoint by a token, on a day. */
export interface DailyUsage extends UsageRow, RefusedRow {
  /** Days since 1970. */
  readonly day: number;
}

export interface UsagePageRequest extends PageRequest {
  /** The first day, in days since 1970. */
  readonly since: number;
  /** Undefined: of all tokens. */
  readonly token?: string | undefined;
}

export interface MeterRpc extends Rpc.DurableObjectBranded {
  /** @param isolate a random name */
  lease(isolate: string, question: MeterQuestion): LeaseGrant;
  /** Requests that it grants count as used. */
  leaseBudget(question: BudgetQuestion): BudgetAnswer;
  /** Counts a batch, unless it was counted before. */
  noteUsage(note: UsageNote): void;
  noteRefusals(rows: readonly RefusedRow[]): void;
  listUsage(page: UsagePageRequest): Page<DailyUsage>;
}
