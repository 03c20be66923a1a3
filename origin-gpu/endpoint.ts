/**
 * One endpoint on this box: its container, the connections to it, and how a call or a WebSocket gets
 * there. Which container serves, and when one starts or stops, is containers/' business.
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  type AcquiredContainer,
  type ContainerPool,
  createContainerPool,
} from "./containers/pool.ts";
import { KIB } from "../routing/wire/limits.ts";
import { contentLength } from "../routing/wire/messages.ts";
import { BodySpoolFullError, type BodySpools } from "./calls/body-spool.ts";
import type { Call, CallTerms } from "./calls/call.ts";
import { Slots } from "./calls/slots.ts";
import type { EndpointConfig } from "./config/app-config.ts";
import { StartFailure } from "./containers/container.ts";
import { AppConnections, type Waited } from "./forward/forward.ts";
import { forwardWebSocket } from "./forward/forward-websocket.ts";
import type { Relay } from "./websocket/relay.ts";
import type { GatewayAddress } from "./link/gateway-address.ts";

/** A process that died stops listening before its exit is told: it has been after this time. */
const EXIT_NOTICED_MS = 100;

/** Bodies up to this size wait in memory, whole. */
const SMALL_BODY_BYTES = 4 * KIB;

export interface EndpointOptions {
  settings: EndpointConfig;
  url: string;
  /** Environment of the container besides its own URL; the user's `env` cannot override it. */
  identity: Record<string, string>;
  gateway: GatewayAddress;
  /** Where bodies of waiting calls go; without it they wait in their windows. */
  bodies: BodySpools | undefined;
  log: (line: string) => void;
}

export class Endpoint {
  readonly #settings: EndpointConfig;
  readonly #pool: ContainerPool;
  readonly #slots: Slots;
  readonly #gateway: GatewayAddress;
  /** By container id: a new container gets new connections. */
  readonly #connections = new Map<string, AppConnections>();

  readonly #relays = new Set<Relay>();

  readonly #bodies: BodySpools | undefined;

  constructor({ settings, url, identity, gateway, bodies, log }: EndpointOptions) {
    this.#bodies = bodies;
    this.#settings = settings;
    this.#slots = new Slots(settings.maxInputs, settings.maxPending, settings.maxPendingAsync);
    this.#gateway = gateway;
    const prefix = `[${settings.function}] `;
    this.#pool = createContainerPool({
      endpoint: settings,
      environment: { ...identity, POSTERN_WEB_URL: url },
      log: (line) => log(prefix + line),
    });
  }

  /** What this endpoint promises its calls. */
  get terms(): CallTerms {
    const { onDisconnect, resultTtl } = this.#settings;
    const graceMs = { cancel: 0, keep: Infinity };
    return {
      resultTtlMs: resultTtl * 1000,
      graceMs: typeof onDisconnect === "number" ? onDisconnect * 1000 : graceMs[onDisconnect],
    };
  }

  /** Gives a call its turn: when a slot is free it goes to the app. @param link that its stream came over */
  run(call: Call, link: number): void {
    const arrivedAt = performance.now();
    let started = false;
    const asynchronous = call.head.async === true;
    const ticket = this.#slots.request(() => {
      started = true;
      void this.#start(call, link, arrivedAt);
    }, asynchronous);
    if (ticket !== undefined) {
      call.whenSettled(() => ticket.release());
      if (!started) void this.#drainBody(call);
      return;
    }
    const { function: name, maxPending, maxPendingAsync } = this.#settings;
    const detail = `${name} has ${asynchronous ? maxPendingAsync : maxPending} calls waiting`;
    call.failed({ code: "queue_full", detail, retryAfter: 1 });
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
      call.failed({ code: "queue_full", detail: error.message, retryAfter: 10 });
    }
  }

  async #start(call: Call, link: number, arrivedAt: number): Promise<void> {
    if (call.over) return;
    const startedAt = performance.now();
    try {
      const address = await this.#pool.acquire();
      if (call.over) return;
      const waited = {
        queue: Math.round(startedAt - arrivedAt),
        start: Math.round(performance.now() - startedAt),
      };
      if (call.head.websocket === undefined) this.#forward(call, address, waited);
      else await this.#relay(call, address, link);
    } catch (error) {
      call.failed(startFailure(error));
    }
  }

  /** To the container, or to the one that follows it when nobody listens there any more. */
  #forward(call: Call, address: AcquiredContainer, waited: Waited): void {
    this.#connectionsTo(address).forward(call, waited, async (sendOver) => {
      try {
        const next = await this.#successor(address);
        if (!call.over) sendOver(this.#connectionsTo(next));
      } catch (error) {
        call.failed(startFailure(error));
      }
    });
  }

  /** The container that follows a dead one. @throws where it is not dead */
  async #successor(dead: AcquiredContainer): Promise<AcquiredContainer> {
    await delay(EXIT_NOTICED_MS);
    const next = await this.#pool.acquire();
    if (next.containerId !== dead.containerId) return next;
    throw new Error("the app accepts no connections");
  }

  async #relay(call: Call, address: AcquiredContainer, link: number): Promise<void> {
    const relay = await forwardWebSocket(call, address, this.#gateway, link);
    if (relay === undefined) return;
    this.#relays.add(relay);
    const limit = setTimeout(() => {
      relay.close(1001, "the socket was open for max_duration");
    }, this.#settings.maxDuration * 1000);
    void relay.closed.then(() => {
      clearTimeout(limit);
      this.#relays.delete(relay);
    });
  }

  #connectionsTo(address: AcquiredContainer): AppConnections {
    const present = this.#connections.get(address.containerId);
    if (present !== undefined) return present;
    const connections = new AppConnections(address, {
      timeoutMs: this.#settings.timeout * 1000,
      maxDurationMs: this.#settings.maxDuration * 1000,
    });
    for (const old of this.#connections.values()) void old.closeWhenIdle();
    this.#connections.clear();
    this.#connections.set(address.containerId, connections);
    return connections;
  }

  async close(): Promise<void> {
    // RFC 6455, 7.4.1: 1001, going away.
    for (const relay of this.#relays) relay.close(1001, "the box is stopping");
    await Promise.all([...this.#connections.values()].map((connections) => connections.close()));
    await this.#pool.close();
  }
}

function startFailure(error: unknown) {
  if (error instanceof StartFailure) {
    return { code: error.code, detail: error.message, retryAfter: 5 } as const;
  }
  const detail = error instanceof Error ? error.message : String(error);
  return { code: "origin_error", detail } as const;
}
