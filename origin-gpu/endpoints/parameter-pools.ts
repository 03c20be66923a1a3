/**
 * The endpoint of a function with parameters: a pool of its own for each set of values that requests ask for, behind the
 * function's one name. A set begins with its first request. At most MOST_SETS live at once: the one that was used least
 * recently and has no call makes room for a new one, and where each has calls, the new one is refused. A set has shares of
 * its own where other boxes have it too.
 */
import { err, ok, type Result } from "../../base/result.ts";
import type { PoolLoad } from "../../routing/wire/pool-load.ts";
import type { Scaling } from "../../routing/wire/scaling.ts";
import { PARAMETERS_VARIABLE } from "../../routing/wire/variables.ts";
import type { RequestSession } from "../../routing/wire/sessions.ts";
import type { Call } from "../calls/call.ts";
import type { CallRunner } from "../calls/call-registry.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import { fixedPortOf } from "../config/python-kinds.ts";
import { type Parameters, parameterSet } from "../core/parameters.ts";
import type { SessionTable } from "../core/session-table.ts";
import type { Failure } from "../../routing/wire/messages.ts";
import { callTerms } from "./call-terms.ts";
import { Endpoint, type Reroute } from "./endpoint.ts";
import type { EndpointOptions } from "./endpoint-options.ts";
import type { ListedContainer } from "./listed-container.ts";
import { digestOf, shown } from "./parameter-set-names.ts";
import { joinedActivity, joinedLoad, NO_ACTIVITY, type PoolActivity } from "./pool-activity.ts";
import type { LeasedPool, PoolMembership } from "./pool-terms.ts";
import type { PoolView, ServedPools } from "./served-pools.ts";
import { leavable } from "./take-left.ts";

/** Each may have `max_containers`. */
const MOST_SETS = 32;

/** Of a set that has not begun. */
const EMPTY: PoolView = {
  activity: NO_ACTIVITY,
  load: { running: 0, waiting: 0, room: 0, coming: 0 },
  hasSession: () => false,
  isElsewhere: false,
};

export interface ParameterPoolsOptions extends Omit<EndpointOptions, "sessions" | "joinLeases"> {
  readonly parameters: Parameters;
  /** MOST_SETS where it is not said. */
  readonly mostSets?: number;
  /** Other boxes run the endpoint too. @param parameters a digest of the pool's set */
  readonly joinLeases?: (pool: LeasedPool, parameters: string) => PoolMembership;
  /** Of all versions of the endpoint, by set. */
  readonly sessionsOf: (set: string) => SessionTable;
}

interface ParameterSet {
  readonly endpoint: Endpoint;
  /** A request has asked for it. */
  isAsked: boolean;
}

export class ParameterPools implements ServedPools {
  /** As `Endpoint.ready`, of the set of defaults. A function that has none shows nothing before its first request. */
  readonly ready: Promise<unknown>;
  readonly #options: ParameterPoolsOptions;
  readonly #mostSets: number;
  /** By their values, those used least recently first. */
  readonly #sets = new Map<string, ParameterSet>();
  /** Those that made room, with the set of each. */
  readonly #ending = new Map<Endpoint, string>();
  #scaling: Scaling | undefined;
  /** Its start shows whether the version works: it makes room for no other set before it has. */
  #proving: Endpoint | undefined;
  #isServing = false;
  #reroute: Reroute | undefined;

