/**
 * A box in virtual time that keeps its own account of who has what. It carries out each effect and throws where the
 * core breaks one of its promises.
 */
import { GIB } from "../../../base/units.ts";
import { Box } from "../../../origin-gpu/core/box.ts";
import type { Card } from "../../../origin-gpu/core/cards.ts";
import type {
  ArbitrationLimits,
  BoxEffect,
  Claim,
  ClaimNeeds,
  Rollout,
} from "../../../origin-gpu/core/claims.ts";

export const LIMITS: ArbitrationLimits = {
  residencyMs: 1_000,
  patienceMs: 10_000,
  mostPatienceMs: 40_000,
};

export const CARDS: readonly Card[] = [
  { id: "GPU-0", name: "NVIDIA H100 80GB HBM3", memoryBytes: 80 * GIB },
  { id: "GPU-1", name: "NVIDIA H100 80GB HBM3", memoryBytes: 80 * GIB },
  { id: "GPU-2", name: "NVIDIA L4", memoryBytes: 24 * GIB },
];

export interface TestedPool {
  readonly pool: string;
  readonly endpoint: string;
  readonly app: string;
  readonly needs: ClaimNeeds;
}

/** What the world knows of a claim. */
export interface TestedClaim {
  readonly claim: Claim;
  readonly needs: ClaimNeeds;
  state: "waiting" | "held" | "asleep" | "waking" | "gone";
  sinceMs: number | undefined;
  /** When it was asked last to yield to another one, since it has what it needs. */
  turnEndedMs: number | undefined;
  /** No call waits for it: a new version alone is in line with it. */
  isInAdvance: boolean;
  /** Calls wait for this container alone. */
  isAwaited: boolean;
  rollout: Rollout | undefined;
  cards: readonly Card[];
  readyAtMs: number | undefined;
  inFlight: number;
  oldestWaiterMs: number | undefined;
  isAsked: boolean;
  isLeaving: boolean;
  isStuck: boolean;
}

export class BoxWorld {
  readonly box: Box;
  nowMs = 0;
  cards: readonly Card[];
  readonly claims = new Map<string, TestedClaim>();
  readonly grants: { readonly id: string; readonly atMs: number }[] = [];
  /** Claims of new versions that wait for room, each told once. */
  readonly roomAwaited: string[] = [];
  /** Claims that wait for a card which is out, each told once. */
  readonly cardOuts: string[] = [];
  readonly yields: { readonly id: string; readonly reason: string }[] = [];
  /** When each pool was asked last to yield to another one. */
  readonly #turns = new Map<string, number>();
  #wakeAtMs = Infinity;
  #numbers = 0;

  constructor(cards: readonly Card[] = CARDS) {
    this.cards = cards;
    this.box = new Box(cards, LIMITS);
  }

  in(...states: TestedClaim["state"][]): TestedClaim[] {
    return [...this.claims.values()].filter(({ state }) => states.includes(state));
  }

  want(
    { needs, ...owner }: TestedPool,
    traits: { readonly sinceMs?: number | undefined; readonly rollout?: Rollout | undefined } = {
      sinceMs: this.nowMs,
    },
  ): TestedClaim {
    const id = `ct-${this.#numbers++}`;
    const tested: TestedClaim = {
      claim: { id, ...owner },
      needs,
      state: "waiting",
      sinceMs: traits.sinceMs,
      turnEndedMs: undefined,
      isInAdvance: traits.sinceMs === undefined,
      isAwaited: false,
      rollout: traits.rollout,
      cards: [],
      readyAtMs: undefined,
      inFlight: 0,
      oldestWaiterMs: undefined,
      isAsked: false,
      isLeaving: false,
      isStuck: false,
    };
    // Prepared versions are in line from when they want.
    if (traits.rollout !== undefined) tested.sinceMs ??= this.nowMs;
    this.claims.set(id, tested);
    this.#send((box) => box.want(tested.claim, { needs, ...traits }, this.nowMs));
    return tested;
  }

  wantSince(tested: TestedClaim, sinceMs: number | undefined): void {
    if (tested.rollout === undefined || sinceMs !== undefined) tested.sinceMs = sinceMs;
    tested.isInAdvance = sinceMs === undefined;
    const { needs, isAwaited } = tested;
    this.#send((box) => box.want(tested.claim, { needs, sinceMs, isAwaited }, this.nowMs));
  }

  /** A container that sleeps is to wake. */
  wake(tested: TestedClaim, isAwaited = false): void {
    tested.state = "waking";
    tested.isAwaited = isAwaited;
    this.wantSince(tested, this.nowMs);
  }

  withdraw(tested: TestedClaim): void {
    tested.state = tested.state === "waking" ? "asleep" : "gone";
    this.#send((box) => box.withdraw(tested.claim.id, this.nowMs));
  }

