/**
 * One endpoint on this box, in one version of its app: its containers, the queue before them, the
 * connections to them, and how a call or a WebSocket gets there. Several functions may share it. Which
 * container serves, and when one starts or stops, is containers/' business.
 */
import { within } from "../base/runtime/within.ts";
import {
  type ContainerPool,
  type ContainerPoolOptions,
  createContainerPool,
  type Lease,
} from "./containers/pool.ts";
import { KIB } from "../routing/wire/limits.ts";
import { contentLength } from "../routing/wire/heads.ts";
import { BodySpoolFullError, type BodySpools } from "./calls/body-spool.ts";
import type { Call, Settlement } from "./calls/call.ts";
import type { CallRunner } from "./calls/call-registry.ts";
import type { EndpointConfig } from "./config/app-config.ts";
import { StartFailure } from "./containers/container.ts";
import { ConcurrencyLimiter, type Permit } from "./core/concurrency-limiter.ts";
import { AppConnections, type ForwardedCall } from "./forward/forward.ts";
import { forwardWebSocket } from "./forward/forward-websocket.ts";
import type { Relay } from "./websocket/relay.ts";
import type { GatewayAddress } from "./link/gateway-address.ts";

/** A process that died stops listening before its exit is told, which takes this long on a busy machine. */
const EXIT_NOTICED_MS = 1_000;

/** A process that is dying breaks its exchanges first and refuses connections last: the next call waits so long. */
const DYING_MS = 100;

/** Bodies up to this size wait in memory, whole. */
const SMALL_BODY_BYTES = 4 * KIB;

/** A promised call whose request could not be sent is tried again after this time, doubled each time. */
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

/** An app needs a moment to notice a disconnect, also where its exit_grace_period is none. */
const LEAST_GRACE_MS = 1_000;

const MS_PER_SECOND = 1000;

export interface EndpointOptions extends Omit<ContainerPoolOptions, "endpoint"> {
  /** Of the function that the containers are named after. */
  settings: EndpointConfig;
  gateway: GatewayAddress;
  /** Where bodies of waiting calls go; without it they wait in their windows. */
  bodies: BodySpools | undefined;
}

/** A call on its way through an endpoint. */
interface Visit {
  readonly call: Call;
  /** Of the function that was called, which may be another than the endpoint's. */
  readonly settings: EndpointConfig;
  /** The link that its stream came over. */
  readonly link: number;
  readonly arrivedAt: number;
  /** The container that works on it. */
  lease: Lease | undefined;
  permit: Permit | undefined;
  /** How often its request could not be sent. */
  unsent: number;
}

/** Takes a call that its own endpoint does not begin any more. */
export type HandOn = (call: Call, functionName: string, link: number) => void;

export class Endpoint {
  readonly #settings: EndpointConfig;
  readonly #pool: ContainerPool;
  readonly #limiter: ConcurrencyLimiter;
  readonly #gateway: GatewayAddress;
  /** By container id: a new container gets new connections. */
  readonly #connections = new Map<string, AppConnections>();
  readonly #relays = new Set<Relay>();
  readonly #bodies: BodySpools | undefined;
  readonly #log: (line: string) => void;
  readonly #closing = new AbortController();
  #handOn: HandOn | undefined;

  /** Starts the container. */
  constructor({ settings, gateway, bodies, ...pool }: EndpointOptions) {
    this.#bodies = bodies;
    this.#settings = settings;
    this.#limiter = new ConcurrencyLimiter(
      settings.maxInputs,
      settings.maxPending,
      settings.maxPendingAsync,
    );
    this.#gateway = gateway;
    this.#log = pool.log;
    this.#pool = createContainerPool({ ...pool, endpoint: settings });
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

