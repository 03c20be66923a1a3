/**
 * One endpoint on this box, in one version of its app: how a call or a WebSocket gets to a container. Several
 * functions may share it. The pool (pool-driver.ts) decides when a call begins and where; grace.ts when its place is
 * free again.
 */
import { SECOND_MS } from "../../base/units.ts";
import { within } from "../../base/runtime/within.ts";
import {
  type EndpointActivity,
  MAX_REPORTED_LINE_CHARACTERS,
} from "../../routing/wire/deployments.ts";
import type { BodySpools } from "../calls/body-spool.ts";
import type { Call } from "../calls/call.ts";
import type { CallRunner } from "../calls/call-registry.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import { noticesOf } from "../containers/container.ts";
import type { Failure } from "../../routing/wire/messages.ts";
import type { GatewayAddress } from "../link/gateway-address.ts";
import type { ProxiedCall } from "../proxy/app-request.ts";
import { proxyWebSocket } from "../proxy/proxy-websocket.ts";
import { BlockedWatch } from "./blocked-watch.ts";
import type { BoxClaims, PoolIdentity } from "./box-claims.ts";
import type { ContainerSource } from "./endpoint-containers.ts";
import { Grace } from "./grace.ts";
import { type ListedContainer, PoolDriver } from "./pool-driver.ts";
import { claimNeeds, poolSettings } from "./pool-settings.ts";
import type { QueuedCall } from "./queued-call.ts";
import { Relays } from "./relays.ts";
import { pauseBeforeRetryMs } from "./retry-pause.ts";
import type { ServingContainer } from "./serving-container.ts";
import { StallWatch } from "./stall-watch.ts";
import { failureOfRefusal } from "./start-failure.ts";
import { parkCall } from "./waiting-bodies.ts";

/** A process that died stops listening before its exit is told, which takes this long on a busy machine. */
const EXIT_NOTICED_MS = 1_000;

export interface EndpointOptions extends ContainerSource {
  readonly gateway: GatewayAddress;
  /** Where bodies of waiting calls go; without it they wait in their windows. */
  readonly bodies: BodySpools | undefined;
  readonly claims: BoxClaims;
  readonly identity: PoolIdentity;
  /** The version serves elsewhere: no container has to show first that it becomes ready. */
  readonly isProved: boolean;
}

/** An endpoint's containers and waiting requests, without its name. */
export type PoolActivity = Omit<EndpointActivity, "endpoint">;

/** The settings that `postern app scale` changes. */
export type ScalingConfig = Pick<
  EndpointConfig,
  "minContainers" | "maxContainers" | "bufferContainers" | "scaledownWindow"
>;

/** Takes a call that its own endpoint does not begin any more. */
export type Reroute = (call: Call, functionName: string, link: number) => void;

