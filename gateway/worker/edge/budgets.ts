/**
 * The budget that a proxy token has for a day, judged after its authorization. The workspace's `Meter` counts, and leases requests
 * to isolates, so that most requests ask nobody. A token without a budget costs nothing. Unlike a rate, a budget
 * that can't be looked up lets nothing through: it is somebody's money.
 */
import type { TokenLimits } from "../../../auth/proxy-authorization.ts";
import type { Budget, BudgetAnswer, BudgetPart } from "../../../routing/budgets.ts";
import { LeasedBudget, type TakenOfBudget } from "../../../routing/leased-budget.ts";
import type { Env } from "../../contracts/env.ts";
import { meterStub } from "../../contracts/stubs.ts";
import type { AdmittedToken } from "./admission.ts";
import { withinWait } from "./snapshot-cache.ts";

/** Budgets that an isolate remembers; then it starts over, and what it had on lease is lost. */
const MAX_BUDGETS = 10_000;

/** How long a request waits for a lease, and how often it looks for one that another request asked for. */
const WAIT_MS = 2_000;
const POLL_MS = 2;

/** Why a token's request is refused. */
export type BudgetRefusal =
  | {
      readonly kind: "spent";
      readonly part: BudgetPart;
      /** The budget of a day. */
      readonly quota: number;
      /** Until the day ends. */
      readonly waitMs: number;
    }
  | { readonly kind: "unavailable" };

const UNAVAILABLE: BudgetRefusal = { kind: "unavailable" };

/** By workspace and token. */
const leases = new Map<string, LeasedBudget>();

/** Counts a request of a token; returns why it may not pass. */
export function passBudget(
  env: Env,
  execution: ExecutionContext,
  workspace: string,
  { id, limits }: AdmittedToken,
): BudgetRefusal | undefined | Promise<BudgetRefusal | undefined> {
  const { dailyRequests, dailyContainerSeconds } = limits;
  if (dailyRequests === undefined && dailyContainerSeconds === undefined) return undefined;
  const lease = leaseOf(workspace, id, limits);
  const taken = lease.take(Date.now());
  if (taken.kind === "empty") return passEmpty(env, execution, workspace, id, lease);
  if (taken.kind === "taken" && taken.asks) execution.waitUntil(ask(env, workspace, id, lease));
  return refusalOf(lease, taken);
}

/** A request may not use what belongs to another one, so it looks for the answer that another one waits for. */
async function passEmpty(
  env: Env,
  execution: ExecutionContext,
  workspace: string,
  token: string,
  lease: LeasedBudget,
): Promise<BudgetRefusal | undefined> {
  const until = Date.now() + WAIT_MS;
  while (Date.now() < until) {
    if (lease.isAsking) {
      await scheduler.wait(POLL_MS);
    } else {
      const asked = ask(env, workspace, token, lease);
      // The answer is for all requests: it comes even where this one's client leaves.
      execution.waitUntil(asked);
      if (!(await asked)) return UNAVAILABLE;
    }
    const taken = lease.take(Date.now());
    if (taken.kind !== "empty") return refusalOf(lease, taken);
  }
  return UNAVAILABLE;
}

/** @returns whether the meter answered */
async function ask(
  env: Env,
  workspace: string,
  token: string,
  lease: LeasedBudget,
): Promise<boolean> {
  const wanted = lease.ask(Date.now());
  const question = { token, budget: lease.budget, wanted };
  const asked = meterStub(env, workspace).leaseBudget(question);
  const answer = await withinWait<BudgetAnswer>(asked);
  if (answer === "late") lease.failed();
  else lease.answered(answer, Date.now());
  return answer !== "late";
}

function refusalOf(
  { budget }: LeasedBudget,
  taken: Exclude<TakenOfBudget, { kind: "empty" }>,
): BudgetRefusal | undefined {
  if (taken.kind === "taken") return undefined;
  const { part, waitMs } = taken;
  const { requests = 0, containerSeconds = 0 } = budget;
  return { kind: "spent", part, quota: part === "requests" ? requests : containerSeconds, waitMs };
}

/** The lease that goes by the token's present budget. */
function leaseOf(
  workspace: string,
  token: string,
  { dailyRequests: requests, dailyContainerSeconds: containerSeconds }: TokenLimits,
): LeasedBudget {
  const key = `${workspace}/${token}`;
  const known = leases.get(key);
  if (known !== undefined && isSame(known.budget, { requests, containerSeconds })) return known;
  if (leases.size >= MAX_BUDGETS) leases.clear();
  const budget = { requests, containerSeconds };
  const lease = new LeasedBudget(budget, Date.now());
  leases.set(key, lease);
  return lease;
}

function isSame(one: Budget, other: Budget): boolean {
  return one.requests === other.requests && one.containerSeconds === other.containerSeconds;
}
