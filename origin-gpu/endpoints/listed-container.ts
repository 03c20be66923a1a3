/** How an endpoint describes its containers to the lists of commands. */
import type { Card } from "../core/cards.ts";
import type { ContainerState } from "../core/container-states.ts";
import type { PoolContainer } from "../core/pool-containers.ts";
import type { EndpointContainers } from "./endpoint-containers.ts";

/** A container of the endpoint, for lists. */
export interface ListedContainer {
  readonly id: string;
  readonly state: ContainerState;
  /** Calls that it works on. */
  readonly calls: number;
  readonly cards: readonly Card[];
  /** When its process was begun, in milliseconds since 1970; undefined before that. */
  readonly startedAtMs: number | undefined;
  /** The set of parameters that it works for, as JSON, perhaps cut; absent where the endpoint has none. */
  readonly parameters?: string;
}

/** Of a pool's containers, which the shell has by their numbers. */
export function listContainers(
  containers: readonly PoolContainer[],
  shell: Pick<EndpointContainers, "idOf" | "startedAtMs">,
  cards: ReadonlyMap<number, readonly Card[]>,
): ListedContainer[] {
  return containers.map(({ number, state, calls }) => ({
    id: shell.idOf(number),
    state,
    calls,
    cards: cards.get(number) ?? [],
    startedAtMs: shell.startedAtMs(number),
  }));
}