export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #closing = new AbortController();
  readonly #pool: PoolDriver;
  readonly #grace: Grace;
  readonly #relays: Relays;
  readonly #blocked: BlockedWatch<QueuedCall>;
  readonly #stalled: StallWatch;
  #reroute: Reroute | undefined;

  /** Starts a container, unless the version is proved and needs none yet. */
  constructor(options: EndpointOptions) {
    const { settings, isProved, claims, identity } = options;
    const log = noticesOf(options);
    this.#options = options;
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
      onFree: (queued) => {
        this.#blocked.onFree(queued);
        this.#pool.finished(queued);
      },
      onStuck: (containerId, callId, afterS) => {
        log(
          `postern: it still works on a call that ended ${afterS} s ago (${callId}); another container takes its place`,
        );
        this.#pool.replace(containerId);
      },
    });
    this.#pool = new PoolDriver({
      source: options,
      settings: poolSettings(settings),
      claims,
      identity,
      needs: claimNeeds(settings),
      isProved,
      onAssigned: (queued, container) => this.#onAssigned(queued, container),
      onRefused: ({ call, settings: { function: name } }, refusal) =>
        call.fail(failureOfRefusal(refusal, name)),
      onHandedOver: ({ call, settings: { function: name }, link }) =>
        this.#reroute?.(call, name, link),
    });
  }

  /** Settles when its first container is ready, or not to be; rejects with a `StartFailure`. */
  get ready(): Promise<unknown> {
    return this.#pool.proved;
  }

  /** Counts its containers and its waiting requests. */
  get activity(): PoolActivity {
    const { ready, starting, failed, waiting } = this.#pool.counts;
    const error = failed > 0 ? this.#pool.lastFailure : "";
    return {
      ready,
      starting,
      failed,
      waiting,
      error: error.slice(0, MAX_REPORTED_LINE_CHARACTERS),
    };
  }

  /** Gives the runner of calls that come over a link for a function with these settings. */
  runner(settings: EndpointConfig, link: number): CallRunner {
    const { onDisconnect, resultTtl } = settings;
    const graceMs = { cancel: 0, keep: Infinity };
    return {
      resultTtlMs: resultTtl * SECOND_MS,
      graceMs: typeof onDisconnect === "number" ? onDisconnect * SECOND_MS : graceMs[onDisconnect],
      run: (call) => {
        const queued = arrived(call, settings, link);
        this.#queue(queued);
        if (queued.container === undefined && !call.over) this.#park(call);
      },
    };
  }

  /** Runs a call that waited elsewhere, where its body has been looked after. It keeps its place by its arrival. */
  takeOver(call: Call, settings: EndpointConfig, link: number): void {
    this.#queue({ ...arrived(call, settings, link), arrivedAt: call.openedAt });
  }

  /** Its containers that are not gone. */
  get containers(): ListedContainer[] {
    return this.#pool.containers;
  }

  /** Ends a container by hand, when it has finished its calls. @returns false where there is none of this id */
  stopContainer(containerId: string): boolean {
    return this.#pool.stop(containerId);
  }

  /** Has other numbers of containers from now on, until the next version. */
  rescale(scaling: Partial<ScalingConfig>): void {
    this.#pool.change(poolSettings({ ...this.#options.settings, ...scaling }));
  }

  /** The version that it was prepared for serves now. */
  unpin(): void {
    this.#pool.unpin();
  }

  /**
   * Begins nothing any more: calls that wait are rerouted at once, and those that run have the grace period. Resolves
   * when the containers are gone.
   */
  async retire(reroute: Reroute): Promise<void> {
    this.#reroute = reroute;
    const graceMs = this.#options.settings.exitGracePeriod * SECOND_MS;
    await within(graceMs, this.#pool.retire(), { signal: this.#closing.signal });
    await this.close("this version of the app has ended");
  }

  /** Ends calls and containers now. @param reason that WebSockets are told */
  async close(reason = "the box is stopping"): Promise<void> {
    this.#closing.abort();
    this.#stalled.close();
    this.#relays.closeAll(reason);
    await this.#pool.close();
  }

  /** Gives the call to the pool, until it has ended. */
  #queue(queued: QueuedCall): void {
    const { call } = queued;
    if (call.over) return;
    call.whenSettled((how) => void this.#grace.release(queued, how));
    this.#pool.request(queued);
  }

  #park(call: Call): void {
    this.#blocked.onWaiting();
    this.#stalled.onWaiting();
    parkCall(call, this.#options.bodies);
  }

  #onAssigned(queued: QueuedCall, container: ServingContainer): void {
    const { sendOver } = queued;
    queued.container = container;
    queued.sendOver = undefined;
    queued.call.container = container.id;
    this.#blocked.onHeld(queued);
    if (sendOver === undefined) void this.#begin(queued, container);
    else sendOver(container);
  }

  /** Sends a call to its container. */
  async #begin(queued: QueuedCall, container: ServingContainer): Promise<void> {
    const { call, settings, link, arrivedAt } = queued;
    if (call.over) return;
    // Until the container was ready it waited for a start, and after that for its turn.
    const turnBeganAt = Math.max(arrivedAt, container.readyAt);
    const waited = {
      queue: Math.round(performance.now() - turnBeganAt),
      start: Math.round(turnBeganAt - arrivedAt),
    };
    if (call.head.websocket !== undefined) {
      const relay = await proxyWebSocket(call, container.address, {
        gateway: this.#options.gateway,
        link,
        maxMessageBytes: settings.websocketMaxMessage,
        onHead: (rawHeaders) => container.connections.onOtherHead(rawHeaders),
      });
      if (relay !== undefined) this.#relays.add(relay, settings.maxDuration * SECOND_MS);
      return;
    }
    const start = await call.recordStart();
    if (start === "over") return;
    if (start === "no_room") {
      this.#waitOn(queued, {
        code: "starting_failed",
        detail: "this box has no room to record it",
      });
      return;
    }
    const limits = {
      timeoutMs: settings.timeout * SECOND_MS,
      maxDurationMs: settings.maxDuration * SECOND_MS,
    };
    this.#proxy(queued, container, { call, waited, limits });
  }

  /** Sends the request to the container, or to another one when nobody listens there any more. */
  #proxy(queued: QueuedCall, container: ServingContainer, proxied: ProxiedCall): void {
    container.connections.send(proxied, async (sendOver) => {
      const hasExited = await this.#grace.untilExited(container, EXIT_NOTICED_MS);
      if (queued.call.over) return;
      if (!hasExited) {
        queued.call.withdraw();
        this.#waitOn(queued, NOT_LISTENING);
        return;
      }
      // It waits again as a call that was never assigned, and its request is made already.
      queued.sendOver = (next) => sendOver(next.connections);
      this.#blocked.onFree(queued);
      this.#pool.requeued(queued);
    });
  }

  /** The call has not begun. It waits where its client was told that it goes on, and fails elsewhere. */
  #waitOn(queued: QueuedCall, failure: Failure): void {
    const { call, settings } = queued;
    const isDue = performance.now() - call.openedAt < settings.resultTtl * SECOND_MS;
    if (call.isPromised && isDue) this.#queueLater(queued);
    else call.fail(failure);
  }

  /** Queues a call anew after a pause; meanwhile others have its place. */
  #queueLater(queued: QueuedCall): void {
    const { call, unsent } = queued;
    let timer: ReturnType<typeof setTimeout> | undefined;
    call.whenSettled(() => clearTimeout(timer));
    this.#blocked.onFree(queued);
    this.#pool.finished(queued);
    const again: QueuedCall = { ...queued, container: undefined, unsent: unsent + 1 };
    timer = setTimeout(() => this.#queue(again), pauseBeforeRetryMs(unsent));
    timer.unref();
  }
}

const NOT_LISTENING: Failure = {
  code: "origin_error",
  detail: "the app accepts no connections",
};

function arrived(call: Call, settings: EndpointConfig, link: number): QueuedCall {
  return {
    call,
    settings,
    link,
    arrivedAt: performance.now(),
    container: undefined,
    unsent: 0,
    sendOver: undefined,
  };
}
