/** The face of an endpoint for its version: one pool (endpoint.ts), or one for each set of parameters (parameter-pools.ts). */
import type { Result } from "../../base/result.ts";
import type { Failure } from "../../routing/wire/messages.ts";
import type { Endpoint } from "./endpoint.ts";

type EndpointFace = Pick<
  Endpoint,
  | "ready"
  | "activity"
  | "runner"
  | "takeOver"
  | "hasClaims"
  | "containers"
  | "stopContainer"
  | "rescale"
  | "isElsewhere"
  | "load"
  | "unpin"
  | "onVersionAbandoned"
  | "hasSession"
  | "knowsSession"
  | "retire"
  | "close"
  | "leave"
>;

/** The pool that a request would get to: whether it would find a container there. */
export type PoolView = Pick<EndpointFace, "activity" | "load" | "hasSession" | "isElsewhere">;

export interface ServedPools extends EndpointFace {
  /** Among many pools, the one of a request with this target; begins none. Absent where there is one alone. */
  readonly select?: (target: string) => Result<PoolView, Failure>;
  /**
   * Begins the pool of a request with this target, where other boxes may have its containers. Resolves when the gateway has
   * said so; undefined where that is known.
   */
  readonly decide?: (target: string) => Promise<void> | undefined;
}
