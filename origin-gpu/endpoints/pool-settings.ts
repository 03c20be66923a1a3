/** Reads an endpoint's configuration for its pool and for the box. */
import { SECOND_MS } from "../../base/units.ts";
import type { Scaling } from "../../routing/wire/scaling.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import { fixedPortOf } from "../config/python-kinds.ts";
import type { ClaimNeeds } from "../core/claims.ts";
import type { PoolSettings } from "../core/pool-effects.ts";

/** A server that somebody else runs has one container for ever. */
const UPSTREAM: Scaling = { min_containers: 1, max_containers: 1, buffer_containers: 0 };

/** An ephemeral app's user is there to read why, and to mend it: with its pauses that is half a minute of failures. */
const FAILURES_OF_AN_EPHEMERAL_APP = 6;

interface PoolTraits {
  /** The app is served for as long as a command runs; a deployed one is tried for ever. */
  readonly isEphemeral?: boolean | undefined;
  /** Settings in the place of those of the configuration. */
  readonly scaling?: Scaling | undefined;
}

export function poolSettings(
  endpoint: EndpointConfig,
  { isEphemeral = false, scaling = {} }: PoolTraits = {},
): PoolSettings {
  const isUpstream = endpoint.kind.type === "upstream";
  const { maxInputs, targetInputs, maxPending, maxPendingAsync } = endpoint;
  const {
    min_containers: minContainers = endpoint.minContainers,
    max_containers: maxContainers = endpoint.maxContainers,
    buffer_containers: bufferContainers = endpoint.bufferContainers,
    scaledown_window: scaledownWindow = endpoint.scaledownWindow,
  } = isUpstream ? UPSTREAM : scaling;
  return {
    maxInputs,
    targetInputs,
    minContainers,
    maxContainers,
    bufferContainers,
    mayStart: true,
    maxPending,
    maxPendingAsync,
    scaledownWindowMs: scaledownWindow * SECOND_MS,
    startupTimeoutMs: endpoint.startupTimeout * SECOND_MS,
    givesUpStarts: endpoint.gpus.length > 0 || endpoint.gpuMemory !== undefined,
    canSleep: endpoint.sleep.length > 0,
    // The server of an upstream stays, whatever becomes of the version that names it.
    sessionsMove: endpoint.affinity?.mode !== "hard" || isUpstream,
    sessionGraceMs: endpoint.exitGracePeriod * SECOND_MS,
    mostFailures: isEphemeral ? FAILURES_OF_AN_EPHEMERAL_APP : Infinity,
  };
}

/** The needs of each container of the endpoint. */
export function claimNeeds({ kind, gpus, gpuMemory }: EndpointConfig): ClaimNeeds {
  const port = fixedPortOf(kind);
  return {
    ...(gpus.length > 0 && { gpus }),
    ...(gpuMemory !== undefined && { gpuMemoryBytes: gpuMemory }),
    ...(port !== undefined && { port }),
  };
}
