/**
 * A rate limit over many isolates: the side that has the tokens (`gateway/objects/meter/`). Isolates take tokens in
 * batches, as leases, so that most requests ask nobody; `routing/leased-tokens.ts` is their side.
 *
 * Tokens on lease count as if they were still in the bucket, which fills no further than `burst` with them. So in any
 * time t all isolates together let through no more than `burst + perSecond * t`, and what they let through on credit
 * (`creditOf`), which the bucket has to earn again. The tokens of an isolate that vanishes count as spent. When its
 * lease has ended, the bucket fills in their place.
 */
import type { Rate } from "./wire/rate.ts";
import { SteadyTime } from "./steady-time.ts";

/** An isolate may use its tokens for so long from when it asked. */
export const LEASE_MS = 2_000;

/** The bucket waits longer, so that no isolate uses what has been given up. */
const LEASE_GRACE_MS = 1_000;

/** An isolate that got less than it wanted asks no earlier: a flood costs ten questions a second, however large. */
const MIN_PAUSE_MS = 100;

/** Isolates whose turn is remembered. With more of them chance decides who of the rest is next. */
const MAX_WAITING = 1_000;

/** The question of an isolate, and the fate of the tokens that it had. All of them are whole numbers. */
export interface LeaseRequest {
  /** Tokens that it would like, beyond those that it keeps. */
  readonly wanted: number;
  /** Tokens of its lease that it has, and goes on using. */
  readonly kept: number;
  /** Tokens of a lease that ended before they were used. */
  readonly returned: number;
  /** Requests that it let through on credit. */
  readonly owed: number;
}

export interface LeaseGrant {
  readonly tokens: number;
  /** Milliseconds until it may ask again; in between it refuses what its tokens do not suffice for. */
  readonly pauseMs: number;
}

/** Requests that an isolate may let through before its first answer: a hundredth of the burst. */
export function creditOf({ burst }: Rate): number {
  return Math.floor(burst / 100);
}

interface Lease {
  tokens: number;
  /** In milliseconds of the epoch. */
  readonly endsAt: number;
}

export class RateLeases {
  readonly rate: Rate;
  /** Tokens that nobody has; below 0 while credit is earned again. */
  #free: number;
  /** When the bucket had that many. */
  #at: number;
  readonly #leases = new Map<string, Lease>();
  /** Isolates that were refused, the one that waits longest first, and until when their turn is kept. */
  readonly #waiting = new Map<string, number>();
  /** A clock that is set back neither keeps the bucket from filling nor lengthens a lease. */
  readonly #time = new SteadyTime();

  /** @param clockMs milliseconds of the epoch */
  constructor(rate: Rate, clockMs: number) {
    this.rate = rate;
    this.#free = rate.burst;
    this.#at = this.#time.at(clockMs);
  }

  /** Whether it knows no more than a new one would. */
  isFull(clockMs: number): boolean {
    this.#advance(this.#time.at(clockMs));
    return this.#leases.size === 0 && this.#free >= this.rate.burst;
  }

  /** Gives an isolate tokens, as far as there are some and no other one has waited longer. */
  lease(isolate: string, request: LeaseRequest, clockMs: number): LeaseGrant {
    const now = this.#time.at(clockMs);
    this.#advance(now);
    const had = this.#leases.get(isolate)?.tokens ?? 0;
    this.#leases.delete(isolate);
    const kept = Math.min(request.kept, had);
    this.#free += Math.min(request.returned, had - kept) - request.owed;
    const ahead = this.#waitingBefore(isolate);
    const spare = this.#free - ahead;
    // Half of what is there: the rest is for the next one that asks.
    const tokens = spare < 1 ? 0 : Math.min(request.wanted, Math.max(1, Math.floor(spare / 2)));
    this.#free -= tokens;
    const endsAt = now + LEASE_MS + LEASE_GRACE_MS;
    if (kept + tokens > 0) this.#leases.set(isolate, { tokens: kept + tokens, endsAt });
    if (tokens > 0) {
      this.#waiting.delete(isolate);
      return { tokens, pauseMs: tokens < request.wanted ? MIN_PAUSE_MS : 0 };
    }
    const untilFreeMs = ((ahead + 1 - this.#free) * 1000) / this.rate.perSecond;
    const pauseMs = Math.max(MIN_PAUSE_MS, Math.ceil(untilFreeMs));
    if (this.#waiting.has(isolate) || this.#waiting.size < MAX_WAITING) {
      this.#waiting.set(isolate, now + pauseMs + LEASE_GRACE_MS);
    }
    return { tokens: 0, pauseMs };
  }

  /** How many isolates, whose turn is kept, have waited longer. */
  #waitingBefore(isolate: string): number {
    let before = 0;
    for (const waiting of this.#waiting.keys()) {
      if (waiting === isolate) return before;
      before += 1;
    }
    return before;
  }

  #advance(now: number): void {
    for (const [isolate, until] of this.#waiting) {
      if (until <= now) this.#waiting.delete(isolate);
    }
    // In the order of their ends: each makes room to fill from its end on, and no earlier.
    const ended = [...this.#leases].filter(([, { endsAt }]) => endsAt <= now);
    for (const [isolate, { endsAt }] of ended.toSorted(([, a], [, b]) => a.endsAt - b.endsAt)) {
      this.#fill(endsAt);
      this.#leases.delete(isolate);
    }
    this.#fill(now);
  }

  #fill(now: number): void {
    const elapsed = Math.max(0, now - this.#at);
    const { perSecond, burst } = this.rate;
    let room = burst;
    for (const { tokens } of this.#leases.values()) room -= tokens;
    this.#free = Math.min(room, this.#free + (elapsed * perSecond) / 1000);
    this.#at = Math.max(this.#at, now);
  }
}
