/** Finds the containers that the last agent left running and that a pool of this one would start just so now. */
import { variablesOf } from "../containers/environment.ts";
import type { LeftContainer } from "../containers/left-container.ts";
import type { LeavableContainer } from "../containers/left-record.ts";
import type { Card } from "../core/cards.ts";
import { PARAMETERS_VARIABLE } from "../../routing/wire/variables.ts";
import type { PoolIdentity } from "./box-claims.ts";
import type { ContainerSource } from "./endpoint-containers.ts";
import { claimNeeds } from "./pool-settings.ts";

/** They are the pool's from then on. */
export function takeLeft(
  source: ContainerSource,
  identity: PoolIdentity,
): readonly LeftContainer[] {
  const { settings, environment, user, left } = source;
  const { endpoint, version, parameters } = leavable(source, identity, []) ?? {};
  if (endpoint === undefined || version === undefined || left === undefined) return [];
  return left.take({
    endpoint,
    version,
    parameters,
    directory: settings.directory,
    user: user?.name ?? "",
    variables: variablesOf(settings, environment, user),
  });
}

/** How a container of the pool is told from others; undefined where the next agent can't know it to be of the same code. */
export function leavable(
  { settings, environment }: Pick<ContainerSource, "settings" | "environment">,
  { app, functionName, version }: PoolIdentity,
  cards: readonly Card[],
): LeavableContainer | undefined {
  if (version === 0) return undefined;
  const { gpuMemoryBytes, port } = claimNeeds(settings);
  const parameters = environment[PARAMETERS_VARIABLE];
  return {
    endpoint: `${app}/${functionName}`,
    version,
    ...(parameters !== undefined && { parameters }),
    claim: {
      cards: [...cards],
      ...(gpuMemoryBytes !== undefined && { gpuMemoryBytes }),
      ...(port !== undefined && { port }),
    },
  };
}
