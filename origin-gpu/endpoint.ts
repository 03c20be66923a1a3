/**
 * One endpoint on this box: its container, the connections to it, and how a call or a WebSocket gets
 * there. Which container serves, and when one starts or stops, is containers/' business.
 */
import { type ContainerPool, createContainerPool } from "./containers/pool.ts";
import type { Call } from "./calls/call.ts";
import type { EndpointConfig } from "./config/app-config.ts";
import { StartFailure } from "./containers/container.ts";
import { AppConnections } from "./forward/forward.ts";
import { forwardWebSocket } from "./forward/forward-websocket.ts";
import type { GatewayAddress } from "./link/gateway-address.ts";

export interface EndpointOptions {
  settings: EndpointConfig;
  /** The configuration's directory; relative paths start there. */
  directory: string;
  url: string;
  /** Environment of the container besides its own URL; the user's `env` cannot override it. */
  identity: Record<string, string>;
  gateway: GatewayAddress;
  log: (line: string) => void;
}

export class Endpoint {
  readonly #pool: ContainerPool;
  readonly #gateway: GatewayAddress;
  /** By container id: a new container gets new connections. */
  readonly #connections = new Map<string, AppConnections>();

  constructor({ settings, url, identity, gateway, log }: EndpointOptions) {
    this.#gateway = gateway;
    const prefix = `[${settings.function}] `;
    this.#pool = createContainerPool({
      endpoint: settings,
      environment: { ...identity, POSTERN_WEB_URL: url },
      log: (line) => log(prefix + line),
    });
  }

  /** Sends a call to the app, once the container is ready. */
  run(call: Call): void {
    void this.#run(call);
  }

  async #run(call: Call): Promise<void> {
    const arrivedAt = performance.now();
    try {
      const address = await this.#pool.acquire();
      if (call.over) return;
      const start = Math.round(performance.now() - arrivedAt);
      let connections = this.#connections.get(address.containerId);
      if (connections === undefined) {
        connections = new AppConnections(address);
        for (const old of this.#connections.values()) void old.closeWhenIdle();
        this.#connections.clear();
        this.#connections.set(address.containerId, connections);
      }
      connections.forward(call, { queue: 0, start });
    } catch (error) {
      call.failed(startFailure(error));
    }
  }

  /** Performs the app's WebSocket handshake and couples it with the client's. */
  openWebSocket(call: Call, link: number): void {
    void this.#openWebSocket(call, link);
  }

  async #openWebSocket(call: Call, link: number): Promise<void> {
    try {
      const address = await this.#pool.acquire();
      if (call.over) return;
      await forwardWebSocket(call, address, this.#gateway, link);
    } catch (error) {
      call.failed(startFailure(error));
    }
  }

  async close(): Promise<void> {
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
