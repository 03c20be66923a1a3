/** Reads an endpoint's configuration for its pool and for the box. */
import { SECOND_MS } from "../../base/units.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import type { ClaimNeeds } from "../core/claims.ts";
import type { PoolSettings } from "../core/pool-effects.ts";

/** A server that somebody else runs has one container for ever. */
const UPSTREAM = { minContainers: 1, maxContainers: 1, bufferContainers: 0 } as const;

/** An ephemeral app's user is there to read why, and to mend it: with its pauses that is half a minute of failures. */
const FAILURES_OF_AN_EPHEMERAL_APP = 6;

/** @param isEphemeral the app is served for as long as a command runs; a deployed one is tried for ever */
export function poolSettings(endpoint: EndpointConfig, isEphemeral = false): PoolSettings {
  const { maxInputs, targetInputs, maxPending, maxPendingAsync } = endpoint;
  const { minContainers, maxContainers, bufferContainers } =
    endpoint.kind.type === "upstream" ? UPSTREAM : endpoint;
  return {
    maxInputs,
    targetInputs,
    minContainers,
    maxContainers,
    bufferContainers,
    mayStart: true,
    maxPending,
    maxPendingAsync,
    scaledownWindowMs: endpoint.scaledownWindow * SECOND_MS,
    startupTimeoutMs: endpoint.startupTimeout * SECOND_MS,
    givesUpStarts: endpoint.gpus.length > 0 || endpoint.gpuMemory !== undefined,
    canSleep: endpoint.sleep.length > 0,
    mostFailures: isEphemeral ? FAILURES_OF_AN_EPHEMERAL_APP : Infinity,
  };
}

/** The needs of each container of the endpoint. */
export function claimNeeds({ kind, gpus, gpuMemory }: EndpointConfig): ClaimNeeds {
  return {
    ...(gpus.length > 0 && { gpus }),
    ...(gpuMemory !== undefined && { gpuMemoryBytes: gpuMemory }),
    ...(kind.type === "web_server" && kind.port !== undefined && { port: kind.port }),
  };
}
