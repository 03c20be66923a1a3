/**
 * The containers of one endpoint on this box: at present one, which starts at once and is kept. After a failure the
 * next request starts it again, within the limits of restart-policy.ts. A container that does not end its work on a
 * call is replaced: its successor starts beside it, while its other calls finish.
 */
import { SECOND_MS } from "../../base/units.ts";
import type { Observer } from "../../base/observer.ts";
import { within } from "../../base/runtime/within.ts";
import type { AppUser } from "../app-user.ts";
import type { EndpointConfig } from "../config/config.ts";
import { AppConnections } from "../proxy/app-connections.ts";
import {
  type Container,
  type ContainerAddress,
  type ContainerOptions,
  type ContainerState,
  StartFailure,
  type UsePython,
  describeExit,
  noticesOf,
} from "./container.ts";
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
  readonly usePython: UsePython;
  /** As in `ContainerOptions`. */
  readonly user?: AppUser | undefined;
  /** As in `ContainerOptions`. */
  readonly observer: Observer;
  readonly source: string;
  /** As in `ContainerOptions`. */
  readonly beginLog?: ContainerOptions["beginLog"];
}

/** A container in use by one call. */
export interface Lease extends ContainerAddress {
  readonly containerId: string;
  /** To the container: it owns them, and they end with it. */
  readonly connections: AppConnections;
  /** As `Container.exited`. */
  readonly exited: Promise<unknown>;
  /** As `Container.gaveUp`. */
  gaveUp(call: string): Promise<void>;
  /** The call is done with it. Any number of times. */
  release(): void;
}

export interface ContainerPool {
  /** The first container's readiness. Rejects with a `StartFailure`. */
  readonly ready: Promise<unknown>;
  /** Of the container that takes requests. */
  readonly state: ContainerState;
  /** Why that container failed, in one line; empty where it did not. */
  readonly error: string;
  /**
   * A container that is ready, waited for where it has to start.
   * @throws {StartFailure} when it does not become ready, or failed so recently that it is not tried again
   */
  acquire(): Promise<Lease>;
  /** Starts another container in this one's place, which ends when no call uses it or its grace is over. */
  replace(containerId: string): void;
  /** Stops the container for now; the next `acquire` starts one. No call may use the container meanwhile. */
  rest(): Promise<void>;
  /** Stops the containers, politely and then for certain. Later calls of `acquire` are refused. */
  close(): Promise<void>;
}

/** Starts the endpoint's container and returns at once. */
export function createContainerPool(options: ContainerPoolOptions): ContainerPool {
  return new SingleContainerPool(options);
}

/** A container with its connections and the number of calls that use it. */
class PooledContainer {
  readonly container: Container;
  #connections: AppConnections | undefined;
  #calls = 0;
  #unused: (() => void) | undefined;

  constructor(container: Container) {
    this.container = container;
  }

  lease(address: ContainerAddress): Lease {
    const { container } = this;
    let released = false;
    this.#calls += 1;
    this.#connections ??= new AppConnections(address);
    return {
      ...address,
      containerId: container.id,
      connections: this.#connections,
      exited: container.exited,
      gaveUp: async (call) => await container.gaveUp(call),
      release: () => {
        if (released) return;
        released = true;
        this.#calls -= 1;
        if (this.#calls === 0) this.#unused?.();
      },
    };
  }

  async unused(): Promise<void> {
    if (this.#calls === 0) return;
    await new Promise<void>((resolve) => {
      this.#unused = resolve;
    });
  }

  /** The container has ended by itself: what still comes over its connections may come. */
  closeConnectionsWhenIdle(): void {
    void this.#connections?.closeWhenIdle();
  }

  /** Breaks its connections, then stops the container. */
  async stop(): Promise<void> {
    await this.#connections?.close();
    await this.container.stop();
  }
}

class SingleContainerPool implements ContainerPool {
  readonly ready: Promise<unknown>;
  readonly #options: ContainerPoolOptions;
  #history: FailureHistory = NO_FAILURES;
  /** Why the present container did not become ready. */
  #startFailure: StartFailure | undefined;
  /** Why a container failed last. */
  #lastFailure = "";
  #used: PooledContainer;
  /** Those that were replaced and have not ended. */
  readonly #replaced = new Set<PooledContainer>();
  readonly #closing = new AbortController();

  constructor(options: ContainerPoolOptions) {
    this.#options = options;
    this.#used = this.#start();
    this.ready = this.#used.container.ready;
  }

  get state(): ContainerState {
    return this.#used.container.state;
  }

  get error(): string {
    return this.state === "failed" ? this.#lastFailure : "";
  }

  async acquire(): Promise<Lease> {
    const ended = this.#used;
    if (ended.container.state === "failed" || ended.container.state === "stopped") {
      this.#refuseWhileFailed();
      // Never two at once: they may share a fixed port or the memory of a GPU.
      await ended.container.exited;
      this.#refuseWhileFailed();
      if (this.#used === ended && !this.#closed) {
        ended.closeConnectionsWhenIdle();
        this.#used = this.#start();
      }
    }
    if (this.#closed) throw new StartFailure("starting_failed", "the endpoint is being stopped");
    const used = this.#used;
    return used.lease(await used.container.ready);
  }

  replace(containerId: string): void {
    const old = this.#used;
    if (this.#closed || old.container.id !== containerId) return;
    this.#used = this.#start();
    this.#replaced.add(old);
    void this.#stopWhenUnused(old);
  }

  async rest(): Promise<void> {
    await this.#used.stop();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const all = [this.#used, ...this.#replaced];
    await Promise.all(all.map(async (pooled) => await pooled.stop()));
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  async #stopWhenUnused(old: PooledContainer): Promise<void> {
    const graceMs = this.#options.endpoint.exitGracePeriod * SECOND_MS;
    await within(graceMs, old.unused(), { signal: this.#closing.signal });
    await old.stop();
    this.#replaced.delete(old);
  }

  #refuseWhileFailed(): void {
    const waitMs = this.#history.notBeforeMs - performance.now();
    if (waitMs <= 0) return;
    const { code, message, lastLines } =
      this.#startFailure ?? new StartFailure("starting_failed", "it keeps ending by itself");
    const next = `it may start again in ${Math.ceil(waitMs / SECOND_MS)} s`;
    throw new StartFailure(code, `${message}; ${next}`, lastLines);
  }

  #start(): PooledContainer {
    const { endpoint } = this.#options;
    const notice = noticesOf(this.#options);
    const startedAtMs = performance.now();
    let readyAtMs = startedAtMs;
    this.#startFailure = undefined;
    const container = startContainer({
      ...this.#options,
      onUnexpectedExit: (exit) => {
        const nowMs = performance.now();
        this.#history = afterCrash(this.#history, nowMs - readyAtMs, nowMs);
        this.#lastFailure = `it ended by itself with ${describeExit(exit)}`;
        notice(
          `postern: ended by itself with ${describeExit(exit)}; the next request starts it again`,
        );
      },
    });
    container.ready.then(
      () => {
        readyAtMs = performance.now();
        if (endpoint.kind.type === "upstream") return;
        notice(`postern: ready after ${((readyAtMs - startedAtMs) / SECOND_MS).toFixed(1)} s`);
      },
      (failure: StartFailure) => {
        if (this.#closed || container.state === "stopped") return;
        this.#startFailure = failure;
        this.#lastFailure = failure.message;
        this.#history = afterFailedStart(this.#history, performance.now());
        notice(`postern: ${failure.message}`);
      },
    );
    return new PooledContainer(container);
  }
}
