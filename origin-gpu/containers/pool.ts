/**
 * The containers of one endpoint on this box: at present one, started at once and kept. After a failure
 * it starts again with the next request, within the limits of restart-policy.ts.
 */
import type { EndpointConfig } from "../config/config.ts";
import { type Container, type ContainerAddress, StartFailure, describeExit } from "./container.ts";
import {
  type FailureHistory,
  NO_FAILURES,
  afterCrash,
  afterFailedStart,
} from "./restart-policy.ts";
import { startContainer } from "./start-container.ts";

export interface ContainerPoolOptions {
  readonly endpoint: EndpointConfig;
  /** Variables that every container is given; nothing overrides them. */
  readonly environment: Readonly<Record<string, string>>;
  /** One line: what a container printed, or a notice about it. */
  readonly log: (line: string) => void;
}

export interface AcquiredContainer extends ContainerAddress {
  readonly containerId: string;
}

export interface ContainerPool {
  /**
   * A container that is ready, waited for where it has to start.
   * @throws {StartFailure} when it does not become ready, or failed so recently that it is not tried again
   */
  acquire(): Promise<AcquiredContainer>;
  /** Stops the containers, politely and then for certain. Later calls of `acquire` are refused. */
  close(): Promise<void>;
}

/** Starts the endpoint's container and returns at once. */
export function createContainerPool(options: ContainerPoolOptions): ContainerPool {
  return new SingleContainerPool(options);
}

class SingleContainerPool implements ContainerPool {
  readonly #options: ContainerPoolOptions;
  #history: FailureHistory = NO_FAILURES;
  /** Why the present container did not become ready. */
  #startFailure: StartFailure | undefined;
  #container: Container;
  #closed = false;

  constructor(options: ContainerPoolOptions) {
    this.#options = options;
    this.#container = this.#start();
  }

  async acquire(): Promise<AcquiredContainer> {
    const failed = this.#container;
    if (failed.state === "failed") {
      this.#refuseWhileFailed();
      // Never two at once: they may share a fixed port or the memory of a GPU.
      await failed.exited;
      this.#refuseWhileFailed();
      if (this.#container === failed && !this.#closed) this.#container = this.#start();
    }
    if (this.#closed) throw new StartFailure("starting_failed", "the endpoint is being stopped");
    const container = this.#container;
    return { ...(await container.ready), containerId: container.id };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#container.stop();
  }

  #refuseWhileFailed(): void {
    const waitMs = this.#history.notBeforeMs - performance.now();
    if (waitMs <= 0) return;
    const { code, message, lastLines } =
      this.#startFailure ?? new StartFailure("starting_failed", "it keeps ending by itself");
    const next = `it may start again in ${Math.ceil(waitMs / 1000)} s`;
    throw new StartFailure(code, `${message}; ${next}`, lastLines);
  }

  #start(): Container {
    const { endpoint, log } = this.#options;
    const startedAtMs = performance.now();
    let readyAtMs = startedAtMs;
    this.#startFailure = undefined;
    const container = startContainer({
      ...this.#options,
      onUnexpectedExit: (exit) => {
        const nowMs = performance.now();
        this.#history = afterCrash(this.#history, nowMs - readyAtMs, nowMs);
        log(
          `postern: ended by itself with ${describeExit(exit)}; the next request starts it again`,
        );
      },
    });
    container.ready.then(
      () => {
        readyAtMs = performance.now();
        if (endpoint.kind.type === "upstream") return;
        log(`postern: ready after ${((readyAtMs - startedAtMs) / 1000).toFixed(1)} s`);
      },
      (failure: StartFailure) => {
        if (this.#closed) return;
        this.#startFailure = failure;
        this.#history = afterFailedStart(this.#history, performance.now());
        log(`postern: ${failure.message}`);
      },
    );
    return container;
  }
}
