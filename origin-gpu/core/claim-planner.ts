/**
 * Where the claims of a box find room: free now, or after others have yielded. The box asks for one claim after the
 * other, in the order of its line. A claim that finds no room yet reserves the room that it will have, so that no claim
 * behind it takes that. Pure; a planner lives for one pass over the line.
 *
 * A plan prefers, in this order: holders that may yield the soonest, those whose yielding costs least (`Cost`), few
 * holders, those used least recently.
 */
import { type Card, type CardChoice, isOfKind, type LostCard } from "./cards.ts";
import { type Holder, needsWholeCards, type Waiter } from "./claim-entries.ts";
import type { ClaimNeeds } from "./claims.ts";
import {
  compare,
  compareOutlays,
  type Cost,
  COSTS,
  NOTHING,
  type Outlay,
  sumOf,
} from "./yield-outlay.ts";

/** Whether a holder may yield to a claim. */
export interface YieldVerdict {
  /** From when on: -Infinity for now, Infinity where only an event can tell. */
  readonly dueMs: number;
  readonly cost: Cost;
}

/** @returns undefined where the holder never yields to the claim */
export type JudgeYield = (holder: Holder, waiter: Waiter) => YieldVerdict | undefined;

/** The room that a claim will have. */
export interface ClaimPlan {
  readonly cards: readonly Card[];
  /** They have to go first. */
  readonly victims: ReadonlySet<Holder>;
  /** When all of them may be asked. */
  readonly dueMs: number;
}

/** A whole card, as an amount of its memory. */
const WHOLE = Infinity;

/** More than any card has. */
const UNUSED = 2 ** 50;

/** A part of a card that is not free. Without a holder it is reserved. */
interface Tenant {
  readonly holder: Holder | undefined;
  readonly bytes: number;
}

/** A card with those that have it now, and those that will when every plan so far has come true. */
interface PlannedCard {
  readonly card: Card;
  now: readonly Tenant[];
  later: readonly Tenant[];
  /** Wholly, for a claim in front. */
  isReserved: boolean;
}

interface Draft extends Outlay {
  readonly victims: readonly Holder[];
}

export class ClaimPlanner {
  readonly #cards: PlannedCard[];
  readonly #portsNow = new Map<number, Tenant>();
  readonly #portsLater = new Map<number, Tenant>();
  readonly #judge: JudgeYield;

  constructor(cards: readonly Card[], holders: Iterable<Holder>, judge: JudgeYield) {
    this.#cards = cards.map((card) => ({ card, now: [], later: [], isReserved: false }));
    this.#judge = judge;
    for (const holder of holders) this.#install(holder);
  }

