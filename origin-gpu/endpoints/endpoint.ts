/**
 * One endpoint on this box, in one version of its app: how a call or a WebSocket gets to a container. Several
 * functions may share it. admission.ts decides when a call begins, containers/ which container serves it, and
 * grace.ts when its place is free again.
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
import {
  type ContainerPool,
  type ContainerPoolOptions,
  createContainerPool,
  type Lease,
} from "../containers/pool.ts";
import type { Failure } from "../../routing/wire/messages.ts";
import type { GatewayAddress } from "../link/gateway-address.ts";
import type { ProxiedCall } from "../proxy/app-request.ts";
import { proxyWebSocket } from "../proxy/proxy-websocket.ts";
import { Admission } from "./admission.ts";
import { Grace } from "./grace.ts";
import type { QueuedCall } from "./queued-call.ts";
import { Relays } from "./relays.ts";
import { failureOfStart } from "./start-failure.ts";

/** A process that died stops listening before its exit is told, which takes this long on a busy machine. */
const EXIT_NOTICED_MS = 1_000;

export interface EndpointOptions extends Omit<ContainerPoolOptions, "endpoint"> {
  /** Of the function that the containers are named after. */
  settings: EndpointConfig;
  gateway: GatewayAddress;
  /** Where bodies of waiting calls go; without it they wait in their windows. */
  bodies: BodySpools | undefined;
}

/** An endpoint's containers and waiting requests, without its name. */
export type PoolActivity = Omit<EndpointActivity, "endpoint">;

/** Takes a call that its own endpoint does not begin any more. */
export type Reroute = (call: Call, functionName: string, link: number) => void;

export class Endpoint {
  readonly #settings: EndpointConfig;
  readonly #gateway: GatewayAddress;
  readonly #closing = new AbortController();
  readonly #pool: ContainerPool;
  readonly #admission: Admission;
  readonly #grace: Grace;
  readonly #relays: Relays;
  #reroute: Reroute | undefined;

