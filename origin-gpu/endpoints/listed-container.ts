/** How an endpoint describes its containers to the lists of commands. */
import type { Card } from "../core/cards.ts";
import type { ContainerState } from "../core/container-states.ts";

/** A container of the endpoint, for lists. */
export interface ListedContainer {
  readonly id: string;
  readonly state: ContainerState;
  /** Calls that it works on. */
  readonly calls: number;
  readonly cards: readonly Card[];
  /** When its process was begun, in milliseconds since 1970; undefined before that. */
  readonly startedAtMs: number | undefined;
}
