/**
 * A server that somebody else runs, in the shape of a container: ready when it takes connections (and is
 * healthy, where a path is set); not started, not stopped, and not given up when it goes away later.
 */
import {
  type Container,
  type ContainerAddress,
  type ContainerOptions,
  type ContainerState,
  type ExitInfo,
  StartFailure,
} from "./container.ts";
import { untilReady } from "./readiness.ts";

const MS_PER_SECOND = 1000;

export class UpstreamContainer implements Container {
  readonly id: string;
  readonly ready: Promise<ContainerAddress>;
  readonly exited: Promise<ExitInfo>;
  readonly #ended = Promise.withResolvers<ExitInfo>();
  readonly #stopping = new AbortController();
  #state: ContainerState = "starting";

  constructor(id: string, url: string, { endpoint }: ContainerOptions) {
    this.id = id;
    this.exited = this.#ended.promise;
    this.ready = this.#start(url, endpoint.healthPath, endpoint.startupTimeout);
    // Whoever waits is told; that nobody waits is no fault.
    this.ready.catch(() => undefined);
  }

  get state(): ContainerState {
    return this.#state;
  }

  async stop(): Promise<void> {
    this.#end("stopped");
    await this.exited;
  }

  async #start(
    url: string,
    healthPath: string | undefined,
    timeoutSeconds: number,
  ): Promise<ContainerAddress> {
    const late = AbortSignal.timeout(timeoutSeconds * MS_PER_SECOND);
    try {
      const signal = AbortSignal.any([late, this.#stopping.signal]);
      const origin = await untilReady([url], healthPath, signal);
      this.#state = "ready";
      return { origin };
    } catch {
      if (this.#stopping.signal.aborted) {
        throw new StartFailure("starting_failed", `${url}: stopped before it was ready`);
      }
      this.#end("failed");
      const wanted =
        healthPath === undefined ? "took no connection" : `was not healthy at ${healthPath}`;
      const message = `${url} ${wanted} within ${timeoutSeconds} s`;
      throw new StartFailure("startup_timeout", message);
    }
  }

  #end(state: "stopped" | "failed"): void {
    if (this.#state === "stopped" || this.#state === "failed") return;
    this.#state = state;
    this.#stopping.abort();
    this.#ended.resolve({ code: null, signal: null });
  }
}
