/**
 * Runs the claims of a box in real time: passes on what pools want, have and give back, and carries out what the box
 * says to that. core/box.ts decides. A pool whose containers need nothing of the box is granted everything at once.
 */
import { dirname } from "node:path/posix";
import { SECOND_MS } from "../../base/units.ts";
import type { LeftContainer } from "../containers/left-container.ts";
import type { Box } from "../core/box.ts";
import type { BoxCard } from "../core/cards.ts";
import type { BoxEffect, Claim, ClaimNeeds, Rollout } from "../core/claims.ts";
import { needsNothing } from "../core/claim-entries.ts";
import type { ClaimHolder } from "./claim-holder.ts";
import { type PoolClock, SYSTEM_POOL_CLOCK } from "./pool-clock.ts";

export interface PoolIdentity {
  /** `<environment>/<app>`, the same in each version. */
  readonly app: string;
  /** Whose containers they are. */
  readonly functionName: string;
  /** 0 for an app that the box announces itself. */
  readonly version: number;
  /** How it treats the version that serves, while it is prepared itself. */
  readonly rollout: Rollout | undefined;
}

/** How often the machine's memory is looked at while containers sleep in it. */
const MEMORY_CHECK_MS = 10 * SECOND_MS;

interface KnownClaim {
  readonly holder: ClaimHolder;
  readonly container: number;
}

export class BoxClaims {
  /** Of the box, and so of all its pools. */
  readonly clock: PoolClock;
  readonly #box: Box;
  readonly #known = new Map<string, KnownClaim>();
  /** Of pools that are not closed. */
  readonly #holders = new Set<ClaimHolder>();
  #isHandingOver = false;
  readonly #due: BoxEffect[] = [];
  #isApplying = false;
  #lastPool = 0;
  #cancelTick: (() => void) | undefined;
  readonly #isMemoryShort: () => boolean;
  #cancelMemoryCheck: (() => void) | undefined;

  /** @param isMemoryShort whether containers that sleep have to give memory back */
  constructor(
    box: Box,
    isMemoryShort: () => boolean = () => false,
    clock: PoolClock = SYSTEM_POOL_CLOCK,
  ) {
    this.#box = box;
    this.#isMemoryShort = isMemoryShort;
    this.clock = clock;
  }

  /** The claims of one pool. */
  pool(identity: PoolIdentity, needs: ClaimNeeds, holder: ClaimHolder): PoolClaims {
    this.#lastPool += 1;
    this.#holders.add(holder);
    return new PoolClaims(this, `${this.#lastPool}`, { identity, needs, holder });
  }

