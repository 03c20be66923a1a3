/**
 * A box in virtual time with several endpoints: the agent's own drivers, pools and box decide, and this world plays processes,
 * GPUs and clients. It keeps its own account of who has what, and throws where a promise of docs/gpus.md is broken.
 */
import { isDeepStrictEqual } from "node:util";
import { GIB } from "../../../base/units.ts";
import { Box } from "../../../origin-gpu/core/box.ts";
import type { Card } from "../../../origin-gpu/core/cards.ts";
import type {
  ArbitrationLimits,
  ClaimNeeds,
  YieldReason,
} from "../../../origin-gpu/core/claims.ts";
import { BoxClaims } from "../../../origin-gpu/endpoints/box-claims.ts";
import { settlePromises, VirtualClock } from "../../support/virtual-clock.ts";
import { demand } from "../core/pool-refusal-rules.ts";
import type { PlayedContainer } from "./played-containers.ts";
import { PlayedEndpoint } from "./played-endpoint.ts";
import type { EndpointTraits, EndpointWorld, PlayedCall, PlayedVersion } from "./played-version.ts";

/** Short, that much of it happens in a history. */
export const LIMITS: ArbitrationLimits = {
  residencyMs: 1_000,
  patienceMs: 3_000,
  mostPatienceMs: 12_000,
};

export const CARDS: readonly Card[] = ["0", "1"].map((id) => ({
  id,
  name: "H100",
  memoryBytes: 80 * GIB,
}));

interface Held {
  readonly version: PlayedVersion;
  readonly container: PlayedContainer;
}

export class PooledBox {
  readonly clock = new VirtualClock(settlePromises);
  readonly box: Box;
  readonly endpoints: readonly PlayedEndpoint[];
  readonly #claims: BoxClaims;
  /** How often the machine's memory will be found short. */
  shortages = 0;
  #working = CARDS;
  /** Those that had a claim in line after the last event. */
  #inLine: ReadonlySet<PlayedVersion> = new Set();
  readonly #broken: unknown[] = [];
  /** From now on all goes well: no call that waits is refused. */
  isWell = false;

  constructor(traits: readonly EndpointTraits[]) {
    const { now, timer } = this.clock;
    this.box = new Box(CARDS, LIMITS);
    const isMemoryShort = (): boolean => this.shortages-- > 0;
    this.#claims = new BoxClaims(this.box, isMemoryShort, { now, timer, idleTimer: timer });
    const world: EndpointWorld = {
      claims: this.#claims,
      onUses: (version, container) => this.#note(() => this.#onUses(version, container)),
      onYields: (version, container, reason) =>
        this.#note(() => this.#onYields(version, container, reason)),
      onRefused: (call, code) => this.#note(() => this.#onRefused(call, code)),
    };
    this.endpoints = traits.map((each) => new PlayedEndpoint(each, world));
    for (const endpoint of this.endpoints) endpoint.begin();
  }

  get nowMs(): number {
    return this.clock.now();
  }

  get versions(): PlayedVersion[] {
    return this.endpoints.flatMap(({ versions }) => [...versions]);
  }

  get calls(): PlayedCall[] {
    return this.endpoints.flatMap(({ calls }) => calls);
  }

  /** All that have a process. */
  get held(): Held[] {
    return this.versions.flatMap((version) =>
      [...version.containers.all.values()].map((container) => ({ version, container })),
    );
  }

  /** Whether a claim would find room that no process uses. */
  hasRoomFor({ gpus, gpuMemoryBytes, port }: ClaimNeeds): boolean {
    const isTaken = this.held.some(({ version }) => version.endpoint.traits.needs.port === port);
    if (port !== undefined && isTaken) return false;
    const used = this.#working.map((card) => this.#bytesUsed(card));
    if (gpuMemoryBytes !== undefined) return Math.min(...used) + gpuMemoryBytes <= 80 * GIB;
    return used.filter((bytes) => bytes === 0).length >= (gpus?.[0]?.count ?? 0);
  }

  /** Whether a claim gets all cards at once. */
  get isFree(): boolean {
    const claim = { id: "all", pool: "all", endpoint: "all", app: "all" };
    const needs = { gpus: [{ count: CARDS.length }] };
    const effects = this.box.want(claim, { needs }, this.nowMs);
    return effects.some(({ type }) => type === "grant");
  }

