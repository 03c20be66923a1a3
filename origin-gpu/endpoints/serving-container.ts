/** A container that calls are sent to, with its connections. */
import type { Container, ContainerAddress } from "../containers/container.ts";
import { AppConnections, type AppListener } from "../proxy/app-connections.ts";

export class ServingContainer {
  readonly address: ContainerAddress;
  /** It owns them, and they end with it. */
  readonly connections: AppConnections;
  /** In milliseconds of `performance.now()`. */
  readonly readyAt = performance.now();
  readonly #container: Container;
  #isClosed = false;

  constructor(container: Container, address: ContainerAddress, listener: AppListener) {
    this.#container = container;
    this.address = address;
    this.connections = new AppConnections(address, listener);
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
    await this.connections.close();
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
