/**
 * The GPUs, the GPU memory and the fixed ports of a box, and which container has them. Each has one owner, shares of one
 * card's memory included, and is free again only when `free` says that the owner's process is gone. Events come in as
 * method calls with the time, in milliseconds of any clock; each returns its effects, to be carried out in their order.
 * Pure: the agent (endpoints/) and the simulation drive the same code.
 *
 * The line. New versions that are being prepared come first, then the claim that has waited longest, and last those that
 * no call waits for. A claim at whose turn there is no room reserves the room that it will have (claim-planner.ts): small
 * claims behind it do not starve it. A pool that yielded has had its turn: calls that still wait there count from then.
 * Those that wait for one container alone do so when that one has yielded.
 *
 * Who yields: an idle holder, the one used least recently first. A busy one drains when its turn is over, which begins when
 * it is ready and a claim waits. The turn lasts for `patienceMs`, or as long as its load took; then until it has served its
 * callers that came before the turn, up to `mostPatienceMs`. So those that waited together are served together. A busy
 * holder drains only for a pool with fewer containers than its own has, or for calls that wait for one container alone:
 * to those its pool's other containers yield too. No holder yields while it loads, or within
 * `residencyMs` after that. One of a new version that is being prepared yields after `mostPatienceMs`, and to the version's
 * other endpoints at once. So with n pools in line, and containers that calls wait for alone, a claim waits at most n times
 * the sum of `mostPatienceMs`, the longest call and the longest load.
 *
 * A container that an earlier agent left running has what it had (`left`), and is counted as one that ends: it does so where
 * no pool adopts it. With `adopt` a pool's claim takes its place.
 *
 * Besides the events of claims, the box hears `leaving`, `stuck`, `slept` and `unpin` of holders: a plan counts on one
 * that ends anyway, and never on one that can't end. A container that sleeps gives its cards back, keeps its port, and
 * may want the same cards again. A pool that is granted a claim which it has withdrawn frees it. `want`, `withdraw` and
 * `free` of a claim in another state than they expect have no effect.
 */
import { isBlocked } from "./box-room.ts";
import { type BoxCard, type Card, isLost, type LostCard } from "./cards.ts";
import {
  type Holder,
  isBusy,
  isCandidate,
  needsNothing,
  newHolder,
  sleeperToEnd,
  type Waiter,
} from "./claim-entries.ts";
import { changesVerdict, countsByPool, judgeYield } from "./claim-judge.ts";
import { ClaimPlanner, couldFit, type JudgeYield, lostCardsFor } from "./claim-planner.ts";
import {
  ARBITRATION_LIMITS,
  type ArbitrationLimits,
  type BoxEffect,
  type Claim,
  type ClaimNeeds,
  type ClaimRequest,
  type ClaimUse,
  type YieldReason,
} from "./claims.ts";

/** Pools whose last turn is remembered; beyond it the oldest turns are forgotten. */
const MOST_TURNS = 10_000;

type BoxEffects = readonly BoxEffect[];

export class Box {
  readonly #limits: ArbitrationLimits;
  /** Undefined until they are known: claims of cards wait. */
  #cards: readonly Card[] | undefined;
  /** Those that are out, and may come back. */
  #lost: readonly LostCard[] = [];
  readonly #waiters = new Map<string, Waiter>();
  readonly #holders = new Map<string, Holder>();
  /** By pool, when it was last asked to yield to another one. */
  readonly #turns = new Map<string, number>();
  #wakeAtMs = Infinity;
  #effects: BoxEffect[] = [];
  /** Events are held until `settle`; whether one of them may have effects. */
  #held: { isNews: boolean } | undefined;

  /** @param cards those that work; without them `cards` says so later */
  constructor(cards?: readonly Card[], limits: ArbitrationLimits = ARBITRATION_LIMITS) {
    this.#cards = cards;
    this.#limits = limits;
  }