  use(tested: TestedClaim, inFlight: number, oldestWaiterMs?: number): void {
    tested.readyAtMs ??= this.nowMs;
    tested.inFlight = inFlight;
    tested.oldestWaiterMs = oldestWaiterMs;
    this.#send((box) => box.used(tested.claim.id, { inFlight, oldestWaiterMs }, this.nowMs));
  }

  leave(tested: TestedClaim): void {
    tested.isLeaving = true;
    this.#send((box) => box.leaving(tested.claim.id, this.nowMs));
  }

  stick(tested: TestedClaim): void {
    tested.isStuck = true;
    this.#send((box) => box.stuck(tested.claim.id, this.nowMs));
  }

  sleep(tested: TestedClaim): void {
    tested.state = "asleep";
    tested.isAsked = false;
    tested.isLeaving = false;
    tested.readyAtMs = undefined;
    tested.inFlight = 0;
    tested.oldestWaiterMs = undefined;
    this.#send((box) => box.slept(tested.claim.id, this.nowMs));
  }

  memoryShort(): void {
    this.#send((box) => box.memoryShort(this.nowMs));
  }

  unpin(tested: TestedClaim): void {
    tested.rollout = undefined;
    if (tested.isInAdvance) tested.sinceMs = undefined;
    this.#send((box) => box.unpin([tested.claim.id], this.nowMs));
  }

  free(tested: TestedClaim): void {
    tested.state = "gone";
    this.#send((box) => box.free(tested.claim.id, this.nowMs));
  }

  /** @param lost those that are out */
  setCards(cards: readonly Card[], lost: readonly Card[] = []): void {
    this.cards = cards;
    const sick = lost.map((card) => Object.assign({ problem: "it is out" }, card));
    this.#send((box) => box.cards([...cards, ...sick], this.nowMs));
  }

