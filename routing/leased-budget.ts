/**
 * The budget of a token for a day (UTC), over many isolates: one isolate's side (`routing/budgets.ts` has the other). A
 * request takes one of the lease. The isolate asks for more when half of them are gone, before a request has to wait for
 * the answer. Of container-seconds it hears every few seconds whether some are left. Pure.
 */
import { SECOND_MS } from "../base/units.ts";
import type { Budget, BudgetAnswer, BudgetPart } from "./budgets.ts";
import { SteadyTime } from "./steady-time.ts";

/** A lease is for so long at the present pace. */
const LEASE_MS = 2 * SECOND_MS;

/** Requests of a shorter time say nothing about the pace: a token that is used seldom leases one or two. */
const MIN_PACE_MS = SECOND_MS;

/** Whether container-seconds are left is asked behind a request after so long, and before it after the second time. */
const FRESH_MS = 2 * SECOND_MS;
const USABLE_MS = 5 * SECOND_MS;

export type TakenOfBudget =
  /** `asks`: the caller is to ask for more, behind the request. */
  | { readonly kind: "taken"; readonly asks: boolean }
  | { readonly kind: "spent"; readonly part: BudgetPart; readonly waitMs: number }
  /** Nothing is left, and more may be had: the caller asks, or waits for who does. */
  | { readonly kind: "empty" };

export class LeasedBudget {
  readonly budget: Budget;
  #requests = 0;
  /** The day that they are of, and when it ends, in milliseconds of the epoch. */
  #day = -1;
  #dayEndsAt = 0;
  /** The part of the budget that is used up. */
  #spent: BudgetPart | undefined;
  /** Below so many requests the isolate asks. */
  #low = 0;
  #isAsking = false;
  /** Requests since the last question, and when that was. */
  #taken = 0;
  #askedAt: number;
  /** When the question was asked that was answered last. */
  #knownAt = Number.NEGATIVE_INFINITY;
  /** A clock that is set back lengthens no lease. */
  readonly #time = new SteadyTime();

  /** @param clockMs milliseconds of the epoch */
  constructor(budget: Budget, clockMs: number) {
    this.budget = budget;
    this.#askedAt = this.#time.at(clockMs);
  }

  get isAsking(): boolean {
    return this.#isAsking;
  }

  /** Takes a request. */
  take(clockMs: number): TakenOfBudget {
    const now = this.#time.at(clockMs);
    this.#endDay(now);
    const age = this.budget.containerSeconds === undefined ? 0 : now - this.#knownAt;
    if (this.#requests >= 1 && age < USABLE_MS) {
      this.#requests -= 1;
      this.#taken += 1;
      const isDue = this.#requests < this.#low || age >= FRESH_MS;
      return { kind: "taken", asks: isDue && !this.#isAsking && this.#spent === undefined };
    }
    if (this.#spent === undefined) return { kind: "empty" };
    return { kind: "spent", part: this.#spent, waitMs: this.#dayEndsAt - now };
  }

  /** The question of `asks` or `empty`: how many requests it wants. The caller reports the answer, or that none came. */
  ask(clockMs: number): number {
    const now = this.#time.at(clockMs);
    const seconds = Math.max(MIN_PACE_MS, now - this.#askedAt) / SECOND_MS;
    const wanted = Math.ceil((this.#taken / seconds) * (LEASE_MS / SECOND_MS));
    this.#taken = 0;
    this.#askedAt = now;
    this.#isAsking = true;
    return Math.max(1, wanted);
  }

  answered(answer: BudgetAnswer, clockMs: number): void {
    const now = this.#time.at(clockMs);
    this.#isAsking = false;
    this.#endDay(now);
    if (answer.day !== this.#day) this.#requests = 0;
    this.#day = answer.day;
    this.#knownAt = this.#askedAt;
    this.#dayEndsAt = this.#askedAt + answer.dayEndsInMs;
    if (answer.kind === "granted") {
      this.#spent = undefined;
      this.#requests += answer.requests;
      // A single one is leased for a request that waits: a small budget loses nothing with its isolate.
      this.#low = Math.floor(answer.requests / 2);
      return;
    }
    this.#spent = answer.part;
    // Requests on lease have been counted, and pass.
    if (answer.part === "container-seconds") this.#requests = 0;
  }

  /** No answer came. Its requests, if there were any, count as used. */
  failed(): void {
    this.#isAsking = false;
  }

  /** The next day begins without leases, and with all of the budget. */
  #endDay(now: number): void {
    if (now < this.#dayEndsAt) return;
    this.#requests = 0;
    this.#spent = undefined;
  }
}
