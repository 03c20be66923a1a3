/**
 * One endpoint on this box, in one version of its app: how a call or a WebSocket gets to a container. Several
 * functions may share it. The pool (pool-driver.ts) decides when a call begins and where, sender.ts sends it there, and
 * grace.ts decides when its place is free again.
 */
import { SECOND_MS } from "../../base/units.ts";
import { within } from "../../base/runtime/within.ts";
import type { Scaling } from "../../routing/wire/scaling.ts";
import type { PoolLoad } from "../../routing/wire/pool-load.ts";
import type { Call } from "../calls/call.ts";
import type { CallRunner } from "../calls/call-registry.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import { needsNothing } from "../core/claim-entries.ts";
import { noticesOf } from "../containers/container.ts";
import type { PoolSettings } from "../core/pool-effects.ts";
import type { RequestSession } from "../../routing/wire/sessions.ts";
import { BlockedWatch } from "./blocked-watch.ts";
import { lessonsOf } from "./call-lessons.ts";
import type { EndpointOptions } from "./endpoint-options.ts";
import { callTerms } from "./call-terms.ts";
import { EndpointLease } from "./endpoint-lease.ts";
import { Grace } from "./grace.ts";
import type { ListedContainer } from "./listed-container.ts";
import { activityOf, type PoolActivity } from "./pool-activity.ts";
import { PoolDriver } from "./pool-driver.ts";
import { claimNeeds, poolSettings } from "./pool-settings.ts";
import type { PoolNeeds, PoolTerms } from "./pool-terms.ts";
import { arrived, type QueuedCall } from "./queued-call.ts";
import { Relays } from "./relays.ts";
import { Sender } from "./sender.ts";
import type { PoolDriverOptions } from "./pool-driver-options.ts";
import { StallWatch } from "./stall-watch.ts";
import { failureOfRefusal } from "./start-failure.ts";
import { takeLeft } from "./take-left.ts";
import { entersForToken } from "./enter-for-token.ts";
import { keepBody, parkCall } from "./waiting-bodies.ts";

/** Takes a call that its own endpoint does not begin any more. */
export type Reroute = (call: Call, functionName: string, link: number) => void;

