/** Endpoints of the tests of this folder. */
import { fileURLToPath } from "node:url";

import { Observer } from "../../../base/observer.ts";
import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import type { UsePython } from "../../../origin-gpu/containers/container.ts";
import type { ContainerState } from "../../../origin-gpu/core/container-states.ts";

export const HERE = fileURLToPath(new URL(".", import.meta.url));

/** The endpoint's own interpreter, as it is. */
export const plainPython: UsePython = async ({ python }) => ({ python, release: () => undefined });

/** An endpoint with short limits. */
export function endpointConfig(
  settings: Partial<EndpointConfig> & Pick<EndpointConfig, "kind">,
): EndpointConfig {
  return {
    function: "test",
    requiresProxyAuth: false,
    requiresAppToken: false,
    python: "python3",
    directory: HERE,
    env: {},
    secrets: [],
    maxInputs: 1,
    targetInputs: settings.maxInputs ?? 1,
    minContainers: 0,
    maxContainers: 1,
    bufferContainers: 0,
    scaledownWindow: 60,
    probePaths: [],
    keepsAwake: { websockets: true, exceptPaths: [] },
    rollout: "auto",
    gpus: [],
    sleep: [],
    wake: [],
    healthInterval: 10,
    warmup: [],
    stallTimeout: 60,
    stopCommand: [],
    retries: { maxRetries: 0, initialDelay: 1, backoffCoefficient: 1, maxDelay: 60 },
    maxPending: 2000,
    maxPendingAsync: 1_000_000,
    onDisconnect: "cancel",
    resultTtl: 604_800,
    lifeSigns: false,
    cors: false,
    startupTimeout: 15,
    timeout: 15,
    maxDuration: 86_400,
    websocketMaxMessage: 33_554_432,
    exitGracePeriod: 10,
    stopSignal: "SIGTERM",
    ...settings,
  };
}

/** The misbehaving server of server.ts with these flags. */
export function serverEndpoint(
  flags: readonly string[] = [],
  settings: Partial<EndpointConfig> & { port?: number } = {},
): EndpointConfig {
  const { port, ...rest } = settings;
  const command = ["node", `${HERE}server.ts`, ...flags];
  const kind = { type: "web_server", command, ...(port === undefined ? {} : { port }) } as const;
  return endpointConfig({ kind, ...rest });
}

/**
 * A container's options for lines: each that it prints and each notice about it, without its source.
 * @param onState hears each state that a pool's container comes to
 */
export function listening(
  onLine: (line: string) => void,
  onState: (state: ContainerState) => void = () => undefined,
) {
  const observer = new Observer({
    sinks: [
      ({ name, fields: { line, text, to } }) => {
        if (typeof line === "string") onLine(line);
        if (typeof text === "string") onLine(text.replace("[web] ", ""));
        if (name === "container.state") onState(to as ContainerState);
      },
    ],
    now: Date.now,
  });
  return { observer, source: "web" };
}
