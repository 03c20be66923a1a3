/**
 * A server that the agent does not run, as a container. The agent takes it to be there; requests fail when it is not.
 * The agent waits for it only where it has a health path. It never starts or stops the server, and the container
 * stays ready when the server goes away later.
 */
import { SECOND_MS } from "../../base/units.ts";
import {
  type Container,
  type ContainerAddress,
  type ContainerOptions,
  type ProcessState,
  StartFailure,
  noticesOf,
} from "./container.ts";
import type { ExitInfo } from "./exit-info.ts";
import { acceptsConnections, lateMessage, untilReady } from "./readiness.ts";

export class UpstreamContainer implements Container {
  readonly id: string;
  readonly startedAtMs = Date.now();
  readonly ready: Promise<ContainerAddress>;
  readonly exited: Promise<ExitInfo>;
  /** Never: nothing of it is the agent's to end. */
  readonly stuck = new Promise<void>(() => undefined);
  readonly #ended = Promise.withResolvers<ExitInfo>();
  readonly #stopping = new AbortController();
  readonly #options: ContainerOptions;
  #state: ProcessState = "starting";

  constructor(id: string, url: string, options: ContainerOptions) {
    this.id = id;
    this.#options = options;
    this.exited = this.#ended.promise;
    this.ready = this.#start(url);
    // Callers that wait for `ready` get the failure. Without one, Node would report an unhandled rejection.
    this.ready.catch(() => undefined);
  }

  get state(): ProcessState {
    return this.#state;
  }

  async gaveUp(): Promise<void> {
    // At once: an upstream server does not say when it has ended its work on a call.
  }

  async leave(): Promise<undefined> {
    // Nothing of it is the agent's: the server runs on anyway.
  }

  async stop(): Promise<void> {
    this.#end("stopped");
    await this.exited;
  }

  async #start(url: string): Promise<ContainerAddress> {
    const { healthPath, startupTimeout } = this.#options.endpoint;
    if (healthPath === undefined) {
      this.#state = "ready";
      const there = acceptsConnections(url);
      void there.then((yes) => {
        if (!yes && this.#state === "ready") {
          noticesOf(this.#options)(`postern: warning: nothing takes connections at ${url} yet`);
        }
      });
      return { origin: url };
    }
    const late = AbortSignal.timeout(startupTimeout * SECOND_MS);
    let notYet: string | undefined;
    try {
      const signal = AbortSignal.any([late, this.#stopping.signal]);
      await untilReady([url], healthPath, signal, { notYet: (why) => (notYet = why) });
      this.#state = "ready";
      return { origin: url };
    } catch {
      if (this.#stopping.signal.aborted) {
        throw new StartFailure("starting_failed", `${url}: stopped before it was ready`);
      }
      this.#end("failed");
      throw new StartFailure("startup_timeout", lateMessage(startupTimeout, notYet));
    }
  }

  #end(state: "stopped" | "failed"): void {
    if (this.#state === "stopped" || this.#state === "failed") return;
    this.#state = state;
    this.#stopping.abort();
    this.#ended.resolve({ code: null, signal: null });
  }
}