export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #closing = new AbortController();
  readonly #pool: PoolDriver;
  readonly #grace: Grace;
  readonly #relays: Relays;
  readonly #sender: Sender;
  readonly #blocked: BlockedWatch<QueuedCall>;
  readonly #stalled: StallWatch;
  readonly #lease: EndpointLease;
  #scaling: Scaling | undefined;
  #reroute: Reroute | undefined;

  /** Starts a container, unless the version is proved and needs none yet. */
  constructor(options: EndpointOptions) {
    const { settings, isProved, claims, identity } = options;
    const log = noticesOf(options);
    this.#options = options;
    this.#scaling = options.scaling;
    // An upstream has one container on each box.
    const joinLeases = settings.kind.type === "upstream" ? undefined : options.joinLeases;
    const left = takeLeft(options, identity);
    this.#lease = new EndpointLease(joinLeases, left.length);
    this.#relays = new Relays(log);
    this.#blocked = new BlockedWatch(settings, () => this.#pool.counts, log);
    this.#stalled = new StallWatch({
      stallTimeoutMs: settings.stallTimeout * SECOND_MS,
      countWaiting: () => this.#pool.counts.waiting,
      running: () => this.#blocked.holders,
    });
    this.#grace = new Grace({
      settings,
      closing: this.#closing.signal,
      onFree: (queued, how) => {
        options.tokenCalls?.leave(queued.call);
        this.#blocked.onFree(queued);
        this.#pool.finished(queued, how);
      },
      onStuck: (containerId, callId, afterS) => {
        log(
          `postern: it still works on a call that ended ${afterS} s ago (${callId}); another container takes its place`,
        );
        this.#pool.replace(containerId);
      },
    });
    this.#sender = new Sender({
      gateway: options.gateway,
      relays: this.#relays,
      grace: this.#grace,
      files: options.files,
      batch: settings.kind.type === "callable" ? undefined : settings.batch,
      onPlaceless: (queued) => this.#blocked.onFree(queued),
      onLeft: (queued) => this.#pool.finished(queued, "given_up"),
      onEnded: ({ call }) => options.tokenCalls?.leave(call),
      onRequeued: (queued) => {
        this.#pool.requeued(queued);
        this.#watchOthers(queued);
      },
      onBack: (queued) => this.#queue(queued),
    });
    this.#pool = new PoolDriver({
      source: options,
      settings: this.#poolSettings,
      claims,
      identity,
      needs: claimNeeds(settings),
      isProved,
      sessions: options.sessions,
      left,
      usage: options.usage,
      onStops: (containerId) => this.#relays.closeAt(containerId),
      onDrains: (containerId, sleeps) => {
        this.#relays.drain(containerId, settings.exitGracePeriod * SECOND_MS, sleeps);
        if (this.hasClaims) this.#stalled.onDrains(containerId);
      },
      onDrained: (containerId) => {
        this.#relays.drained(containerId);
        this.#stalled.onDrained(containerId);
      },
      onRoom: (news) => options.onRoom?.(news),
      onAssigned: this.#onAssigned,
      onRefused: ({ call, settings }, refusal) =>
        call.fail(failureOfRefusal(refusal, settings.function, this.#pool.claimFailure)),
      onHandedOver: ({ call, settings, link }) => this.#reroute?.(call, settings.function, link),
      onChange: () => this.#lease.changed(),
    });
    this.#lease.begin({ needs: () => this.#needs, onTerms: (terms) => this.#onTerms(terms) });
  }

  /** Settles when its first container is ready, or not to be; rejects with a `StartFailure`. */
  get ready(): Promise<unknown> {
    return this.#pool.proved;
  }

  /** Counts its containers and its waiting requests. */
  get activity(): PoolActivity {
    return activityOf(this.#pool.counts, this.#pool.currentFailure);
  }

  /** No call is here. */
  get isIdle(): boolean {
    return this.#pool.counts.waiting + this.#pool.counts.running === 0 && !this.#sender.hasPausing;
  }

  /** Gives the runner of calls that come over a link for a function with these settings. */
  runner(settings: EndpointConfig, link: number): CallRunner {
    return {
      ...callTerms(settings),
      run: (call) => {
        if (!entersForToken(call, this.#options.tokenCalls)) return;
        const queued = arrived(call, settings, link);
        this.#queue(queued);
        if (call.over) return;
        if (queued.container === undefined) parkCall(call, this.#options.bodies);
        else if (settings.retries.maxRetries > 0) keepBody(call, this.#options.bodies);
      },
    };
  }

  /** Runs a call that waited elsewhere, where its body has been looked after. It keeps its place by its arrival. */
  takeOver(call: Call, settings: EndpointConfig, link: number): void {
    this.#queue({ ...arrived(call, settings, link), waitedElsewhere: true });
  }

  /** Whether its containers need something of the box that others may have. */
  get hasClaims(): boolean {
    return !needsNothing(claimNeeds(this.#options.settings));
  }

  /** Its containers that are not gone. */
  get containers(): ListedContainer[] {
    return this.#pool.containers;
  }

  /** Ends a container by hand, when it has finished its calls. @returns false where there is none of this id */
  stopContainer(containerId: string): boolean {
    return this.#pool.stop(containerId);
  }

  /** @param scaling what differs from the configuration from now on */
  rescale(scaling?: Scaling): void {
    this.#scaling = scaling;
    this.#pool.change(this.#poolSettings);
  }

  /** Other boxes have all the containers that there may be: calls are better sent there. */
  get isElsewhere(): boolean {
    return this.#lease.isElsewhere;
  }

  /** Resolves when the gateway has said what this box may have; undefined where that is known. */
  get undecided(): Promise<void> | undefined {
    return this.#lease.undecided;
  }

  /** Its calls and its room, for those who choose between boxes. */
  get load(): PoolLoad {
    return this.#pool.load;
  }

  /** The version that it was prepared for serves now. */
  unpin(): void {
    this.#pool.unpin();
  }

  /** The version that was prepared beside it is given up. */
  onVersionAbandoned(): void {
    this.#pool.onVersionAbandoned();
  }

  /** Whether one of its containers has the request's session: its calls come here, also while it is being retired. */
  hasSession(session: RequestSession): boolean {
    return this.#pool.sessions.has(session);
  }

  /** Whether one of these session keys belongs to this box. */
  knowsSession(keys: readonly string[]): boolean {
    return this.#options.sessions.knows(keys) || this.#options.files?.hasOne(keys) === true;
  }

  /**
   * Begins nothing any more: calls that wait are rerouted at once, and those that run have the grace period. Resolves
   * when the containers are gone.
   * @param keepsSessions calls of sessions that its containers have come in the grace period too, and have their own
   */
  async retire(reroute: Reroute, keepsSessions: boolean): Promise<void> {
    this.#reroute = reroute;
    const graceMs = this.#options.settings.exitGracePeriod * SECOND_MS;
    const retired = this.#pool.retire({ keepsSessions, graceMs, signal: this.#closing.signal });
    this.#sender.retire(keepsSessions);
    await retired;
    await this.close("this version of the app has ended");
  }

  /** Ends calls and containers now. @param reason that WebSockets are told */
  async close(reason = "the box is stopping"): Promise<void> {
    this.#closing.abort();
    this.#stalled.close();
    this.#relays.closeAll(reason);
    await this.#pool.close();
    this.#lease.leave();
  }

  /** Leaves the containers to the next agent. The calls have ended; apps that still work on one have the grace period. */
  async leave(): Promise<void> {
    this.#stalled.close();
    this.#relays.closeAll("the box is stopping");
    await within(this.#options.settings.exitGracePeriod * SECOND_MS, this.#pool.untilVacant());
    this.#closing.abort();
    await this.#pool.leave();
  }

  /** As the configuration and `rescale` say them. */
  get #ownSettings(): PoolSettings {
    const { settings, isEphemeral } = this.#options;
    return poolSettings(settings, { isEphemeral, scaling: this.#scaling });
  }

  get #poolSettings(): PoolSettings {
    return this.#lease.settings(this.#ownSettings);
  }

  get #needs(): PoolNeeds {
    const { minContainers: min, maxContainers: max, bufferContainers: buffer } = this.#ownSettings;
    return { min, max, buffer, ...this.#pool.demand };
  }

  #onTerms(terms: PoolTerms): void {
    this.#pool.change(this.#poolSettings);
    // There is no room to show it here as well.
    if (terms.proved && terms.most === 0) this.#pool.assumeProved();
  }

  /** Gives the call to the pool, until it has ended. */
  #queue(queued: QueuedCall): void {
    const { call } = queued;
    if (call.over) return;
    call.whenSettled((how) => void this.#grace.release(queued, how));
    call.standsBy(this.#pool, queued);
    this.#pool.request(queued);
    this.#watchOthers(queued);
  }

  /** A call that got no place at once waits for those that have one. */
  #watchOthers({ call, container }: QueuedCall): void {
    if (call.over || container !== undefined) return;
    this.#blocked.onWaiting();
    this.#stalled.onWaiting();
  }

  readonly #onAssigned: PoolDriverOptions["onAssigned"] = (queued, container, session) => {
    const { call } = queued;
    queued.container = container;
    call.container = container.id;
    call.session = session && { container: container.id, state: session };
    call.lessons = lessonsOf(queued, (keys) => this.#pool.sessions.learned(queued, keys));
    this.#blocked.onHeld(queued);
    void this.#sender.send(queued, container);
  };
}
