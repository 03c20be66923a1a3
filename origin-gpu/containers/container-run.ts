/** Tells how a container's process is run, whether this agent starts it or an earlier one did. */
import { tellsOfCalls } from "../config/python-kinds.ts";
import type { ProcessKind } from "./container-command.ts";
import { withVariables } from "./container-command.ts";
import type { ContainerOptions } from "./container.ts";
import { cardVariables, variablesOf } from "./environment.ts";
import type { LaunchOptions } from "./launched-command.ts";

/** The variable with a container's id, by which its processes are found wherever they have gone. */
export const MARK = "POSTERN_CONTAINER_ID";

export interface ContainerRun extends Omit<LaunchOptions, "command"> {
  readonly stopCommand: NonNullable<LaunchOptions["stopCommand"]>;
}

export function containerRun(
  kind: ProcessKind,
  { endpoint, environment, user, cards = [], leavable, records, spares }: ContainerOptions,
  { id, port }: { readonly id: string; readonly port: number },
): ContainerRun {
  return {
    directory: endpoint.directory,
    environment: {
      ...variablesOf(endpoint, environment, user),
      ...cardVariables(cards),
      PORT: String(port),
      [MARK]: id,
    },
    user,
    markedBy: MARK,
    spares,
    withChannel: tellsOfCalls(kind),
    isLeavable: leavable !== undefined && records !== undefined,
    stopCommand: {
      command: withVariables(endpoint.stopCommand, { ...environment, PORT: `${port}` }),
      limit: endpoint.exitGracePeriod,
    },
  };
}
