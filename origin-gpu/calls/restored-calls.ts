/** The calls of an earlier agent that wait until their endpoint is served here. */
import type { Call } from "./call.ts";

export class RestoredCalls {
  readonly #byEndpoint = new Map<string, Set<Call>>();

  /** In the order of their arrival. */
  add(call: Call): void {
    const { endpoint } = call.head;
    const others = this.#byEndpoint.get(endpoint);
    if (others === undefined) this.#byEndpoint.set(endpoint, new Set([call]));
    else others.add(call);
  }

  /** Takes out those of the endpoints that have a runner by now, and runs them. */
  run(runnerOf: (endpoint: string) => { run(call: Call): void } | undefined): void {
    for (const [endpoint, calls] of this.#byEndpoint) {
      const runner = runnerOf(endpoint);
      if (runner === undefined) continue;
      this.#byEndpoint.delete(endpoint);
      for (const call of calls) runner.run(call);
    }
  }

  /** The call is over, or goes to the next agent. */
  delete(call: Call): void {
    if (this.#byEndpoint.size > 0) this.#byEndpoint.get(call.head.endpoint)?.delete(call);
  }

  has(call: Call): boolean {
    return (
      this.#byEndpoint.size > 0 && this.#byEndpoint.get(call.head.endpoint)?.has(call) === true
    );
  }
}
