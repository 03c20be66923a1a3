/**
 * `Meter` has the tokens of a workspace's rate limits, and leases them to isolates (`routing/rate-leases.ts`). Of these it
 * keeps nothing in storage: one that the platform ended for want of questions would have been full by then, and one that
 * broke begins full. That lets through one burst more, once. Budgets it leases too (`routing/budgets.ts`), and what has
 * been used of them is in its database before an isolate hears of it.
 */
import { DurableObject } from "cloudflare:workers";
import { type BudgetAnswer, budgetAnswer, dayOf } from "../../../routing/budgets.ts";
import { type LeaseGrant, RateLeases } from "../../../routing/rate-leases.ts";
import { parseRate } from "../../../routing/wire/rate.ts";
import type { Env } from "../../contracts/env.ts";
import type {
  BudgetQuestion,
  DailyUsage,
  MeterQuestion,
  MeterRpc,
  RefusedRow,
  UsageNote,
  UsagePageRequest,
} from "../../contracts/meter.ts";
import type { Page } from "../../contracts/workspace/pages.ts";
import { Ledger } from "./ledger.ts";

/** Limits that are remembered; then those that are full are forgotten. */
const MAX_LIMITS = 1_000;

export class Meter extends DurableObject<Env> implements MeterRpc {
  readonly #limits = new Map<string, { readonly rate: string; readonly leases: RateLeases }>();
  #opened: Ledger | undefined;

  lease(isolate: string, { limit, rate, request }: MeterQuestion): LeaseGrant {
    const now = Date.now();
    const known = this.#limits.get(limit);
    if (known?.rate === rate) return known.leases.lease(isolate, request, now);
    const parsed = parseRate(rate);
    if (parsed === undefined) throw new Error(`not a rate: ${rate}`);
    if (this.#limits.size >= MAX_LIMITS) this.#forgetFull(now);
    // Other settings begin a limit anew. Isolates that still have the old ones agree within 5 s.
    const leases = new RateLeases(parsed, now);
    this.#limits.set(limit, { rate, leases });
    return leases.lease(isolate, request, now);
  }

  leaseBudget({ token, budget, wanted }: BudgetQuestion): BudgetAnswer {
    const now = Date.now();
    const answer = budgetAnswer(budget, this.#ledger.usedOf(token, dayOf(now)), wanted, now);
    // Where requests have no limit, the lease is infinite.
    if (answer.kind === "granted" && budget.requests !== undefined) {
      this.#ledger.addRequests(token, answer.requests, now);
    }
    return answer;
  }

  noteUsage(note: UsageNote): void {
    this.#ledger.addUsage(note, Date.now());
  }

  noteRefusals(rows: readonly RefusedRow[]): void {
    this.#ledger.addRefusals(rows, Date.now());
  }

  listUsage(page: UsagePageRequest): Page<DailyUsage> {
    return this.#ledger.list(page);
  }

  /** A workspace whose tokens nobody uses has no database. */
  get #ledger(): Ledger {
    this.#opened ??= new Ledger(this.ctx.storage);
    return this.#opened;
  }

  #forgetFull(now: number): void {
    for (const [limit, { leases }] of this.#limits) {
      if (leases.isFull(now)) this.#limits.delete(limit);
    }
  }
}
