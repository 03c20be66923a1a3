/**
 * One app on this box: the version that takes its calls, and at most one candidate that is started beside
 * it. A candidate takes over only when each of its endpoints has had a container that was ready; one that fails
 * changes nothing.
 *
 * Where both versions don't fit on the box at once, by their GPUs or a fixed port, the box asks the serving one for its
 * containers (core/box.ts). That one finishes what runs and keeps what waits, for the version that comes up, or for
 * itself where that fails.
 */
import type { ContainerDescription } from "../../routing/wire/container-descriptions.ts";
import { ok } from "../../base/result.ts";
import { joinedActivity, type PoolActivity } from "../endpoints/pool-activity.ts";
import type { CallRunner } from "../calls/call-registry.ts";
import type { RoomNews } from "../core/claims.ts";
import { SessionTables } from "../core/session-tables.ts";
import type { RequestSession } from "../../routing/wire/sessions.ts";
import { StartFailure } from "../containers/container.ts";
import {
  AppVersion,
  type BoxServices,
  type ScalingByFunction,
  type VersionBeginning,
  type VersionDescription,
} from "./app-version.ts";
import type { ServedFunction } from "./served-function.ts";

export interface PreparedVersion {
  /** Its containers need GPUs or ports, of which the box has so many. */
  readonly hasClaims: boolean;
}

/** How the version that is being prepared comes by its room, or why it may not become ready. */
export type PreparationNews = RoomNews | { readonly doubt: string };

export class AppRuntime {
  readonly #services: BoxServices;
  #serving: AppVersion | undefined;
  #candidate: AppVersion | undefined;
  /** Told of the candidate. */
  #onNews: (news: PreparationNews) => void = () => undefined;
  /** Tells a preparation that a newer one, or the end, has come. */
  #preparations = 0;
  /** One preparation at a time gives way, starts and fails. */
  #preparing: Promise<unknown> = Promise.resolve();
  readonly #sessions = new SessionTables();
  /** Versions that finish what they have, with the promise of their end. */
  readonly #retiring = new Map<AppVersion, Promise<void>>();

  constructor(services: BoxServices) {
    this.#services = services;
  }

  /** A function of the version that takes calls. Those of sessions that an older version has go there. */
  find(functionName: string): ServedFunction | undefined {
    const served = this.#serving?.find(functionName);
    if (served === undefined || this.#retiring.size === 0) return served;
    return this.#besideOlder(functionName, served);
  }

  /** @param target of a request whose parameters have selected among the function's containers */
  #besideOlder(functionName: string, served: ServedFunction, target?: string): ServedFunction {
    const { select } = served;
    return {
      ...served,
      get load() {
        return served.load;
      },
      ...(select !== undefined && {
        select: (asked) => {
          const selected = select(asked);
          if (!selected.ok) return selected;
          return ok(this.#besideOlder(functionName, selected.value, asked));
        },
      }),
      runner: (link) => this.#runner(functionName, served, link),
      hasSession: (session) =>
        served.hasSession(session) || this.#olderWith(functionName, session, target) !== undefined,
    };
  }

  #runner(functionName: string, served: ServedFunction, link: number): CallRunner {
    const runner = served.runner(link);
    return {
      ...runner,
      run: (call) => {
        const { session, target } = call.head;
        const older = session && this.#olderWith(functionName, session, target);
        (older?.runner(link) ?? runner).run(call);
      },
    };
  }