  /** The claim waits, or waits for other calls than before. A holder that sleeps asks by it for its cards. */
  want(claim: Claim, { needs, sinceMs, ...request }: ClaimRequest, nowMs: number): BoxEffects {
    const { id, pool } = claim;
    const { isAwaited = false } = request;
    const holder = this.#holders.get(id);
    if (holder !== undefined && (!holder.isAsleep || holder.isLeaving)) return [];
    if (needsNothing(needs)) return [{ type: "grant", claim: id, cards: [] }];
    if (this.#refuseImpossible(claim, needs)) return this.#settled(nowMs);
    const known = this.#waiters.get(id);
    const rollout = known?.rollout ?? holder?.rollout ?? request.rollout;
    // A new version is in line from when it wants.
    const askedMs = sinceMs ?? (rollout === undefined ? undefined : (known?.turnMs ?? nowMs));
    const isInAdvance = sinceMs === undefined;
    // Of other containers' turns those calls had nothing that wait for this one alone.
    const endedMs = isAwaited ? holder?.turnEndedMs : this.#turns.get(pool);
    const turnMs = askedMs === undefined ? undefined : Math.max(askedMs, endedMs ?? askedMs);
    if (known === undefined) {
      const ownCards = holder?.cards;
      const place = { turnMs, isInAdvance, isAwaited, rollout };
      const told = { isCardOut: false, isRoomAwaited: false };
      this.#waiters.set(id, { claim, needs, ...place, ...told, ownCards });
    } else {
      Object.assign(known, { turnMs, isInAdvance, isAwaited });
    }
    this.#tellOfLostCards();
    return this.#settled(nowMs);
  }

  /** An earlier agent left the container running. No other claim gets its share, until `adopt` or `free`. */
  left(claim: Claim, held: Pick<Holder, "needs" | "cards">, nowMs: number): BoxEffects {
    const holder = newHolder({ claim, ...held, rollout: undefined }, nowMs);
    this.#holders.set(claim.id, { ...holder, isLeaving: true });
    return this.#settled(nowMs);
  }

  /**
   * The claim has what the container `id` was left with.
   * @returns its grant; nothing where there is no such container
   */
  adopt(id: string, claim: Claim, { needs, rollout }: ClaimRequest, nowMs: number): BoxEffects {
    const left = this.#holders.get(id);
    if (left === undefined) return [];
    this.#holders.delete(id);
    const { cards } = left;
    this.#effects.push({ type: "grant", claim: claim.id, cards });
    this.#holders.set(claim.id, newHolder({ claim, needs, cards, rollout }, nowMs));
    if (this.#cards !== undefined) this.#askAboutLostCards();
    return this.#settled(nowMs);
  }

  /** No call waits for the claim any more, and it has not been granted. */
  withdraw(id: string, nowMs: number): BoxEffects {
    if (!this.#waiters.delete(id)) return [];
    return this.#settled(nowMs);
  }

  /** The holder is ready, and used so. Its pool tells each change. */
  used(id: string, { inFlight, oldestWaiterMs }: ClaimUse, nowMs: number): BoxEffects {
    const holder = this.#holders.get(id);
    if (holder === undefined || holder.isAsleep) return [];
    const wasBusy = isBusy(holder);
    const hadCalls = holder.inFlight > 0;
    const wasLoading = holder.usefulAtMs === undefined;
    const before = holder.oldestWaiterMs;
    holder.usefulAtMs ??= nowMs;
    holder.inFlight = inFlight;
    holder.oldestWaiterMs = oldestWaiterMs;
    const isChange = wasLoading || wasBusy !== isBusy(holder);
    if (isChange) holder.usedAtMs = nowMs;
    // Of a busy holder there is news with each call, and hardly any changes a verdict.
    const isEmptied = hadCalls && inFlight === 0;
    const isNews = isChange || isEmptied || changesVerdict(holder, before, this.#waiters.values());
    return isNews ? this.#settled(nowMs) : [];
  }

  /** The holder ends by itself: `free` follows. */
  leaving(id: string, nowMs: number): BoxEffects {
    const holder = this.#holders.get(id);
    if (holder === undefined || holder.isLeaving) return [];
    holder.isLeaving = true;
    this.#waiters.delete(id);
    return this.#settled(nowMs);
  }

  /** The holder's process can't be ended: what it has is out of reach until `free`. */
  stuck(id: string, nowMs: number): BoxEffects {
    const holder = this.#holders.get(id);
    if (holder === undefined || holder.isStuck) return [];
    holder.isStuck = true;
    return this.#settled(nowMs);
  }

  /** The holder's process has given its cards back and sleeps. It keeps its port. */
  slept(id: string, nowMs: number): BoxEffects {
    const holder = this.#holders.get(id);
    if (holder === undefined || holder.isAsleep) return [];
    const { claim, needs, cards, rollout, turnEndedMs } = holder;
    const asleep = newHolder({ claim, needs, cards, rollout }, nowMs);
    this.#holders.set(id, { ...asleep, isAsleep: true, turnEndedMs });
    this.#askAboutLostCards();
    return this.#settled(nowMs);
  }

  /** Whether a claim that came now would wait for containers in use. */
  isBlocked(needs: ClaimNeeds): boolean {
    return isBlocked(needs, this.#cards ?? [], this.#holders.values(), this.#line());
  }

  /** Whether a claim that came now would wait for a card that is out. */
  isCardOut(needs: ClaimNeeds): boolean {
    return this.#cards !== undefined && !couldFit(this.#cards, needs);
  }

  /** Whether a container sleeps. */
  get hasSleepers(): boolean {
    return [...this.#holders.values()].some(({ isAsleep }) => isAsleep);
  }

  /** The machine's memory is short: the container that has slept longest is to end. Its end may suffice. */
  memoryShort(nowMs: number): BoxEffects {
    const sleeper = sleeperToEnd([...this.#holders.values()], this.#waiters);
    if (sleeper !== undefined) this.#ask(sleeper, "memory_short");
    return this.#settled(nowMs);
  }

  /** The new version serves, or is given up: its claims are like any others, all of them at once. */
  unpin(ids: readonly string[], nowMs: number): BoxEffects {
    for (const id of ids) {
      const [waiter, holder] = [this.#waiters.get(id), this.#holders.get(id)];
      if (holder !== undefined) holder.rollout = undefined;
      if (waiter === undefined) continue;
      waiter.rollout = undefined;
      if (waiter.isInAdvance) waiter.turnMs = undefined;
    }
    return this.#settled(nowMs);
  }

  /** The holder's process is really gone, or the claim is given up. */
  free(id: string, nowMs: number): BoxEffects {
    const isKnown = [this.#holders.delete(id), this.#waiters.delete(id)].includes(true);
    return isKnown ? this.#settled(nowMs) : [];
  }

  /** These are the box's cards. Holders of others than those that work yield, and claims that need lost ones wait. */
  cards(cards: readonly BoxCard[], nowMs: number): BoxEffects {
    this.#cards = cards.filter((card) => !isLost(card));
    this.#lost = cards.filter(isLost);
    this.#askAboutLostCards();
    for (const { claim, needs } of this.#waiters.values()) this.#refuseImpossible(claim, needs);
    this.#tellOfLostCards();
    return this.#settled(nowMs);
  }

  /** The events from now on are one: they have their effects at `settle`, and none by the first half of the news. */
  hold(): void {
    this.#held = { isNews: false };
  }

  /** The effects of the events since `hold`. */
  settle(nowMs: number): BoxEffects {
    const { isNews = false } = this.#held ?? {};
    this.#held = undefined;
    return isNews ? this.#settled(nowMs) : [];
  }

  /** A time that `wake_at` asked for has come. */
  tick(nowMs: number): BoxEffects {
    this.#wakeAtMs = Infinity;
    return this.#settled(nowMs);
  }

  /** Claims that wait for nothing would only hold up their pool's calls. */
  #refuseImpossible({ id }: Claim, needs: ClaimNeeds): boolean {
    if (this.#cards === undefined) return false;
    // A card that is out now may come back: calls wait for it as for one in use.
    if (couldFit([...this.#cards, ...this.#lost], needs)) return false;
    this.#waiters.delete(id);
    this.#effects.push({ type: "impossible", claim: id });
    return true;
  }

  #tellOfLostCards(): void {
    for (const waiter of this.#waiters.values()) {
      const { needs, isCardOut } = waiter;
      waiter.isCardOut = this.isCardOut(needs);
      if (!waiter.isCardOut || isCardOut) continue;
      const lost = lostCardsFor(this.#lost, needs);
      this.#effects.push({ type: "card_out", claim: waiter.claim.id, lost });
    }
  }

  /** The serving version is not asked: without this effect a deployment would wait without a word. */
  #tellOfAwaitedRoom(waiter: Waiter): void {
    const { claim, rollout, isCardOut, isRoomAwaited } = waiter;
    if (rollout !== "overlap" || isCardOut || isRoomAwaited || this.#cards === undefined) return;
    waiter.isRoomAwaited = true;
    this.#effects.push({ type: "room_awaited", claim: claim.id });
  }

  #askAboutLostCards(): void {
    const working = new Set(this.#cards?.map(({ id }) => id));
    for (const holder of this.#holders.values()) {
      if (holder.cards.some(({ id }) => !working.has(id))) this.#ask(holder, "card_lost");
    }
  }

  /** Grants what is free and asks for what is not. */
  #settled(nowMs: number): BoxEffects {
    if (this.#held !== undefined) {
      this.#held.isNews = true;
      return [];
    }
    // A grant and a yield change who is in line and who may yield.
    while (this.#waiters.size > 0 && this.#settle(nowMs));
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** One pass over the line. @returns whether it changed anything */
  #settle(nowMs: number): boolean {
    const situation = { nowMs, limits: this.#limits, counts: countsByPool(this.#holders.values()) };
    /** The next time at which a verdict changes: another plan may be the better one then. */
    let wakeAtMs = Infinity;
    const judge: JudgeYield = (holder, waiter) => {
      const verdict = judgeYield(holder, waiter, situation);
      const dueMs = verdict?.dueMs ?? Infinity;
      if (dueMs > nowMs) wakeAtMs = Math.min(wakeAtMs, dueMs);
      return verdict;
    };
    const planner = new ClaimPlanner(this.#cards ?? [], this.#holders.values(), judge);
    const replaced = this.#replacedEndpoints();
    const before = this.#effects.length;
    for (const waiter of this.#line()) {
      // One that sleeps may have been asked to yield meanwhile.
      if (!this.#waiters.has(waiter.claim.id) || !this.#mayStart(waiter, replaced)) continue;
      const cards = planner.room(waiter);
      if (cards !== undefined) {
        planner.grant(this.#grant(waiter, cards, nowMs));
        continue;
      }
      this.#tellOfAwaitedRoom(waiter);
      const plan = planner.reserve(waiter);
      if (plan === undefined || plan.dueMs > nowMs) continue;
      const asked = this.#effects.length;
      for (const victim of plan.victims) this.#askFor(victim, waiter, nowMs);
      // Their pools have had their turns: the line is another one.
      if (this.#effects.length > asked) return true;
    }
    if (wakeAtMs !== this.#wakeAtMs && wakeAtMs !== Infinity) {
      this.#effects.push({ type: "wake_at", atMs: wakeAtMs });
    }
    this.#wakeAtMs = wakeAtMs;
    return this.#effects.some(({ type }, index) => index >= before && type !== "wake_at");
  }

  /** In the order of their turns; of equal ones the first comes first. */
  #line(): Waiter[] {
    return [...this.#waiters.values()].toSorted((one, other) => {
      const isPrepared = Number(isCandidate(other)) - Number(isCandidate(one));
      const [first, second] = [one.turnMs ?? Infinity, other.turnMs ?? Infinity];
      return isPrepared || (first === second ? 0 : first - second);
    });
  }

  /** Those that a new version takes the place of before it starts, by the pool that does. */
  #replacedEndpoints(): Map<string, string> {
    const entries = [...this.#holders.values(), ...this.#waiters.values()];
    return new Map(
      entries
        .filter(({ rollout }) => rollout === "replace")
        .map(({ claim: { endpoint, pool } }) => [endpoint, pool]),
    );
  }

  /** Under `replace` the versions of an endpoint are never there at the same time. */
  #mayStart({ claim, rollout }: Waiter, replaced: ReadonlyMap<string, string>): boolean {
    if (rollout !== "replace") return (replaced.get(claim.endpoint) ?? claim.pool) === claim.pool;
    const before = [...this.#holders.values()].filter(
      (holder) =>
        holder.claim.endpoint === claim.endpoint &&
        holder.claim.pool !== claim.pool &&
        !holder.isStuck,
    );
    for (const holder of before) this.#ask(holder, "replaced", { isForVersion: true });
    return before.length === 0;
  }

  #grant({ claim, needs, rollout }: Waiter, cards: readonly Card[], nowMs: number): Holder {
    const holder = newHolder({ claim, needs, cards, rollout }, nowMs);
    this.#waiters.delete(claim.id);
    this.#holders.set(claim.id, holder);
    this.#effects.push({ type: "grant", claim: claim.id, cards });
    return holder;
  }

  /** The holder and its pool have had their turn: the calls that still wait for them are in line from now on. */
  #askFor(holder: Holder, { claim, rollout }: Waiter, nowMs: number): void {
    if (holder.isLeaving) return;
    holder.turnEndedMs = nowMs;
    const { pool } = holder.claim;
    this.#turns.delete(pool);
    this.#turns.set(pool, nowMs);
    const [oldest] = this.#turns.keys();
    if (this.#turns.size > MOST_TURNS && oldest !== undefined) this.#turns.delete(oldest);
    for (const waiter of this.#waiters.values()) {
      if (waiter.claim.pool !== pool || waiter.isAwaited) continue;
      if (waiter.turnMs !== undefined) waiter.turnMs = nowMs;
    }
    // Those of one new version make room for each other: none of them comes back where a later version fails.
    const isServing = holder.claim.app === claim.app && !isCandidate(holder);
    const isForVersion = rollout !== undefined && isServing;
    this.#ask(holder, "wanted", { wantedBy: claim, isForVersion });
  }

  #ask(
    holder: Holder,
    reason: YieldReason,
    whose: { readonly wantedBy?: Claim; readonly isForVersion?: boolean } = {},
  ): void {
    if (holder.isLeaving) return;
    holder.isLeaving = true;
    this.#waiters.delete(holder.claim.id);
    this.#effects.push({ type: "yield", claim: holder.claim.id, reason, ...whose });
  }
}
