/**
 * One app on this box: the version that takes its calls, and at most one candidate that is started beside
 * it. A candidate takes over only when all of its containers are ready; one that fails changes nothing.
 *
 * Two versions can't both have a fixed port. There the running version gives way first: it finishes what
 * runs and keeps what waits, for the version that comes up, or for itself where that fails.
 */
import type { Endpoint, PoolActivity } from "../endpoints/endpoint.ts";
import { StartFailure } from "../containers/container.ts";
import {
  AppVersion,
  type BoxServices,
  type ServedFunction,
  type VersionDescription,
} from "./app-version.ts";

interface VersionCandidate {
  readonly version: AppVersion;
  /** Endpoints of the serving version that gave way. */
  readonly suspended: readonly Endpoint[];
}

export class AppRuntime {
  readonly #services: BoxServices;
  #serving: AppVersion | undefined;
  #candidate: VersionCandidate | undefined;
  /** Tells a preparation that a newer one, or the end, has come. */
  #preparations = 0;
  /** One preparation at a time gives way, starts and fails. */
  #preparing: Promise<unknown> = Promise.resolve();
  /** Versions that finish what they have, with the promise of their end. */
  readonly #retiring = new Map<AppVersion, Promise<void>>();

  constructor(services: BoxServices) {
    this.#services = services;
  }

  /** A function of the version that takes calls. */
  find(functionName: string): ServedFunction | undefined {
    return this.#serving?.find(functionName);
  }

  /** The longest of the serving version's endpoints, in seconds. */
  get exitGracePeriod(): number {
    return this.#serving?.exitGracePeriod ?? 0;
  }

  /** By function that has containers: their counts, those of the prepared version included. */
  get activity(): Map<string, PoolActivity> {
    const sum = new Map<string, PoolActivity>();
    for (const version of [this.#serving, this.#candidate?.version]) {
      for (const [functionName, activity] of version?.activity ?? []) {
        const other = sum.get(functionName);
        sum.set(functionName, other === undefined ? activity : joined(other, activity));
      }
    }
    return sum;
  }

  /**
   * Starts a version and sends it calls at once: they wait until it is ready. Resolves when it is.
   * @throws {StartFailure} when it does not become ready; it serves nevertheless, and is tried again by calls
   */
  async begin(description: VersionDescription): Promise<void> {
    const version = new AppVersion(description, this.#services);
    void this.#install(version);
    await version.ready;
  }

  /**
   * Starts a version beside the serving one; resolves when all of its containers are ready.
   * @throws {StartFailure} when one does not become ready, or another preparation or `abandon` comes first
   */
  async prepare(description: VersionDescription): Promise<void> {
    // In this turn: one that comes while the older one ends must be told from this one.
    const abandoned = this.abandon();
    const preparation = this.#preparations;
    const before = Promise.all([this.#preparing, abandoned]);
    const preparing = before.then(async () => await this.#prepare(description, preparation));
    this.#preparing = preparing.catch(() => undefined);
    await preparing;
  }

  async #prepare(description: VersionDescription, preparation: number): Promise<void> {
    if (preparation !== this.#preparations) throw superseded();
    const suspended = this.#serving?.onPorts(fixedPorts(description)) ?? [];
    await this.#giveWay(suspended);
    if (preparation !== this.#preparations) {
      for (const endpoint of suspended) endpoint.resume();
      throw superseded();
    }
    const version = new AppVersion(description, this.#services);
    const candidate: VersionCandidate = { version, suspended };
    this.#candidate = candidate;
    try {
      await version.ready;
    } catch (error) {
      if (this.#candidate === candidate) await this.abandon();
      throw error;
    }
    if (this.#candidate !== candidate) throw superseded();
  }

  /**
   * Sends new calls to the prepared version from now on; the old one finishes what it has and ends.
   * Resolves when it has.
   */
  async switchTo(): Promise<void> {
    const candidate = this.#candidate;
    if (candidate === undefined) throw new Error("no version has been prepared");
    this.#candidate = undefined;
    await this.#install(candidate.version);
  }

  /** Ends the candidate, or what is being prepared. */
  async abandon(): Promise<void> {
    this.#preparations += 1;
    const candidate = this.#candidate;
    this.#candidate = undefined;
    await candidate?.version.close();
    for (const endpoint of candidate?.suspended ?? []) endpoint.resume();
  }

  /** Takes no calls any more; resolves when those that it has are finished and its containers gone. */
  async stop(): Promise<void> {
    await this.abandon();
    void this.#install(undefined);
    await Promise.all(this.#retiring.values());
  }

  /** Ends everything now. */
  async close(): Promise<void> {
    this.#preparations += 1;
    const versions = [this.#candidate?.version, this.#serving, ...this.#retiring.keys()];
    this.#candidate = undefined;
    this.#serving = undefined;
    await Promise.all(versions.map(async (version) => await version?.close()));
  }

  async #install(version: AppVersion | undefined): Promise<void> {
    const old = this.#serving;
    this.#serving = version;
    if (version !== undefined) this.#services.onServing();
    if (old === undefined) return;
    const retired = old.retire(version).finally(() => this.#retiring.delete(old));
    this.#retiring.set(old, retired);
    await retired;
  }

  async #giveWay(endpoints: readonly Endpoint[]): Promise<void> {
    if (endpoints.length === 0) return;
    const ports = endpoints.map(({ fixedPort }) => fixedPort).join(", ");
    this.#services.observer.notice(
      `postern: both versions have port ${ports}: the running one stops first, and requests wait meanwhile; with "$PORT" in the command there would be no gap`,
    );
    await Promise.all(endpoints.map(async (endpoint) => await endpoint.suspend()));
  }
}

function joined(one: PoolActivity, other: PoolActivity): PoolActivity {
  return {
    ready: one.ready + other.ready,
    starting: one.starting + other.starting,
    failed: one.failed + other.failed,
    waiting: one.waiting + other.waiting,
    error: one.error || other.error,
  };
}

function superseded(): StartFailure {
  return new StartFailure("starting_failed", "another version came before it was ready");
}

function fixedPorts({ endpoints }: VersionDescription): Set<number> {
  const ports = endpoints.flatMap(({ kind }) =>
    kind.type === "web_server" && kind.port !== undefined ? [kind.port] : [],
  );
  return new Set(ports);
}
