/** Calls that wait and that no pool has: of an earlier agent until their endpoint is served here, or for the next agent. */
import type { Call } from "./call.ts";

export class CallsWithoutPool {
  readonly #byEndpoint = new Map<string, Set<Call>>();
  /** Of each call in its endpoint; made when somebody asks. */
  #positions: Map<Call, number> | undefined;

  /** In the order of their arrival. */
  add(call: Call): void {
    this.#positions = undefined;
    const { endpoint } = call;
    const others = this.#byEndpoint.get(endpoint);
    if (others === undefined) this.#byEndpoint.set(endpoint, new Set([call]));
    else others.add(call);
  }

  /** Takes out those of the endpoints that have a runner by now, and runs them. */
  run(runnerOf: (endpoint: string) => { run(call: Call): void } | undefined): void {
    for (const [endpoint, calls] of this.#byEndpoint) {
      const runner = runnerOf(endpoint);
      if (runner === undefined) continue;
      this.#positions = undefined;
      this.#byEndpoint.delete(endpoint);
      for (const call of calls) runner.run(call);
    }
  }

  /** The call is over, or waits elsewhere. */
  delete(call: Call): void {
    if (this.#byEndpoint.size === 0) return;
    this.#positions = undefined;
    this.#byEndpoint.get(call.endpoint)?.delete(call);
  }

  has(call: Call): boolean {
    return this.#byEndpoint.size > 0 && this.#byEndpoint.get(call.endpoint)?.has(call) === true;
  }

  /** How many of its endpoint are before the call; undefined where it is not here. */
  positionOf(call: Call): number | undefined {
    if (this.#byEndpoint.size === 0) return undefined;
    if (this.#positions === undefined) {
      const positions = (this.#positions = new Map<Call, number>());
      for (const calls of this.#byEndpoint.values()) {
        let position = 0;
        for (const one of calls) positions.set(one, position++);
      }
    }
    return this.#positions.get(call);
  }
}