  constructor(options: ParameterPoolsOptions) {
    this.#options = options;
    this.#mostSets = options.mostSets ?? MOST_SETS;
    this.#scaling = options.scaling;
    for (const set of this.#setsLeft()) this.#begin(set, { isAsked: true, isProved: true });
    const defaults = parameterSet(options.parameters, "");
    const known = defaults.ok ? this.#sets.get(defaults.value)?.endpoint : undefined;
    if (defaults.ok && !options.isProved && known === undefined) {
      this.#proving = this.#begin(defaults.value, { isAsked: false, isProved: false });
    }
    this.ready = this.#proving?.ready ?? Promise.resolve();
    const onShown = (): void => {
      this.#proving = undefined;
    };
    // Callers that wait for it get the failure. Without one, Node would report an unhandled rejection.
    void this.ready.then(onShown, onShown);
  }

  get activity(): PoolActivity {
    return this.#all.reduce((sum, { activity }) => joinedActivity(sum, activity), NO_ACTIVITY);
  }

  /** Its sets' load together, with room for one that nobody has asked for. */
  get load(): PoolLoad {
    const load = joinedLoad(this.#live.map((endpoint) => endpoint.load));
    const { maxInputs } = this.#options.settings;
    return { ...load, room: load.room + (this.#mayBegin ? maxInputs : 0) };
  }

  readonly select = (target: string): Result<PoolView, Failure> => {
    const set = parameterSet(this.#options.parameters, target);
    if (!set.ok) return set;
    const known = this.#sets.get(set.value);
    if (known !== undefined) return ok(known.endpoint);
    return this.#mayBegin ? ok(EMPTY) : err(this.#full);
  };

  readonly decide = (target: string): Promise<void> | undefined => {
    const set = parameterSet(this.#options.parameters, target);
    if (!set.ok) return undefined;
    const known = this.#sets.get(set.value)?.endpoint;
    const { joinLeases } = this.#options;
    if (known !== undefined || joinLeases === undefined) return known?.undecided;
    if (this.#reroute !== undefined || !this.#mayBegin) return undefined;
    return this.#beginNew(set.value, false).undecided;
  };

  runner(settings: EndpointConfig, link: number): CallRunner {
    return {
      ...callTerms(settings),
      run: (call) =>
        this.#give(call, settings, link, (pool) => pool.runner(settings, link).run(call)),
    };
  }

  takeOver(call: Call, settings: EndpointConfig, link: number): void {
    this.#give(call, settings, link, (pool) => pool.takeOver(call, settings, link));
  }

  get hasClaims(): boolean {
    const { gpus, gpuMemory, kind } = this.#options.settings;
    return gpus.length > 0 || gpuMemory !== undefined || fixedPortOf(kind) !== undefined;
  }

  get containers(): ListedContainer[] {
    const live = [...this.#sets].map(([set, { endpoint }]) => [endpoint, set] as const);
    return [...live, ...this.#ending].flatMap(([{ containers }, set]) =>
      containers.map((container) => ({ ...container, parameters: shown(set) })),
    );
  }

  stopContainer(containerId: string): boolean {
    return this.#all.some((endpoint) => endpoint.stopContainer(containerId));
  }

  rescale(scaling?: Scaling): void {
    this.#scaling = scaling;
    for (const { endpoint, isAsked } of this.#sets.values()) {
      endpoint.rescale(this.#scalingOf(isAsked));
    }
  }

  /** Each set is where it is. */
  get isElsewhere(): boolean {
    return false;
  }

  unpin(): void {
    this.#isServing = true;
    for (const endpoint of this.#all) endpoint.unpin();
  }

  onVersionAbandoned(): void {
    for (const endpoint of this.#live) endpoint.onVersionAbandoned();
  }

  hasSession(session: RequestSession): boolean {
    return this.#live.some((endpoint) => endpoint.hasSession(session));
  }

  knowsSession(keys: readonly string[]): boolean {
    return this.#live.some((endpoint) => endpoint.knowsSession(keys));
  }

  async retire(reroute: Reroute, keepsSessions: boolean): Promise<void> {
    this.#reroute = reroute;
    await Promise.all(
      this.#all.map(async (endpoint) => await endpoint.retire(reroute, keepsSessions)),
    );
  }

  async close(reason?: string): Promise<void> {
    this.#reroute ??= (call) => {
      call.fail({ code: "no_origin", detail: "the app has ended", retryAfter: 1 });
    };
    await Promise.all(this.#all.map(async (endpoint) => await endpoint.close(reason)));
  }

  async leave(): Promise<void> {
    await Promise.all([
      ...this.#live.map(async (endpoint) => await endpoint.leave()),
      ...[...this.#ending.keys()].map(async (endpoint) => await endpoint.close()),
    ]);
  }

  get #live(): Endpoint[] {
    return [...this.#sets.values()].map(({ endpoint }) => endpoint);
  }

  get #all(): Endpoint[] {
    return [...this.#live, ...this.#ending.keys()];
  }

  get #mayBegin(): boolean {
    return this.#sets.size < this.#mostSets || this.#live.some((pool) => this.#mayEnd(pool));
  }

  #mayEnd(pool: Endpoint): boolean {
    return pool.isIdle && pool !== this.#proving;
  }

  #give(call: Call, settings: EndpointConfig, link: number, to: (pool: Endpoint) => void): void {
    const set = parameterSet(this.#options.parameters, call.head.target);
    if (!set.ok) {
      call.fail(set.error);
      return;
    }
    const known = this.#sets.get(set.value);
    if (known === undefined && this.#reroute !== undefined) {
      this.#reroute(call, settings.function, link);
      return;
    }
    if (known !== undefined) to(this.#use(set.value, known));
    // A client that was told that its call goes on was counted when the call came.
    else if (this.#mayBegin || call.isPromised) to(this.#beginNew(set.value, true));
    else call.fail(this.#full);
  }

  get #full(): Failure {
    const { function: name } = this.#options.settings;
    const detail = `${name} works for ${this.#mostSets} sets of parameters, as many as it may`;
    return { code: "queue_full", detail, retryAfter: 1 };
  }

  /** It was used just now. */
  #use(set: string, known: ParameterSet): Endpoint {
    this.#sets.delete(set);
    this.#sets.set(set, known);
    if (!known.isAsked) {
      known.isAsked = true;
      known.endpoint.rescale(this.#scalingOf(true));
    }
    return known.endpoint;
  }

  /** Its first container has to show that it starts: calls of values that no class takes are refused at once. */
  #beginNew(set: string, isAsked: boolean): Endpoint {
    if (this.#sets.size >= this.#mostSets) this.#makeRoom();
    return this.#begin(set, { isAsked, isProved: false });
  }

  /** One without containers may live on another box: it goes first. */
  #makeRoom(): void {
    const idle = [...this.#sets].filter(([, { endpoint }]) => this.#mayEnd(endpoint));
    const isEmpty = ([, { endpoint }]: (typeof idle)[number]) => endpoint.containers.length === 0;
    for (const [set, { endpoint }] of [...idle.filter(isEmpty), ...idle]) {
      this.#sets.delete(set);
      this.#ending.set(endpoint, set);
      void endpoint.close("its parameters are not used any more").finally(() => {
        this.#ending.delete(endpoint);
      });
      return;
    }
  }

  #begin(set: string, { isAsked, isProved }: { isAsked: boolean; isProved: boolean }): Endpoint {
    const { identity, sessionsOf, joinLeases, parameters: _, ...options } = this.#options;
    const { environment, source } = options;
    const endpoint = new Endpoint({
      ...options,
      isProved,
      sessions: sessionsOf(set),
      scaling: this.#scalingOf(isAsked),
      joinLeases: joinLeases && ((pool) => joinLeases(pool, digestOf(set))),
      identity: { ...identity, rollout: this.#isServing ? undefined : identity.rollout },
      environment: { ...environment, [PARAMETERS_VARIABLE]: set },
      source: `${source} ${shown(set)}`,
    });
    this.#sets.set(set, { endpoint, isAsked });
    return endpoint;
  }

  /** The least number of containers is that of sets that somebody asks for. */
  #scalingOf(isAsked: boolean): Scaling | undefined {
    return isAsked ? this.#scaling : { ...this.#scaling, min_containers: 0 };
  }

  /** The sets of containers that the last agent left running. */
  #setsLeft(): string[] {
    const { left, identity } = this.#options;
    const known = leavable(this.#options, identity, []);
    if (left === undefined || known === undefined) return [];
    return left.parametersOf(known.endpoint, known.version).slice(0, this.#mostSets);
  }
}
