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

  constructor(container: Container, address: ContainerAddress, listener: AppListener) {
    this.#container = container;
    this.address = address;
    this.connections = new AppConnections(address, listener);
  }

  get id(): string {
    return this.#container.id;
  }

  /** It was asked to end, or its server has ended by itself. */
  get isEnding(): boolean {
    return this.#container.state === "stopping" || this.#container.state === "failed";
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