  /** What runs the calls that come over a link for a function with these settings. */
  runner(settings: EndpointConfig, link: number): CallRunner {
    const { onDisconnect, resultTtl } = settings;
    const graceMs = { cancel: 0, keep: Infinity };
    return {
      resultTtlMs: resultTtl * MS_PER_SECOND,
      graceMs:
        typeof onDisconnect === "number" ? onDisconnect * MS_PER_SECOND : graceMs[onDisconnect],
      run: (call) => {
        if (this.#queue(call, settings, link) === "waits") this.#park(call);
      },
    };
  }

  /** Runs a call that waited elsewhere, where its body has been looked after. */
  takeOver(call: Call, settings: EndpointConfig, link: number): void {
    this.#queue(call, settings, link);
  }

  /**
   * Begins nothing any more: what runs and what waits has its grace period, what waits still is handed on,
   * what runs still is ended. Resolves when the containers are gone.
   */
  async retire(handOn: HandOn): Promise<void> {
    await this.#unusedWithinGrace();
    this.#handOn = handOn;
    this.#limiter.resize(Infinity);
    await this.close("this version of the app has ended");
  }

  /** Frees what only one container can have: its port. What runs has its grace period; the rest waits. */
  async suspend(): Promise<void> {
    this.#limiter.resize(0);
    await this.#unusedWithinGrace();
    await this.#disconnect("the app is started anew");
    await this.#pool.rest();
  }

  /** Goes on after `suspend`. */
  resume(): void {
    this.#limiter.resize(this.#settings.maxInputs);
    const warm = this.#pool.acquire();
    // That it does not start, its log tells, and so does the next call.
    void warm.then((lease) => lease.release()).catch(() => undefined);
  }

  /** Ends calls and containers now. @param reason that WebSockets are told */
  async close(reason = "the box is stopping"): Promise<void> {
    this.#closing.abort();
    await this.#disconnect(reason);
    await this.#pool.close();
  }

  /** Gives a call its turn: when a slot is free it goes to the app. */
  #queue(
    call: Call,
    settings: EndpointConfig,
    link: number,
    unsent = 0,
  ): "waits" | "begins" | "refused" {
    const visit: Visit = {
      call,
      settings,
      link,
      arrivedAt: performance.now(),
      lease: undefined,
      permit: undefined,
      unsent,
    };
    let begun = false;
    const asynchronous = call.head.async === true;
    const permit = this.#limiter.acquire(() => {
      begun = true;
      void this.#begin(visit);
    }, asynchronous);
    visit.permit = permit;
    if (permit !== undefined) {
      call.whenSettled((how) => void this.#leave(visit, how));
      return begun ? "begins" : "waits";
    }
    if (call.isPromised) {
      this.#queueLater(visit);
      return "waits";
    }
    const { function: name, maxPending, maxPendingAsync } = this.#settings;
    const detail = `${name} has ${asynchronous ? maxPendingAsync : maxPending} calls waiting`;
    call.fail({ code: "queue_full", detail, retryAfter: 1 });
    return "refused";
  }

  /** A call that has to wait takes little memory: its head is counted, its body drained. */
  #park(call: Call): void {
    if (call.park()) void this.#drainBody(call);
    else {
      const detail = "the heads of waiting calls take all the room that they may";
      call.fail({ code: "queue_full", detail, retryAfter: 1 });
    }
  }

  /** A call that has to wait keeps its body here; small ones that are whole are no trouble where they are. */
  async #drainBody(call: Call): Promise<void> {
    const { body, head } = call;
    const spools = this.#bodies;
    if (spools === undefined || (!body.incomplete && body.waitingBytes <= SMALL_BODY_BYTES)) return;
    try {
      await body.drainTo(spools.begin(contentLength(head.headers)));
    } catch (error) {
      if (!(error instanceof BodySpoolFullError)) return;
      call.fail({ code: "queue_full", detail: error.message, retryAfter: 10 });
    }
  }

  async #begin(visit: Visit): Promise<void> {
    const { call, settings, link, arrivedAt } = visit;
    if (call.over) return;
    if (this.#handOn !== undefined) {
      this.#handOn(call, settings.function, link);
      return;
    }
    const startedAt = performance.now();
    const lease = await this.#lease(visit);
    if (lease === undefined) return;
    const waited = {
      queue: Math.round(startedAt - arrivedAt),
      start: Math.round(performance.now() - startedAt),
    };
    if (call.head.websocket !== undefined) {
      await this.#relay(visit, lease);
      return;
    }
    if ((await call.recordStart()) === false) return;
    const limits = {
      timeoutMs: settings.timeout * MS_PER_SECOND,
      maxDurationMs: settings.maxDuration * MS_PER_SECOND,
    };
    this.#forward(visit, lease, { call, waited, limits });
  }

  /** A container for a call that has not begun; undefined when the call is over or somebody else's by now. */
  async #lease(visit: Visit): Promise<Lease | undefined> {
    const { call, settings, link } = visit;
    try {
      const lease = await this.#pool.acquire();
      visit.lease?.release();
      visit.lease = lease;
      call.container = lease.containerId;
      if (!call.over) return lease;
      lease.release();
    } catch (error) {
      call.withdraw();
      if (this.#handOn === undefined) call.fail(startFailure(error));
      else if (!call.over) this.#handOn(call, settings.function, link);
    }
    return undefined;
  }

  /** To the container, or to the one that follows it when nobody listens there any more. */
  #forward(visit: Visit, lease: Lease, forwarded: ForwardedCall): void {
    this.#connectionsTo(lease).forward(forwarded, async (sendOver) => {
      await this.#exitNoticed(lease, EXIT_NOTICED_MS);
      const next = await this.#lease(visit);
      if (next === undefined) return;
      if (next.containerId !== lease.containerId) sendOver(this.#connectionsTo(next));
      else this.#onUnsent(visit);
    });
  }

  /** Certainly no byte of the request was sent. A call whose client was told that it goes on waits. */
  #onUnsent(visit: Visit): void {
    const { call, settings } = visit;
    call.withdraw();
    const isDue = performance.now() - call.openedAt < settings.resultTtl * MS_PER_SECOND;
    if (call.isPromised && isDue) this.#queueLater(visit);
    else call.fail(startFailure(new Error("the app accepts no connections")));
  }

  /** Queues the call anew after a pause; meanwhile others have its place. */
  #queueLater({ call, settings, link, lease, permit, unsent }: Visit): void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    call.whenSettled(() => clearTimeout(timer));
    lease?.release();
    permit?.release();
    const pauseMs = Math.min(FIRST_RETRY_MS * 2 ** unsent, LAST_RETRY_MS);
    timer = setTimeout(() => this.#queue(call, settings, link, unsent + 1), pauseMs);
    timer.unref();
  }

  /** Waits until the container has exited, if it does so soon. */
  async #exitNoticed(lease: Lease, limitMs: number): Promise<void> {
    // An upstream server has no exit that anybody could tell.
    if (this.#settings.kind.type === "upstream") return;
    await within(limitMs, lease.exited, { signal: this.#closing.signal });
  }

  async #relay({ call, settings, link }: Visit, lease: Lease): Promise<void> {
    const relay = await forwardWebSocket(call, lease, this.#gateway, link);
    if (relay === undefined) return;
    this.#relays.add(relay);
    const limit = setTimeout(() => {
      relay.close(1001, "the socket was open for max_duration");
    }, settings.maxDuration * MS_PER_SECOND);
    void relay.closed.then(() => {
      clearTimeout(limit);
      this.#relays.delete(relay);
    });
  }

  async #leave({ call, lease, permit }: Visit, how: Settlement): Promise<void> {
    if (lease !== undefined && how !== "completed") {
      if (how === "broke") await this.#exitNoticed(lease, DYING_MS);
      await this.#letGo(call, lease);
    }
    lease?.release();
    permit?.release();
  }

  /**
   * A call that was given up keeps its slot while the app works on it still: what comes next would find
   * the GPU busy. An app that does not come to an end is ended itself.
   */
  async #letGo(call: Call, lease: Lease): Promise<void> {
    const graceMs = Math.max(LEAST_GRACE_MS, this.#settings.exitGracePeriod * MS_PER_SECOND);
    const gaveUp = lease.gaveUp(call.callId).then(() => true);
    if (await within(graceMs, gaveUp, { signal: this.#closing.signal })) return;
    if (this.#closing.signal.aborted) return;
    const seconds = graceMs / MS_PER_SECOND;
    this.#log(
      `postern: it still works on a call that ended ${seconds} s ago (${call.callId}); another container takes its place`,
    );
    this.#pool.replace(lease.containerId);
  }

  async #unusedWithinGrace(): Promise<void> {
    const graceMs = this.#settings.exitGracePeriod * MS_PER_SECOND;
    await within(graceMs, this.#limiter.unused(), { signal: this.#closing.signal });
  }

  #connectionsTo(lease: Lease): AppConnections {
    const present = this.#connections.get(lease.containerId);
    if (present !== undefined) return present;
    const connections = new AppConnections(lease);
    for (const old of this.#connections.values()) void old.closeWhenIdle();
    this.#connections.clear();
    this.#connections.set(lease.containerId, connections);
    return connections;
  }

  async #disconnect(reason: string): Promise<void> {
    // RFC 6455, 7.4.1: 1001, going away.
    for (const relay of this.#relays) relay.close(1001, reason);
    const all = [...this.#connections.values()];
    this.#connections.clear();
    await Promise.all(all.map(async (connections) => await connections.close()));
  }
}

/** What clients are told of a failed start: why it failed is the operator's, and in the log. */
const START_DETAILS = {
  starting_failed: "its process did not become ready; the box's log says why",
  startup_timeout: "it was not ready within its startup_timeout; the box's log says more",
} as const satisfies Record<StartFailure["code"], string>;

function startFailure(error: unknown) {
  if (error instanceof StartFailure) {
    return { code: error.code, detail: START_DETAILS[error.code], retryAfter: 5 } as const;
  }
  const detail = error instanceof Error ? error.message : String(error);
  return { code: "origin_error", detail } as const;
}
