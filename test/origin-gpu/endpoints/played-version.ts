/** A version of an endpoint whose containers and clients are played, with the driver of its pool. */
import { Observer } from "../../../base/observer.ts";
import type { ClaimNeeds, Rollout, YieldReason } from "../../../origin-gpu/core/claims.ts";
import type { PoolSettings } from "../../../origin-gpu/core/pool-effects.ts";
import type { BoxClaims } from "../../../origin-gpu/endpoints/box-claims.ts";
import { YIELD_WORDS } from "../../../origin-gpu/endpoints/claim-words.ts";
import type { ListedContainer } from "../../../origin-gpu/endpoints/listed-container.ts";
import { PoolDriver } from "../../../origin-gpu/endpoints/pool-driver.ts";
import type { PoolDriverOptions } from "../../../origin-gpu/endpoints/pool-driver-options.ts";
import type { QueuedCall } from "../../../origin-gpu/endpoints/queued-call.ts";
import { endpointConfig, plainPython } from "../containers/endpoint.ts";
import { demand } from "../core/pool-refusal-rules.ts";
import type { PlayedEndpoint } from "./played-endpoint.ts";
import { type PlayedContainer, PlayedContainers, type PlayedPhase } from "./played-containers.ts";

export interface EndpointTraits {
  readonly name: string;
  readonly needs: ClaimNeeds;
  readonly settings: PoolSettings;
  readonly makesPythons: boolean;
}

export interface PlayedCall {
  readonly queued: QueuedCall;
  readonly isPassive: boolean;
  readonly isAccepted: boolean;
  readonly key: string | undefined;
  version: PlayedVersion;
  /** The container that works on it. */
  container: PlayedContainer | undefined;
  /** It is at its version since then. */
  requestedAtMs: number;
  /** It has its container since then. */
  assignedAtMs: number;
}

/** What the box of the endpoint checks, and what it needs for that. */
export interface EndpointWorld {
  readonly claims: BoxClaims;
  readonly onUses: (version: PlayedVersion, container: PlayedContainer) => void;
  readonly onYields: (
    version: PlayedVersion,
    container: PlayedContainer,
    reason: YieldReason,
  ) => void;
  readonly onRefused: (call: PlayedCall, code: string) => void;
}

export const CONFIG = endpointConfig({
  kind: { type: "web_server", command: [] },
  keepsAwake: { websockets: true, exceptPaths: ["/passive"] },
});

export class PlayedVersion {
  readonly endpoint: PlayedEndpoint;
  readonly name: string;
  readonly rollout: Rollout | undefined;
  readonly driver: PoolDriver;
  readonly closing = new AbortController();
  readonly calls = new Set<PlayedCall>();
  settings: PoolSettings;
  #containers: PlayedContainers | undefined;
  isRetired = false;
  /** It is prepared beside the one that serves. */
  isPrepared: boolean;
  /** It was asked last then to make room for another pool's claim. */
  yieldedAtMs = -Infinity;
  #yieldReason: YieldReason = "wanted";
  readonly #world: EndpointWorld;