  setCards(working: readonly Card[]): void {
    this.#working = working;
    const isOut = (card: Card): boolean => !working.includes(card);
    this.#claims.setCards(
      CARDS.map((card) => (isOut(card) ? { ...card, problem: "it is out" } : card)),
    );
  }

  watchMemory(): void {
    this.#claims.watchMemory();
  }

  /** A promise may be found broken where no caller hears of it. */
  #note(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#broken.push(error);
    }
  }

  /** Time passes, and what follows from the last event has happened. */
  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
    if (this.#broken.length > 0) throw this.#broken[0];
    for (const endpoint of this.endpoints) endpoint.forgetEnded();
    this.#check();
  }

  #onUses(version: PlayedVersion, { cards, phase }: PlayedContainer): void {
    const { endpoint } = version;
    for (const card of cards) {
      demand(this.#working.includes(card), "a container gets cards that work");
    }
    const { gpus } = endpoint.traits.needs;
    const wanted = gpus?.[0]?.count ?? (endpoint.traits.needs.gpuMemoryBytes === undefined ? 0 : 1);
    demand(cards.length === wanted, "a container gets as many cards as it needs");
    this.#checkOwners();
    if (phase === "starts" && !version.isPrepared) this.#checkTurn(version);
  }

  /** Of two that need the same, the one whose oldest call has waited longest is first. */
  #checkTurn(version: PlayedVersion): void {
    const { needs } = version.endpoint.traits;
    for (const other of this.#inLine) {
      const isSame = isDeepStrictEqual(other.endpoint.traits.needs, needs);
      const isFirst = other !== version && other.isInNeed && other.turnMs < version.turnMs;
      demand(!isSame || !isFirst, "the call that has waited longest comes first");
    }
  }

  /** Each card, each part of one and each port has one owner. */
  #checkOwners(): void {
    const { held } = this;
    for (const card of CARDS) {
      demand(this.#bytesUsed(card) <= card.memoryBytes, "a card is not given away twice");
    }
    const ports = held.flatMap(({ version }) => version.endpoint.traits.needs.port ?? []);
    demand(new Set(ports).size === ports.length, "a port has one owner");
  }

  /** One that has a card for itself uses all of it. */
  #bytesUsed(card: Card): number {
    return this.held
      .filter(({ container }) => container.usesCards && container.cards.includes(card))
      .map(({ version }) => version.endpoint.traits.needs.gpuMemoryBytes ?? card.memoryBytes)
      .reduce((sum, bytes) => sum + bytes, 0);
  }

  #onYields(version: PlayedVersion, container: PlayedContainer, reason: YieldReason): void {
    if (reason !== "wanted") return;
    const { readyAtMs } = container;
    const others = [...version.endpoint.versions].filter((one) => one !== version);
    // A new version takes the place of the one that serves at once.
    if (others.some(({ isPrepared }) => isPrepared)) return;
    demand(this.nowMs - readyAtMs >= LIMITS.residencyMs, "who became ready is left alone at first");
    const waitMs = Math.max(
      -Infinity,
      ...this.#turnsBeside(version).map((turnMs) => this.nowMs - Math.max(turnMs, readyAtMs)),
    );
    demand(waitMs >= 0, "a container yields to calls that wait, or to a new version");
    // A call may come from a container that was asked at the same time.
    const calls = version.callsOf(container).filter((call) => call.assignedAtMs < this.nowMs);
    const isBusy = calls.some(({ isPassive }) => !isPassive);
    demand(!isBusy || waitMs >= LIMITS.patienceMs, "a busy container has its turn");
  }

  /** Since when others wait that the containers of this version may have to yield to. */
  #turnsBeside(version: PlayedVersion): number[] {
    const turns: number[] = [];
    for (const other of this.versions) {
      if (other.isPrepared && other !== version) turns.push(0);
      for (const { queued, key } of other.waiting) {
        const isForAny = key === undefined && other !== version && other.needsMore;
        if (isForAny || key !== undefined) turns.push(queued.arrivedAt);
      }
    }
    return turns;
  }

  #onRefused({ isAccepted, requestedAtMs }: PlayedCall, code: string): void {
    if (code === "session_lost") return;
    demand(!isAccepted, "an accepted call waits");
    // Calls that come in the pause after a failed start are told so.
    const hasWaited = requestedAtMs < this.nowMs;
    demand(!this.isWell || !hasWaited, `a call is refused, and all goes well: ${code}`);
  }

  #check(): void {
    this.#inLine = new Set(this.versions.filter(({ isInNeed }) => isInNeed));
    for (const { settings, driver, calls, waiting, isRetired } of this.versions) {
      const { counts } = driver;
      demand(counts.waiting === waiting.length, "no call that waits is lost, and none twice");
      demand(counts.waiting + counts.running === calls.size, "no call is lost");
      const present = counts.ready + counts.starting;
      demand(isRetired || present <= settings.maxContainers, "there are at most max_containers");
    }
  }
}