  /** The next agent takes over: nothing changes hands any more, and no pool begins a call or a container. */
  handOver(): void {
    this.#isHandingOver = true;
    for (const holder of this.#holders) holder.onHandOver();
  }

  get isHandingOver(): boolean {
    return this.#isHandingOver;
  }

  /** Whether a container that were started now would wait for a card that is out. */
  isCardOut(needs: ClaimNeeds): boolean {
    return this.#box.isCardOut(needs);
  }

  /** The pool is closed. */
  leave(holder: ClaimHolder): void {
    this.#holders.delete(holder);
  }

  /** Whether a container that were started now would wait for others' calls. */
  isBlocked(needs: ClaimNeeds): boolean {
    return this.#box.isBlocked(needs);
  }

  /** Counts what a container has that the last agent left running, until it is adopted or gone. */
  hold({ id, record: { endpoint, claim }, gone }: LeftContainer): void {
    const { cards, ...needs } = claim;
    if (cards.length === 0 && needsNothing(needs)) return;
    const left: Claim = { id: leftId(id), pool: leftId(id), endpoint, app: dirname(endpoint) };
    this.tell((box, nowMs) => box.left(left, { needs, cards }, nowMs));
    void gone.then(() => this.tell((box, nowMs) => box.free(left.id, nowMs)));
  }

  /** The box's cards are these from now on, those that are out included. */
  setCards(cards: readonly BoxCard[]): void {
    this.tell((box, nowMs) => box.cards(cards, nowMs));
  }

  /** Tells the box of an event, and carries out the effects. */
  tell(event: (box: Box, nowMs: number) => readonly BoxEffect[]): void {
    this.#due.push(...event(this.#box, this.clock.now()));
    if (this.#isApplying) return;
    this.#isApplying = true;
    try {
      for (let next = this.#due.shift(); next !== undefined; next = this.#due.shift()) {
        this.#apply(next);
      }
    } finally {
      this.#isApplying = false;
    }
  }

  /** As `tell`, of all events that are told meanwhile: they are one. */
  tellTogether(tellAll: () => void): void {
    this.#box.hold();
    try {
      tellAll();
    } finally {
      this.tell((box, nowMs) => box.settle(nowMs));
    }
  }

  /** Looks at the machine's memory now, and again as long as containers sleep. */
  watchMemory(): void {
    this.#cancelMemoryCheck?.();
    if (!this.#box.hasSleepers) return;
    if (this.#isMemoryShort()) this.tell((box, nowMs) => box.memoryShort(nowMs));
    this.#cancelMemoryCheck = this.clock.idleTimer(() => this.watchMemory(), MEMORY_CHECK_MS);
  }

  know(id: string, claim: KnownClaim): void {
    this.#known.set(id, claim);
  }

  forget(id: string): void {
    this.#known.delete(id);
  }

  #apply(effect: BoxEffect): void {
    if (effect.type === "wake_at") {
      this.#cancelTick?.();
      const delayMs = Math.max(0, effect.atMs - this.clock.now());
      const tick = (): void => this.tell((box, nowMs) => box.tick(nowMs));
      this.#cancelTick = this.clock.idleTimer(tick, delayMs);
      return;
    }
    const known = this.#known.get(effect.claim);
    if (known === undefined || this.#isHandingOver) return;
    const { holder, container } = known;
    if (effect.type === "grant") holder.onGranted(container, effect.cards);
    else if (effect.type === "room_awaited") holder.onRoomAwaited(container);
    else if (effect.type === "card_out") holder.onCardOut(container, effect.lost);
    else if (effect.type === "impossible") holder.onImpossible(container);
    else holder.onYieldAsked(container, effect);
  }
}

interface PoolTraits {
  readonly identity: PoolIdentity;
  readonly needs: ClaimNeeds;
  readonly holder: ClaimHolder;
}

/** The claims of one pool, by its containers' numbers. */
export class PoolClaims {
  readonly #box: BoxClaims;
  readonly #pool: string;
  readonly #traits: PoolTraits;
  #rollout: Rollout | undefined;
  /** The last news of each claim that the box was told. */
  readonly #told = new Map<number, string>();

  constructor(box: BoxClaims, pool: string, traits: PoolTraits) {
    this.#box = box;
    this.#pool = pool;
    this.#traits = traits;
    this.#rollout = traits.identity.rollout;
  }

  /** Its containers need nothing of the box, which hears nothing of them. */
  get isOfNothing(): boolean {
    return needsNothing(this.#traits.needs);
  }

  /**
   * The container waits for its claim.
   * @param sinceMs when the oldest call came that needs it
   * @param isAwaited calls wait for it alone
   */
  want(container: number, sinceMs: number | undefined, isAwaited: boolean): void {
    const { needs, holder } = this.#traits;
    if (this.isOfNothing) {
      holder.onGranted(container, []);
      return;
    }
    if (!this.#isNews(container, `wants ${sinceMs} ${isAwaited}`)) return;
    const claim = this.#claimOf(container);
    this.#box.know(claim.id, { holder, container });
    const request = { needs, sinceMs, isAwaited, rollout: this.#rollout };
    this.#box.tell((box, nowMs) => box.want(claim, request, nowMs));
  }

  /** The container was left running by the last agent, with what it claimed. */
  adopt(container: number, left: string): void {
    if (this.isOfNothing) return;
    const { needs, holder } = this.#traits;
    this.#told.set(container, "adopted");
    const claim = this.#claimOf(container);
    this.#box.know(claim.id, { holder, container });
    const request = { needs, rollout: this.#rollout };
    this.#box.tell((box, nowMs) => box.adopt(leftId(left), claim, request, nowMs));
  }

  /** All that is told of its containers meanwhile is one event. */
  together(tellAll: () => void): void {
    this.#box.tellTogether(tellAll);
  }

  withdraw(container: number): void {
    this.#tell(container, "withdrawn", (box, id, nowMs) => box.withdraw(id, nowMs));
  }

  /** The container is ready, and used so. */
  used(container: number, inFlight: number, oldestWaiterMs: number | undefined): void {
    const use = { inFlight, oldestWaiterMs };
    // Between one call and many the box sees no difference.
    const news = `used ${inFlight > 0} ${oldestWaiterMs}`;
    this.#tell(container, news, (box, id, nowMs) => box.used(id, use, nowMs));
  }

  leaving(container: number): void {
    this.#tell(container, "leaving", (box, id, nowMs) => box.leaving(id, nowMs));
  }

  stuck(container: number): void {
    this.#tell(container, "stuck", (box, id, nowMs) => box.stuck(id, nowMs));
  }

  slept(container: number): void {
    this.#tell(container, "slept", (box, id, nowMs) => box.slept(id, nowMs));
    this.#box.watchMemory();
  }

  /** Nothing of the container runs any more. */
  free(container: number): void {
    this.#tell(container, "free", (box, id, nowMs) => box.free(id, nowMs));
    this.#box.watchMemory();
    this.#told.delete(container);
    this.#box.forget(this.#idOf(container));
  }

  /** The pool is closed, and hears nothing of the box any more. */
  end(): void {
    this.#box.leave(this.#traits.holder);
  }

  /** The version serves, or is given up: its claims are like others. */
  unpin(): void {
    if (this.#rollout === undefined) return;
    this.#rollout = undefined;
    const ids = [...this.#told.keys()].map((container) => this.#idOf(container));
    this.#box.tell((box, nowMs) => box.unpin(ids, nowMs));
  }

  #claimOf(container: number): Claim {
    const { app, functionName } = this.#traits.identity;
    return { id: this.#idOf(container), pool: this.#pool, endpoint: `${app}/${functionName}`, app };
  }

  #idOf(container: number): string {
    return `${this.#pool}/${container}`;
  }

  #isNews(container: number, news: string): boolean {
    if (this.#told.get(container) === news) return false;
    this.#told.set(container, news);
    return true;
  }

  #tell(
    container: number,
    news: string,
    event: (box: Box, id: string, nowMs: number) => readonly BoxEffect[],
  ): void {
    if (!this.#told.has(container) || !this.#isNews(container, news)) return;
    this.#box.tell((box, nowMs) => event(box, this.#idOf(container), nowMs));
  }
}

/** No pool has such an id. */
function leftId(container: string): string {
  return `left ${container}`;
}