  /** It begins at once. */
  constructor(
    endpoint: PlayedEndpoint,
    { number, rollout }: { readonly number: number; readonly rollout: Rollout | undefined },
    world: EndpointWorld,
  ) {
    const { name, needs } = endpoint.traits;
    this.endpoint = endpoint;
    this.name = `${name}-${number}`;
    this.rollout = rollout;
    this.isPrepared = rollout !== undefined;
    this.settings = endpoint.settings;
    this.#world = world;
    endpoint.versions.add(this);
    this.driver = new PoolDriver({
      source: {
        settings: CONFIG,
        environment: {},
        usePython: plainPython,
        observer: this.#observer,
        source: this.name,
      },
      settings: this.settings,
      claims: world.claims,
      identity: { app: `main/${name}`, functionName: name, version: number, rollout },
      needs,
      isProved: rollout === undefined,
      sessions: endpoint.sessions,
      left: [],
      manageContainers: (_, listener) => {
        this.#containers = new PlayedContainers(listener, {
          name: this.name,
          makesPythons: endpoint.traits.makesPythons,
          nowMs: world.claims.clock.now,
          onUses: (container) => world.onUses(this, container),
          onAsked: (container, to) => this.#onAsked(container, to),
          onGone: (container) => this.#onGone(container),
        });
        return this.#containers;
      },
      onRoom: () => undefined,
      onStops: () => undefined,
      onDrains: () => undefined,
      onDrained: () => undefined,
      onAssigned: this.#onAssigned,
      onRefused: (queued, { code }) => {
        const call = this.#callOf(queued);
        demand(call.container === undefined, "who is refused waits");
        this.calls.delete(call);
        world.onRefused(call, code);
      },
      onHandedOver: (queued) => {
        const call = this.#callOf(queued);
        this.calls.delete(call);
        demand(this.isRetired, "only a version that was replaced hands over");
        endpoint.takeOver(call);
      },
    });
  }

  get containers(): PlayedContainers {
    demand(this.#containers !== undefined, "the driver asks for its containers first");
    return this.#containers;
  }

  /** Its place in the line of those that wait for the same. */
  get turnMs(): number {
    const waiting = this.waiting.map(({ queued }) => queued.arrivedAt);
    return Math.max(Math.min(...waiting), this.yieldedAtMs);
  }

  /** Calls wait that any container may take, and for the first one of all it claims what that needs. */
  get isInNeed(): boolean {
    const isForAny = this.waiting.some(({ key }) => key === undefined);
    const others = [...this.endpoint.versions].filter((one) => one !== this);
    // Beside one that came by `replace`, and was given up, it begins when that has ended.
    const isHeldUp = others.some(
      ({ isPrepared, rollout, containers }) =>
        isPrepared || (rollout === "replace" && containers.all.size > 0),
    );
    if (!isForAny || this.isPrepared || isHeldUp) return false;
    const { driver, containers } = this;
    return (
      containers.all.size === 0 &&
      containers.pythons.size === 0 &&
      driver.containers.some(({ state }) => state === "claiming")
    );
  }

  /** It has more calls than containers for them, which aim at one call each. */
  get needsMore(): boolean {
    const isForThem = ({ state }: ListedContainer): boolean =>
      state === "starting" || state === "ready";
    return this.calls.size > this.driver.containers.filter(isForThem).length;
  }

  get phases(): PlayedPhase[] {
    return [...this.containers.all.values()].map(({ phase }) => phase);
  }

  get isClosed(): boolean {
    return this.closing.signal.aborted;
  }

  /** Calls in use that a container works on. */
  activeCallsOf(container: PlayedContainer): number {
    return this.callsOf(container).filter(({ isPassive }) => !isPassive).length;
  }

  callsOf(container: PlayedContainer): PlayedCall[] {
    return [...this.calls].filter((call) => call.container === container);
  }

  get waiting(): PlayedCall[] {
    return [...this.calls].filter(({ container }) => container === undefined);
  }

  request(call: PlayedCall): void {
    call.version = this;
    call.requestedAtMs = this.#world.claims.clock.now();
    Object.assign(call, { container: undefined, assignedAtMs: Infinity });
    this.calls.add(call);
    this.driver.request(call.queued);
  }

  change(settings: PoolSettings): void {
    this.settings = settings;
    this.driver.change(settings);
  }

  finish(call: PlayedCall): void {
    this.calls.delete(call);
    this.driver.finished(call.queued, "completed");
  }

  /** Nothing of the call was sent to its container. */
  requeue(call: PlayedCall): void {
    Object.assign(call, { container: undefined, assignedAtMs: Infinity });
    this.driver.requeued(call.queued);
  }

  close(): void {
    this.isPrepared = false;
    this.closing.abort();
    void this.driver.close();
  }

  readonly #onAssigned: PoolDriverOptions["onAssigned"] = (queued, { id }) => {
    const call = this.#callOf(queued);
    const container = this.containers.all.get(this.containers.numberOf(id));
    demand(call.container === undefined, "an assigned call waits");
    demand(container?.phase === "serves", "a call is assigned to a container that serves");
    const { maxInputs } = this.settings;
    demand(this.callsOf(container).length < maxInputs, "it has at most max_inputs calls");
    call.container = container;
    call.assignedAtMs = this.#world.claims.clock.now();
    this.endpoint.servedAtMs = call.assignedAtMs;
  };

  #onAsked(container: PlayedContainer, to: "sleep" | "end"): void {
    if (container.isBroken || this.isClosed) return;
    demand(this.activeCallsOf(container) === 0, `no container has to ${to} while it works`);
  }

  #onGone(container: PlayedContainer): void {
    for (const call of this.callsOf(container)) this.endpoint.onBroken(call);
  }

  #callOf(queued: QueuedCall): PlayedCall {
    const call = [...this.calls].find((one) => one.queued === queued);
    demand(call !== undefined, "a call is at one version, until it ends");
    return call;
  }

  get #observer(): Observer {
    return new Observer({
      sinks: [
        ({ name, fields: { text, to, reason, container } }) => {
          if (name === "container.state" && to === "draining" && reason === "yields") {
            const yielding = this.containers.all.get(this.containers.numberOf(String(container)));
            demand(yielding !== undefined, "who yields is there");
            this.#world.onYields(this, yielding, this.#yieldReason);
          }
          if (typeof text !== "string") return;
          for (const [why, words] of Object.entries(YIELD_WORDS)) {
            if (text.includes(words)) this.#onYieldAsked(why as YieldReason);
          }
        },
      ],
      now: this.#world.claims.clock.now,
    });
  }

  #onYieldAsked(reason: YieldReason): void {
    this.#yieldReason = reason;
    if (reason === "wanted") this.yieldedAtMs = this.#world.claims.clock.now();
  }
}
