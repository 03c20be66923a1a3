/** A container that calls are sent to, with its connections. */
import type { Container, ContainerAddress } from "../containers/container.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import { hasCallsPort } from "../config/python-kinds.ts";
import { AppConnections, type AppListener } from "../proxy/app-connections.ts";

export class ServingContainer {
  readonly address: ContainerAddress;
  /** It owns them, and they end with it. */
  readonly connections: AppConnections;
  #readyAt = performance.now();
  readonly #container: Container;
  /** To its port for calls, where it has one. */
  readonly #calls: AppConnections | undefined;
  #isClosed = false;

  constructor(container: Container, address: ContainerAddress, listener: AppListener) {
    this.#container = container;
    this.address = address;
    this.connections = new AppConnections(address, listener);
    const { callsOrigin: origin } = address;
    this.#calls = origin === undefined ? undefined : new AppConnections({ origin }, listener);
  }

  /** When it became ready, or woke last, in milliseconds of `performance.now()`. */
  get readyAt(): number {
    return this.#readyAt;
  }

  /** It takes calls again. */
  onWoken(): void {
    this.#readyAt = performance.now();
  }

  /** Those for calls of the function with these settings. */
  connectionsFor(settings: EndpointConfig): AppConnections {
    return (hasCallsPort(settings) ? this.#calls : undefined) ?? this.connections;
  }

  get id(): string {
    return this.#container.id;
  }

  /** It is about to end or was asked to, or its server has ended by itself. */
  get isEnding(): boolean {
    const { state } = this.#container;
    return this.#isClosed || state === "stopping" || state === "failed";
  }

  /** Breaks its connections: it is about to end. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([this.connections.close(), this.#calls?.close()]);
  }

  /** Lets what is under way finish. */
  async closeWhenIdle(): Promise<void> {
    await Promise.all([this.connections.closeWhenIdle(), this.#calls?.closeWhenIdle()]);
  }

  /** As `Container.exited`. */
  get exited(): Promise<unknown> {
    return this.#container.exited;
  }

  /** As `Container.gaveUp`. */
  async gaveUp(callId: string): Promise<void> {
    await this.#container.gaveUp(callId);
  }
}
