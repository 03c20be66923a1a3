/** A container that calls are sent to, with its connections. */
import type { Container, ContainerAddress } from "../containers/container.ts";
import { AppConnections } from "../proxy/app-connections.ts";

export class ServingContainer {
  readonly address: ContainerAddress;
  /** It owns them, and they end with it. */
  readonly connections: AppConnections;
  /** In milliseconds of `performance.now()`. */
  readonly readyAt = performance.now();
  readonly #container: Container;

  /** @param onDrainAsked a response says that the container wants no more calls: any number of times */
  constructor(container: Container, address: ContainerAddress, onDrainAsked: () => void) {
    this.#container = container;
    this.address = address;
    this.connections = new AppConnections(address, onDrainAsked);
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