  /** The room for a claim that is free and not reserved; undefined where there is none. */
  room(waiter: Waiter): readonly Card[] | undefined {
    const port = portOf(waiter);
    if (port !== undefined && (this.#portsNow.has(port) || this.#portsLater.has(port))) {
      return undefined;
    }
    const bytes = bytesOf(waiter.needs);
    for (const choice of choicesOf(waiter.needs)) {
      const free = this.#matching(choice, waiter)
        .filter(({ card, now, later }) => fits(card, now, bytes) && fits(card, later, bytes))
        .toSorted((one, other) => compare(rest(one, bytes), rest(other, bytes)));
      if (free.length >= choice.count) return free.slice(0, choice.count).map(({ card }) => card);
    }
    return undefined;
  }

  /** The claim has its room from now on. */
  grant(holder: Holder): void {
    this.#install(holder);
  }

  /** Plans and reserves the room that a claim will have; undefined where it can have none for now. */
  reserve(waiter: Waiter): ClaimPlan | undefined {
    const best = choicesOf(waiter.needs)
      .map((choice) => this.#plan(choice, waiter))
      .filter((plan) => plan !== undefined)
      .toSorted((one, other) => compareOutlays(one.outlay, other.outlay))[0];
    if (best === undefined) return undefined;
    this.#book(waiter, best);
    return best;
  }

  #install(holder: Holder): void {
    const { port } = holder.needs;
    const tenant = { holder, bytes: bytesOf(holder.needs) };
    if (port !== undefined) {
      this.#portsNow.set(port, tenant);
      this.#portsLater.set(port, tenant);
    }
    if (holder.isAsleep) return;
    for (const planned of this.#cards) {
      if (!holder.cards.some(({ id }) => id === planned.card.id)) continue;
      planned.now = [...planned.now, tenant];
      planned.later = [...planned.later, tenant];
    }
  }

  /** The cards that may be given to a claim, now or later. */
  #matching({ kind }: CardChoice, { ownCards }: Waiter): PlannedCard[] {
    return this.#cards.filter(({ card, isReserved }) => {
      if (isReserved) return false;
      return ownCards === undefined
        ? isOfKind(card, kind)
        : ownCards.some(({ id }) => id === card.id);
    });
  }

  #plan(choice: CardChoice, waiter: Waiter): (ClaimPlan & { readonly outlay: Outlay }) | undefined {
    const victims = new Set<Holder>();
    const freed = this.#freePort(waiter);
    if (freed === undefined) return undefined;
    let outlay: Outlay = freed;
    for (const victim of freed.victims) victims.add(victim);
    const left = new Set(this.#matching(choice, waiter));
    if (left.size < choice.count) return undefined;
    const bytes = bytesOf(waiter.needs);
    const cards: Card[] = [];
    while (cards.length < choice.count) {
      const [cheapest] = [...left]
        .flatMap((planned) => {
          const draft = this.#freeCard(planned, waiter, victims);
          return draft === undefined ? [] : [{ planned, draft }];
        })
        .toSorted(
          (one, other) =>
            compareOutlays(one.draft, other.draft) ||
            compare(rest(one.planned, bytes), rest(other.planned, bytes)),
        );
      if (cheapest === undefined) return undefined;
      left.delete(cheapest.planned);
      cards.push(cheapest.planned.card);
      for (const victim of cheapest.draft.victims) victims.add(victim);
      outlay = sumOf(outlay, cheapest.draft);
    }
    return { cards, victims, dueMs: outlay.dueMs, outlay };
  }

  #freePort(waiter: Waiter): Draft | undefined {
    const port = portOf(waiter);
    const tenant = port === undefined ? undefined : this.#portsLater.get(port);
    if (tenant === undefined) return { ...NOTHING, victims: [] };
    const offer = this.#offer(tenant, waiter);
    return offer === undefined ? undefined : { ...offer.outlay, victims: [offer.holder] };
  }

  /** Who has to leave a card for the claim, besides those that have to leave anyway. */
  #freeCard(
    { card, later }: PlannedCard,
    waiter: Waiter,
    gone: ReadonlySet<Holder>,
  ): Draft | undefined {
    const bytes = bytesOf(waiter.needs);
    const tenants = later.filter(({ holder }) => holder === undefined || !gone.has(holder));
    const offers = tenants
      .map((tenant) => this.#offer(tenant, waiter))
      .filter((offer) => offer !== undefined)
      .toSorted((one, other) => compareOutlays(one.outlay, other.outlay));
    const leaving = new Set<Holder>();
    const fitsWithout = (without: ReadonlySet<Holder>) =>
      fits(
        card,
        tenants.filter(({ holder }) => holder === undefined || !without.has(holder)),
        bytes,
      );
    for (const { holder } of offers) {
      if (fitsWithout(leaving)) break;
      leaving.add(holder);
    }
    if (!fitsWithout(leaving)) return undefined;
    // A large share may have come after small ones that may stay then.
    for (const { holder } of offers) {
      if (leaving.delete(holder) && !fitsWithout(leaving)) leaving.add(holder);
    }
    const chosen = offers.filter(({ holder }) => leaving.has(holder));
    return {
      ...chosen.map(({ outlay }) => outlay).reduce(sumOf, NOTHING),
      victims: chosen.map(({ holder }) => holder),
    };
  }

  #offer(
    { holder }: Tenant,
    waiter: Waiter,
  ): { readonly holder: Holder; readonly outlay: Outlay } | undefined {
    if (holder === undefined) return undefined;
    const verdict = this.#judge(holder, waiter);
    if (verdict === undefined) return undefined;
    const { dueMs, cost } = verdict;
    const asked = holder.isLeaving ? 0 : 1;
    return {
      holder,
      outlay: { dueMs, cost: COSTS.indexOf(cost), asked, usedAtMs: holder.usedAtMs },
    };
  }

  #book(waiter: Waiter, { cards, victims }: ClaimPlan): void {
    const port = portOf(waiter);
    const reserved: Tenant = { holder: undefined, bytes: bytesOf(waiter.needs) };
    const stays = ({ holder }: Tenant) => holder === undefined || !victims.has(holder);
    for (const [port, tenant] of this.#portsLater) {
      if (!stays(tenant)) this.#portsLater.delete(port);
    }
    if (port !== undefined) this.#portsLater.set(port, reserved);
    for (const planned of this.#cards) {
      planned.later = planned.later.filter(stays);
      if (!cards.includes(planned.card)) continue;
      planned.later = [...planned.later, reserved];
      planned.isReserved = reserved.bytes === WHOLE;
    }
  }
}

/** Whether cards like these could ever give a claim what it needs. */
export function couldFit(cards: readonly Card[], needs: ClaimNeeds): boolean {
  const bytes = bytesOf(needs);
  return choicesOf(needs).some(
    ({ kind, count }) =>
      cards.filter((card) => isOfKind(card, kind) && fits(card, [], bytes)).length >= count,
  );
}

/** Of cards that are out, those that the claim could have. */
export function lostCardsFor(lost: readonly LostCard[], needs: ClaimNeeds): readonly LostCard[] {
  const bytes = bytesOf(needs);
  return lost.filter((card) =>
    choicesOf(needs).some(({ kind }) => isOfKind(card, kind) && fits(card, [], bytes)),
  );
}

/** A claim of a port alone chooses no card. */
function choicesOf(needs: ClaimNeeds): readonly CardChoice[] {
  if (needs.gpuMemoryBytes !== undefined) return [{ count: 1 }];
  return needsWholeCards(needs) && needs.gpus !== undefined ? needs.gpus : [{ count: 0 }];
}

/** A container that wakes has its port. */
function portOf({ needs, ownCards }: Waiter): number | undefined {
  return ownCards === undefined ? needs.port : undefined;
}

function bytesOf({ gpuMemoryBytes }: ClaimNeeds): number {
  return gpuMemoryBytes ?? WHOLE;
}

function fits(card: Card, tenants: readonly Tenant[], bytes: number): boolean {
  if (bytes === WHOLE) return tenants.length === 0;
  return sumOfBytes(tenants) + bytes <= card.memoryBytes;
}

/**
 * The order in which cards are taken that are as good otherwise. A share goes where others are already and little is left,
 * then to the smallest card, so that large ones stay whole. Whole cards go in the box's order.
 */
function rest({ card, later }: PlannedCard, bytes: number): number {
  if (bytes === WHOLE) return 0;
  return later.length === 0 ? UNUSED + card.memoryBytes : card.memoryBytes - sumOfBytes(later);
}

function sumOfBytes(tenants: readonly Tenant[]): number {
  return tenants.reduce((sum, { bytes }) => sum + bytes, 0);
}
