/**
 * A rate limit over many isolates: one isolate's side (`routing/rate-leases.ts` has the tokens). A request takes a token
 * of the lease. The isolate asks for more when half of them are gone, before a request has to wait for the answer. An
 * isolate without a lease lets a few requests through on credit, so that a rare request waits for nothing either.
 */
import type { Rate } from "./wire/rate.ts";
import { creditOf, LEASE_MS, type LeaseGrant, type LeaseRequest } from "./rate-leases.ts";
import { SteadyTime } from "./steady-time.ts";

/** An isolate that can't ask holds the rate alone, second by second. */
const ALONE_MS = 1_000;

export type Taken =
  /** `asks`: the caller is to ask for more, behind the request. */
  | { readonly kind: "taken"; readonly asks: boolean }
  | { readonly kind: "refused"; readonly waitMs: number }
  /** Nothing is left, and more may be had: the caller asks, or waits for who does. */
  | { readonly kind: "empty" };

export class LeasedTokens {
  readonly rate: Rate;
  #tokens = 0;
  /** Until when they may be used, in milliseconds of the epoch. */
  #endsAt = 0;
  /** Tokens that were left when their lease ended. */
  #returned = 0;
  #owed = 0;
  /** Below so many tokens the isolate asks. */
  #low = 0;
  /** No question before. */
  #askAt = 0;
  /** Not since it got less than it wanted: then the limit is near. */
  #hasCredit = true;
  #isAsking = false;
  /** Requests since the last question, refused ones too, and when that was. */
  #requests = 0;
  #askedAt: number;
  /** A clock that is set back neither lengthens a lease nor a pause. */
  readonly #time = new SteadyTime();

  /** @param clockMs milliseconds of the epoch */
  constructor(rate: Rate, clockMs: number) {
    this.rate = rate;
    this.#askedAt = this.#time.at(clockMs);
  }

  get isAsking(): boolean {
    return this.#isAsking;
  }

  /** Takes a token for a request. */
  take(clockMs: number): Taken {
    const now = this.#time.at(clockMs);
    this.#requests += 1;
    this.#expire(now);
    const mayAsk = !this.#isAsking && now >= this.#askAt;
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return { kind: "taken", asks: mayAsk && this.#tokens < this.#low };
    }
    if (now < this.#askAt) return { kind: "refused", waitMs: this.#askAt - now };
    if (this.#hasCredit && this.#owed < creditOf(this.rate)) {
      this.#owed += 1;
      return { kind: "taken", asks: mayAsk };
    }
    // The one that waits counts once, when it takes.
    this.#requests -= 1;
    return { kind: "empty" };
  }

  /** Returns a token whose request was refused for another reason. */
  putBack(): void {
    this.#tokens += 1;
  }

  /** The question of `asks` or `empty`. The caller reports the answer, or that none came. */
  ask(clockMs: number): LeaseRequest {
    const now = this.#time.at(clockMs);
    this.#expire(now);
    this.#isAsking = true;
    // As many as a lease's time needs, at the pace since the last question.
    const seconds = Math.max(0.1, (now - this.#askedAt) / 1000);
    const needs = Math.ceil((this.#requests / seconds) * (LEASE_MS / 1000));
    const most = Math.max(1, Math.ceil(this.rate.burst / 4));
    const wanted = Math.max(1, Math.min(needs, most) - this.#tokens);
    this.#requests = 0;
    this.#askedAt = now;
    return { wanted, kept: this.#tokens, returned: this.#returned, owed: this.#owed };
  }

  /** @param request the question that was answered */
  granted(request: LeaseRequest, { tokens, pauseMs }: LeaseGrant, clockMs: number): void {
    const now = this.#time.at(clockMs);
    this.#expire(now);
    this.#returned -= request.returned;
    this.#owed -= request.owed;
    this.#tokens += tokens;
    this.#endsAt = this.#askedAt + LEASE_MS;
    this.#low = tokens / 2;
    this.#askAt = now + pauseMs;
    this.#hasCredit = tokens === request.wanted;
    this.#isAsking = false;
  }

  /** No answer came: a limit that can't be looked up ends no service. */
  failed(clockMs: number): void {
    const now = this.#time.at(clockMs);
    this.#tokens = Math.max(1, Math.floor(this.rate.perSecond * (ALONE_MS / 1000)));
    this.#endsAt = now + ALONE_MS;
    this.#returned = 0;
    this.#low = 0;
    this.#askAt = now + ALONE_MS;
    this.#hasCredit = false;
    this.#isAsking = false;
  }

  #expire(now: number): void {
    if (now < this.#endsAt) return;
    this.#returned += this.#tokens;
    this.#tokens = 0;
  }
}