  /** Lets time pass, with the ticks that the box asked for. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    while (this.#wakeAtMs <= untilMs) {
      this.nowMs = Math.max(this.nowMs, this.#wakeAtMs);
      this.#wakeAtMs = Infinity;
      this.#carryOut(this.box.tick(this.nowMs));
    }
    this.nowMs = untilMs;
  }

  /** Each event twice: the second one does nothing, nor does a tick. */
  #send(event: (box: Box) => readonly BoxEffect[]): void {
    const before = this.box;
    const effects = event(before);
    // Nothing has been left undone.
    const repeated = [...before.tick(this.nowMs), ...event(before)];
    // A claim that is impossible is forgotten, and so refused each time.
    if (repeated.some(({ type }) => type !== "wake_at" && type !== "impossible")) {
      throw new Error(`a repeated event had an effect: ${JSON.stringify(repeated)}`);
    }
    this.#carryOut([...effects, ...repeated]);
  }

  #carryOut(effects: readonly BoxEffect[]): void {
    for (const effect of effects) {
      if (effect.type === "wake_at") this.#wakeAtMs = effect.atMs;
      else if (effect.type === "grant") this.#grant(effect.claim, effect.cards);
      else if (effect.type === "impossible") this.#known(effect.claim).state = "gone";
      else if (effect.type === "room_awaited") this.roomAwaited.push(effect.claim);
      else if (effect.type === "card_out") this.cardOuts.push(effect.claim);
      else this.#yield(effect.claim, effect.reason);
    }
  }

  #grant(id: string, cards: readonly Card[]): void {
    const tested = this.#known(id);
    const isWaking = tested.state === "waking";
    if (!isWaking && tested.state !== "waiting")
      throw new Error(`${id} did not want: ${tested.state}`);
    if (isWaking && cards.some((card) => !tested.cards.includes(card))) {
      throw new Error(`${id} woke on other cards than its own`);
    }
    for (const other of this.#earlier(tested)) {
      throw new Error(`${id} was granted before ${other.claim.id}, which needs the same`);
    }
    for (const card of cards) {
      if (!this.cards.includes(card)) throw new Error(`${id} has ${card.id}, which is out`);
      this.#checkRoom(tested, card);
    }
    const { port } = tested.needs;
    const onPort = this.in("held", "asleep", "waking").find(
      (other) => other !== tested && other.needs.port === port,
    );
    if (port !== undefined && onPort !== undefined) throw new Error(`port ${port} has two owners`);
    tested.state = "held";
    tested.turnEndedMs = undefined;
    tested.cards = cards;
    this.grants.push({ id, atMs: this.nowMs });
  }

  /** Claims of the same needs that are before this one in line. */
  #earlier(tested: TestedClaim): TestedClaim[] {
    if (tested.state === "waking") return [];
    return this.in("waiting").filter(
      (other) =>
        other.needs === tested.needs && this.#compare(other, tested) < 0 && !this.#isHeldUp(other),
    );
  }

  /** Its endpoint is being replaced, or it replaces one that still runs. */
  #isHeldUp({ claim }: TestedClaim): boolean {
    return this.in("waiting", "held", "asleep", "waking").some(
      (other) =>
        other.claim.endpoint === claim.endpoint &&
        (other.rollout === "replace" || this.claims.get(claim.id)?.rollout === "replace"),
    );
  }

  #compare(one: TestedClaim, other: TestedClaim): number {
    const isPrepared = Number(other.rollout !== undefined) - Number(one.rollout !== undefined);
    const [first, second] = [this.turnOf(one), this.turnOf(other)];
    return isPrepared || (first === second ? 0 : first - second);
  }

  turnOf({ claim, sinceMs, isAwaited, turnEndedMs }: TestedClaim): number {
    const endedMs = isAwaited ? turnEndedMs : this.#turns.get(claim.pool);
    return sinceMs === undefined ? Infinity : Math.max(sinceMs, endedMs ?? sinceMs);
  }

  #checkRoom(tested: TestedClaim, card: Card): void {
    const others = this.in("held").filter(
      (other) => other !== tested && other.cards.some(({ id }) => id === card.id),
    );
    const bytesOf = ({ needs }: TestedClaim) => needs.gpuMemoryBytes ?? Infinity;
    const sum = others.reduce((bytes, other) => bytes + bytesOf(other), bytesOf(tested));
    if (others.length > 0 && sum > card.memoryBytes) {
      throw new Error(`${tested.claim.id} has no room on ${card.id}`);
    }
    if (tested.needs.gpuMemoryBytes !== undefined && sum > card.memoryBytes) {
      throw new Error(`${tested.claim.id} is larger than ${card.id}`);
    }
  }

  #yield(id: string, reason: string): void {
    const tested = this.#known(id);
    if (tested.isAsked || tested.isLeaving) throw new Error(`${id} was asked twice`);
    if (tested.isStuck && reason === "wanted") throw new Error(`${id} can't end`);
    if (tested.state === "waking") tested.state = "asleep";
    if (reason === "wanted" && tested.state === "held") this.#checkVictim(tested);
    tested.isAsked = true;
    this.yields.push({ id, reason });
    if (reason !== "wanted") return;
    tested.turnEndedMs = this.nowMs;
    this.#turns.set(tested.claim.pool, this.nowMs);
  }

  #checkVictim(tested: TestedClaim): void {
    const { claim, rollout, readyAtMs, inFlight, oldestWaiterMs } = tested;
    const waiting = this.in("waiting", "waking").filter(
      (other) => other.claim.pool !== claim.pool || other.isAwaited,
    );
    const isOwn = waiting.some((other) => other.claim.pool === claim.pool);
    const isBusy = inFlight > 0 || (oldestWaiterMs !== undefined && !isOwn);
    const candidates = waiting.filter((other) => other.rollout !== undefined);
    if (rollout !== undefined) {
      if (isBusy || readyAtMs === undefined) throw new Error(`${claim.id} is being prepared`);
      if (candidates.some((other) => other.claim.app === claim.app)) return;
      const waitedMs = waiting.map((other) => this.nowMs - Math.max(this.turnOf(other), readyAtMs));
      if (Math.max(...waitedMs) >= LIMITS.mostPatienceMs) return;
      throw new Error(`${claim.id} is being prepared`);
    }
    const isReplaced = candidates.some(
      (other) => other.claim.endpoint === claim.endpoint && other.rollout !== "overlap",
    );
    if (isReplaced) return;
    if (readyAtMs === undefined) throw new Error(`${claim.id} loads`);
    if (this.nowMs < readyAtMs + LIMITS.residencyMs) throw new Error(`${claim.id} has just come`);
    if (waiting.length === 0) throw new Error(`${claim.id} yields to nobody`);
    if (!isBusy) return;
    const turnsMs = waiting.map((other) => Math.max(this.turnOf(other), readyAtMs));
    if (turnsMs.every((sinceMs) => this.nowMs - sinceMs < LIMITS.patienceMs)) {
      throw new Error(`${claim.id} works`);
    }
    const mayEnd = turnsMs.some(
      (sinceMs) =>
        this.nowMs - sinceMs >= LIMITS.mostPatienceMs || (oldestWaiterMs ?? Infinity) >= sinceMs,
    );
    if (!mayEnd) throw new Error(`${claim.id} has older callers`);
  }

  #known(id: string): TestedClaim {
    const tested = this.claims.get(id);
    if (tested === undefined) throw new Error(`there is no claim ${id}`);
    return tested;
  }
}