  /** Starts the container. */
  constructor({ settings, gateway, bodies, ...pool }: EndpointOptions) {
    this.#settings = settings;
    this.#gateway = gateway;
    const log = noticesOf(pool);
    this.#pool = createContainerPool({ ...pool, endpoint: settings });
    this.#admission = new Admission({
      settings,
      bodies,
      onAdmitted: (queued) => void this.#begin(queued),
      onSettled: (queued, how) => void this.#grace.release(queued, how),
      log,
    });
    this.#relays = new Relays(log);
    this.#grace = new Grace({
      settings,
      closing: this.#closing.signal,
      onStuck: (containerId, callId, afterS) => {
        log(
          `postern: it still works on a call that ended ${afterS} s ago (${callId}); another container takes its place`,
        );
        this.#pool.replace(containerId);
      },
    });
  }

  /** Settles when its first container is ready, or not to be; rejects with a `StartFailure`. */
  get ready(): Promise<unknown> {
    return this.#pool.ready;
  }

  /** A port that only one version of the app can listen on at a time. */
  get fixedPort(): number | undefined {
    const { kind } = this.#settings;
    return kind.type === "web_server" ? kind.port : undefined;
  }

  /** Counts its containers and its waiting requests. */
  get activity(): PoolActivity {
    const { state, error } = this.#pool;
    return {
      ready: state === "ready" ? 1 : 0,
      starting: state === "starting" ? 1 : 0,
      failed: state === "failed" ? 1 : 0,
      waiting: this.#admission.waiting,
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
      run: (call) => this.#admission.admit(arrived(call, settings, link)),
    };
  }

  /** Runs a call that waited elsewhere, where its body has been looked after. */
  takeOver(call: Call, settings: EndpointConfig, link: number): void {
    this.#admission.queue(arrived(call, settings, link));
  }

  /**
   * Begins nothing any more. Calls that run or wait have the grace period; then those that wait are rerouted, and
   * those that run are ended. Resolves when the containers are gone.
   */
  async retire(reroute: Reroute): Promise<void> {
    await this.#unusedWithinGrace();
    this.#reroute = reroute;
    this.#admission.resize(Infinity);
    await this.close("this version of the app has ended");
  }

  /** Frees the port that only one container can have. Calls that run have the grace period; the rest waits. */
  async suspend(): Promise<void> {
    this.#admission.resize(0);
    await this.#unusedWithinGrace();
    this.#relays.closeAll("the app is started anew");
    await this.#pool.rest();
  }

  /** Goes on after `suspend`. */
  resume(): void {
    this.#admission.resize(this.#settings.maxInputs);
    // The log tells of a failed start, and so does the next call.
    void this.#pool
      .acquire()
      .then((lease) => lease.release())
      .catch(() => undefined);
  }

  /** Ends calls and containers now. @param reason that WebSockets are told */
  async close(reason = "the box is stopping"): Promise<void> {
    this.#closing.abort();
    this.#relays.closeAll(reason);
    await this.#pool.close();
  }

  /** Sends a call that has its place to a container. */
  async #begin(queued: QueuedCall): Promise<void> {
    const { call, settings, link, arrivedAt } = queued;
    if (call.over) return;
    if (this.#reroute !== undefined) {
      this.#reroute(call, settings.function, link);
      return;
    }
    const startedAt = performance.now();
    const lease = await this.#lease(queued);
    if (lease === undefined) return;
    const waited = {
      queue: Math.round(startedAt - arrivedAt),
      start: Math.round(performance.now() - startedAt),
    };
    if (call.head.websocket !== undefined) {
      const relay = await proxyWebSocket(call, lease, {
        gateway: this.#gateway,
        link,
        maxMessageBytes: settings.websocketMaxMessage,
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
    this.#proxy(queued, lease, { call, waited, limits });
  }

  /** A container for a call that has not begun; undefined when the call is over or rerouted by now. */
  async #lease(queued: QueuedCall): Promise<Lease | undefined> {
    const { call, settings, link } = queued;
    try {
      const lease = await this.#pool.acquire();
      queued.lease?.release();
      queued.lease = lease;
      call.container = lease.containerId;
      if (!call.over) return lease;
      lease.release();
    } catch (error) {
      call.withdraw();
      if (this.#reroute === undefined) call.fail(failureOfStart(error));
      else if (!call.over) this.#reroute(call, settings.function, link);
    }
    return undefined;
  }

  /** Sends the request to the container, or to the next one when nobody listens there any more. */
  #proxy(queued: QueuedCall, lease: Lease, proxied: ProxiedCall): void {
    lease.connections.send(proxied, async (sendOver) => {
      await this.#grace.untilExited(lease, EXIT_NOTICED_MS);
      const next = await this.#lease(queued);
      if (next === undefined) return;
      if (next.containerId !== lease.containerId) sendOver(next.connections);
      else this.#onUnsent(queued);
    });
  }

  /** Certainly no byte of the request was sent. */
  #onUnsent(queued: QueuedCall): void {
    queued.call.withdraw();
    this.#waitOn(queued, failureOfStart(new Error("the app accepts no connections")));
  }

  /** The call has not begun. It waits where its client was told that it goes on, and fails elsewhere. */
  #waitOn(queued: QueuedCall, failure: Failure): void {
    const { call, settings } = queued;
    const isDue = performance.now() - call.openedAt < settings.resultTtl * SECOND_MS;
    if (call.isPromised && isDue) this.#admission.queueLater(queued);
    else call.fail(failure);
  }

  async #unusedWithinGrace(): Promise<void> {
    const graceMs = this.#settings.exitGracePeriod * SECOND_MS;
    await within(graceMs, this.#admission.unused(), { signal: this.#closing.signal });
  }
}

function arrived(call: Call, settings: EndpointConfig, link: number): QueuedCall {
  return {
    call,
    settings,
    link,
    arrivedAt: performance.now(),
    permit: undefined,
    lease: undefined,
    unsent: 0,
  };
}
