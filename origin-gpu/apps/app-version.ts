/**
 * One version of an app on this box: its endpoints by function, and the life of their containers. app-runtime.ts
 * decides which version takes new calls.
 */
import { servedFunction, type ServedFunction } from "./served-function.ts";
import type { Observer } from "../../base/observer.ts";
import type { Call } from "../calls/call.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import type { RoomNews } from "../core/claims.ts";
import { SessionTables } from "../core/session-tables.ts";
import type { ContainerLogs } from "../logs/container-logs.ts";
import type { ContainerDescription } from "../../routing/wire/container-descriptions.ts";
import type { Scaling } from "../../routing/wire/scaling.ts";
import { Endpoint } from "../endpoints/endpoint.ts";
import type { BoxOptions, EndpointOptions } from "../endpoints/endpoint-options.ts";
import { claimNeeds } from "../endpoints/pool-settings.ts";
import { ParameterPools } from "../endpoints/parameter-pools.ts";
import type { ServedPools } from "../endpoints/served-pools.ts";
import type { PoolActivity } from "../endpoints/pool-activity.ts";
import type { GradioDirectories, GradioDirectory } from "./gradio-directories.ts";
import { filesOf } from "./gradio-files.ts";
import type { LeasedPool } from "../endpoints/pool-terms.ts";
import type { PoolKey } from "../../routing/wire/pool-leases.ts";
import type { PoolLeases } from "./pool-leases.ts";
import type { SharedData } from "./shared-data.ts";
import { containerVariables, type AppIdentity } from "./container-variables.ts";

/** By function: numbers of containers that were changed; the rest is as the configuration says. */
export type ScalingByFunction = Readonly<Record<string, Scaling>>;

/** A log is found by the names of so many functions beside its own: its first line stays short. */
const MOST_LOGGED_GUESTS = 250;

export interface VersionDescription extends AppIdentity {
  readonly endpoints: readonly EndpointConfig[];
  /** In front of a function's name in the log. */
  readonly logName: string;
  /** It is served for as long as a command runs (`postern serve`). */
  readonly isEphemeral?: boolean;
  /** The pools that other boxes run too, and the app's id, by which all of them mean the same. */
  readonly shared?: { readonly app: string; readonly pools: ReadonlySet<string> };
  /** As it begins; `rescale` changes it. */
  readonly scaling?: ScalingByFunction;
}

/** The services that all versions on this box share. */
export interface BoxServices extends BoxOptions {
  readonly observer: Observer;
  /** Shares pools with other boxes; absent where no app is deployed to this one. */
  readonly leases?: Pick<PoolLeases, "join">;
  /** Absent where the agent keeps nothing. */
  readonly gradio?: GradioDirectories | undefined;
  /** Absent where the agent keeps nothing. */
  readonly data?: SharedData | undefined;
  /** Without them no line of a container is kept. */
  readonly logs?: ContainerLogs;
  /** Called when a version of an app begins to take calls. */
  readonly onServing: () => void;
}

export interface VersionBeginning {
  /** It serves elsewhere: its containers start when they are needed, and not now. */
  readonly isProved?: boolean;
  /** It is prepared beside the serving version, which makes room for it as `rollout` says. */
  readonly isPrepared?: boolean;
  /** As in `PoolDriverOptions`. */
  readonly onRoom?: (news: RoomNews) => void;
  /** A container of the function may not become ready, for this reason. */
  readonly onDoubt?: (functionName: string, reason: string) => void;
  /** The sessions of a function that has containers, which all versions of the app share; none at first otherwise. */
  readonly sessions?: SessionTables;
}

export class AppVersion {
  /** Resolves when each endpoint has had a container that was ready; rejects with the first `StartFailure`. */
  readonly ready: Promise<void>;
  readonly #identity: AppIdentity;
  readonly #settings = new Map<string, EndpointConfig>();
  /** By function; those that share containers share the endpoint. */
  readonly #endpoints = new Map<string, ServedPools>();
  readonly #files = new Map<string, GradioDirectory>();
  readonly #served = new Map<string, ServedFunction>();