  /** @param target of the request, as far as it is known */
  #olderWith(
    functionName: string,
    session: RequestSession,
    target: string | undefined,
  ): ServedFunction | undefined {
    for (const version of this.#retiring.keys()) {
      const whole = version.find(functionName);
      const selected = target === undefined ? undefined : whole?.select?.(target);
      if (selected?.ok === false) continue;
      const served = selected?.value ?? whole;
      if (served?.hasSession(session) === true) return served;
    }
    return undefined;
  }

  /** The longest of the serving version's endpoints, in seconds. */
  get exitGracePeriod(): number {
    return this.#serving?.exitGracePeriod ?? 0;
  }

  /** Gives the serving version other numbers of containers. */
  rescale(scaling: ScalingByFunction): void {
    this.#serving?.rescale(scaling);
  }

  /** The containers of all its versions, those that end included. */
  get containers(): ContainerDescription[] {
    return this.#versions.flatMap((version) => version.containers);
  }

  /** As in `ContainerListing`. */
  stopContainer(container: string): boolean {
    return this.#versions.some((version) => version.stopContainer(container));
  }

  /** By function that has containers: their counts, those of the prepared version included. */
  get activity(): Map<string, PoolActivity> {
    const sum = new Map<string, PoolActivity>();
    for (const version of [this.#serving, this.#candidate]) {
      for (const [functionName, activity] of version?.activity ?? []) {
        const other = sum.get(functionName);
        sum.set(functionName, other === undefined ? activity : joinedActivity(other, activity));
      }
    }
    return sum;
  }

  /**
   * Starts a version and sends it calls at once: they wait until it is ready. Resolves when it is.
   * @param isProved it serves elsewhere, and need not start before it is needed
   * @throws {StartFailure} when it does not become ready; it serves nevertheless, and is tried again by calls
   */
  async begin(description: VersionDescription, { isProved = false } = {}): Promise<void> {
    const version = this.#begin(description, { isProved });
    void this.#install(version);
    await version.ready;
  }

  /**
   * Starts a version beside the serving one; resolves when all of its containers are ready.
   * @param onNews the two don't fit beside each other, or a container of the new one may not become ready
   * @returns whether the two share what others may claim
   * @throws {StartFailure} when one does not become ready, or another preparation or `abandon` comes first
   */
  async prepare(
    description: VersionDescription,
    onNews: (news: PreparationNews) => void = () => undefined,
  ): Promise<PreparedVersion> {
    // In this turn: one that comes while the older one ends must be told from this one.
    const abandoned = this.#abandon();
    const preparation = this.#preparations;
    const before = Promise.all([this.#preparing, abandoned]);
    const preparing = before.then(async () => {
      this.#onNews = onNews;
      return await this.#prepare(description, preparation);
    });
    this.#preparing = preparing.catch(() => undefined);
    return await preparing;
  }

  #begin(description: VersionDescription, beginning: VersionBeginning): AppVersion {
    const onRoom = (news: RoomNews): void => this.#onNews(news);
    const sessions = this.#sessions;
    return new AppVersion(description, this.#services, { ...beginning, onRoom, sessions });
  }

  async #prepare(description: VersionDescription, preparation: number): Promise<PreparedVersion> {
    if (preparation !== this.#preparations) throw superseded();
    const version = this.#begin(description, {
      isPrepared: true,
      onDoubt: (functionName, reason) => {
        const doubt = `${functionName}: warning: ${reason}`;
        if (this.#candidate === version) this.#onNews({ doubt });
      },
    });
    this.#candidate = version;
    try {
      await version.ready;
    } catch (error) {
      if (this.#candidate === version) await this.abandon();
      throw error;
    }
    if (this.#candidate !== version) throw superseded();
    return { hasClaims: version.hasClaims };
  }

  /**
   * Sends new calls to the prepared version from now on; the old one finishes what it has and ends.
   * Resolves when it has.
   */
  async switchTo(): Promise<void> {
    const candidate = this.#candidate;
    if (candidate === undefined) throw new Error("no version has been prepared");
    this.#candidate = undefined;
    this.#onNews = () => undefined;
    candidate.onServing();
    await this.#install(candidate);
  }

  /**
   * Ends the candidate, or what is being prepared. Containers that made room for it come back, unless another candidate
   * follows, which would need the room at once.
   */
  async abandon(): Promise<void> {
    const abandoned = this.#abandon();
    const preparation = this.#preparations;
    await abandoned;
    if (preparation === this.#preparations) this.#serving?.onAbandoned();
  }

  async #abandon(): Promise<void> {
    this.#preparations += 1;
    const candidate = this.#candidate;
    this.#candidate = undefined;
    this.#onNews = () => undefined;
    await candidate?.close();
  }

  /** Takes no calls any more; resolves when those that it has are finished and its containers gone. */
  async stop(): Promise<void> {
    await this.#abandon();
    void this.#install(undefined);
    await Promise.all(this.#retiring.values());
  }

  /** Ends everything now. */
  async close(): Promise<void> {
    this.#preparations += 1;
    const versions = [this.#candidate, this.#serving, ...this.#retiring.keys()];
    this.#candidate = undefined;
    this.#serving = undefined;
    await Promise.all(versions.map(async (version) => await version?.close()));
  }

  /** Leaves the containers to the next agent, where that can be, and ends all others. */
  async leave(): Promise<void> {
    this.#preparations += 1;
    const [serving, candidate] = [this.#serving, this.#candidate];
    this.#candidate = undefined;
    const retiring = [...this.#retiring.keys()].map(async (version) => await version.close());
    await Promise.all([serving?.leave(), candidate?.leave(), ...retiring]);
  }

  get #versions(): AppVersion[] {
    const versions = [this.#serving, this.#candidate, ...this.#retiring.keys()];
    return versions.filter((version) => version !== undefined);
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
}

function superseded(): StartFailure {
  return new StartFailure("starting_failed", "another version came before it was ready");
}
