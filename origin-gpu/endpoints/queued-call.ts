/** A call on its way through an endpoint: from its place in the queue to the container that works on it. */
import type { Call } from "../calls/call.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import type { SharedTime } from "../core/shared-time.ts";
import type { ServingContainer } from "./serving-container.ts";

export interface QueuedCall {
  readonly call: Call;
  /** Of the function that was called, which may be another than the endpoint's. */
  readonly settings: EndpointConfig;
  /** The link that its stream came over. */
  readonly link: number;
  /** When its client began it, in milliseconds of `performance.now()`. */
  readonly arrivedAt: number;
  /** It waited at another version or an earlier agent, which let it in. */
  readonly waitedElsewhere: boolean;
  /** The container that works on it. */
  container: ServingContainer | undefined;
  /** The time of that container, while it has a place there. */
  time?: SharedTime | undefined;
  /** How often its request could not be sent. */
  unsent: number;
}

/** A call that has come over this link for a function with these settings. */
export function arrived(call: Call, settings: EndpointConfig, link: number): QueuedCall {
  return {
    call,
    settings,
    link,
    arrivedAt: call.openedAt,
    waitedElsewhere: call.isRestored,
    container: undefined,
    time: undefined,
    unsent: 0,
  };
}