  constructor(
    description: VersionDescription,
    { onServing: _onServing, logs, leases, gradio, data, ...services }: BoxServices,
    {
      isProved = false,
      isPrepared = false,
      onRoom,
      onDoubt,
      sessions = new SessionTables(),
    }: VersionBeginning = {},
  ) {
    this.#identity = description;
    const { environment, app, version, endpoints, logName, isEphemeral, shared } = description;
    const { scaling = {} } = description;
    for (const settings of endpoints) {
      const { function: name } = settings;
      this.#settings.set(name, settings);
      if (settings.containersOf !== undefined) continue;
      const guests = endpoints
        .filter(({ containersOf }) => containersOf === name)
        .map((guest) => guest.function)
        .slice(0, MOST_LOGGED_GUESTS);
      const directory = gradio?.open(`${environment}/${app}`, settings);
      if (directory !== undefined) this.#files.set(name, directory);
      const options: Omit<EndpointOptions, "sessions" | "joinLeases"> = {
        ...services,
        files: directory && filesOf({ environment, app, function: name }, directory, services),
        settings,
        scaling: scaling[name],
        environment: {
          ...containerVariables(description, name),
          ...directory?.variables,
          ...data?.variables(environment, settings),
        },
        source: `${logName}${name}`,
        beginLog: (container) =>
          logs?.begin({ container, environment, app, function: name, guests, version }),
        identity: {
          app: `${environment}/${app}`,
          functionName: name,
          version,
          rollout: isPrepared ? settings.rollout : undefined,
        },
        isProved,
        isEphemeral,
        onRoom,
        onDoubt: (reason) => onDoubt?.(name, reason),
      };
      const joinLeases =
        leases !== undefined && shared?.pools.has(name) === true
          ? (pool: LeasedPool, set: Pick<PoolKey, "parameters"> = {}) =>
              leases.join({ app: shared.app, version, pool: name, ...set }, pool)
          : undefined;
      const { parameters } = settings;
      const endpoint =
        parameters === undefined
          ? new Endpoint({ ...options, joinLeases, sessions: sessions.of(name) })
          : new ParameterPools({
              ...options,
              parameters,
              sessionsOf: (set) => sessions.of(name, set),
              ...(joinLeases && {
                joinLeases: (pool, digest) => joinLeases(pool, { parameters: digest }),
              }),
            });
      this.#endpoints.set(name, endpoint);
    }
    for (const { function: name, containersOf: owner } of endpoints) {
      const shared = owner === undefined ? undefined : this.#endpoints.get(owner);
      if (shared !== undefined) this.#endpoints.set(name, shared);
    }
    for (const [name, settings] of this.#settings) {
      const endpoint = this.#endpoints.get(name);
      const files = this.#files.get(settings.containersOf ?? name);
      if (endpoint === undefined) continue;
      const needs = claimNeeds(this.#settings.get(settings.containersOf ?? name) ?? settings);
      const isBlocked = () => services.claims.isBlocked(needs);
      this.#served.set(name, servedFunction(settings, { endpoint, files, isBlocked }));
    }
    this.ready = Promise.all(this.#pools.map((endpoint) => endpoint.ready)).then(() => undefined);
    // Callers that wait for `ready` get the failure. Without one, Node would report an unhandled rejection.
    this.ready.catch(() => undefined);
  }

  /** Has these numbers of containers from now on. */
  rescale(scaling: ScalingByFunction): void {
    for (const [name, endpoint] of this.#owners) endpoint.rescale(scaling[name]);
  }

  /** It serves now: its containers have no priority any more. */
  onServing(): void {
    for (const endpoint of this.#pools) endpoint.unpin();
  }

  /** The version that was prepared beside it is given up. */
  onAbandoned(): void {
    for (const endpoint of this.#pools) endpoint.onVersionAbandoned();
  }

  /** Whether a container of it needs something of the box that others may have. */
  get hasClaims(): boolean {
    return this.#pools.some((endpoint) => endpoint.hasClaims);
  }

  /** The longest of its endpoints, in seconds. */
  get exitGracePeriod(): number {
    return Math.max(...[...this.#settings.values()].map((settings) => settings.exitGracePeriod));
  }

  find(functionName: string): ServedFunction | undefined {
    return this.#served.get(functionName);
  }

  /** Its containers that are not gone. */
  get containers(): ContainerDescription[] {
    const { environment, app, version } = this.#identity;
    return this.#owners.flatMap(([name, endpoint]) => {
      const kind = this.#settings.get(name)?.kind;
      const port = kind?.type === "web_server" ? kind.port : undefined;
      return endpoint.containers.map(({ id, state, calls, cards, startedAtMs, parameters }) => ({
        container: id,
        endpoint: `${environment}/${app}/${name}`,
        version,
        // One that is gone is not listed.
        state: state as ContainerDescription["state"],
        ...(startedAtMs !== undefined && { startedAt: startedAtMs }),
        calls,
        cards: cards.map((card) => card.id),
        ...(port !== undefined && { port }),
        ...(parameters !== undefined && { parameters }),
      }));
    });
  }

  /** As in `ContainerListing`. */
  stopContainer(container: string): boolean {
    return this.#pools.some((endpoint) => endpoint.stopContainer(container));
  }

  /** The counts of each function that has containers of its own. */
  get activity(): [functionName: string, PoolActivity][] {
    return this.#owners.map(([name, endpoint]) => [name, endpoint.activity]);
  }

  /**
   * Takes no new calls and finishes those that run, each endpoint within its grace period; then its containers end.
   * Calls that wait go to the successor at once, where that has the function, and fail otherwise. With a successor, calls
   * of sessions that its containers have come in the grace period too.
   */
  async retire(successor: AppVersion | undefined): Promise<void> {
    const reroute = (call: Call, functionName: string, link: number): void => {
      if (successor?.takeOver(call, functionName, link) === true) return;
      const detail = "the app was stopped before the call's turn came";
      call.fail({ code: "no_origin", detail, retryAfter: 1 });
    };
    await Promise.all(
      this.#pools.map(async (endpoint) => await endpoint.retire(reroute, successor !== undefined)),
    );
  }

  /** Ends calls and containers now. */
  async close(): Promise<void> {
    await Promise.all(this.#pools.map(async (endpoint) => await endpoint.close()));
  }

  /** Leaves its containers to the next agent, where that can be. */
  async leave(): Promise<void> {
    await Promise.all(this.#pools.map(async (endpoint) => await endpoint.leave()));
  }

  /** Runs a call that waited in an older version. */
  private takeOver(call: Call, functionName: string, link: number): boolean {
    const settings = this.#settings.get(functionName);
    const endpoint = this.#endpoints.get(functionName);
    if (settings === undefined || endpoint === undefined) return false;
    endpoint.takeOver(call, settings, link);
    return true;
  }

  /** Functions with containers of their own. */
  get #owners(): (readonly [functionName: string, endpoint: ServedPools])[] {
    return [...this.#endpoints].filter(
      ([name]) => this.#settings.get(name)?.containersOf === undefined,
    );
  }

  get #pools(): ServedPools[] {
    return [...new Set(this.#endpoints.values())];
  }
}
