/**
 * The containers that the last agent left running for this one. A pool takes those of its version and its variables, each
 * once. Those that no pool will take are ended at once, and others by their supervisors.
 */
import { changedVariable, type ContainerVariables } from "./left-variables.ts";
import type { LeftContainer } from "./left-container.ts";

/** A container that a pool would start now. */
export interface WantedContainer {
  /** As in `LeftRecord`. */
  readonly endpoint: string;
  readonly version: number;
  readonly parameters?: string | undefined;
  readonly directory: string;
  readonly user: string;
  readonly variables: ContainerVariables;
}

export class LeftContainers {
  /** Those that nobody has taken. */
  readonly #free: Set<LeftContainer>;
  readonly #notice: (text: string) => void;

  constructor(containers: Iterable<LeftContainer>, notice: (text: string) => void) {
    this.#free = new Set(containers);
    this.#notice = notice;
    for (const container of this.#free) {
      void container.gone.then(() => this.#free.delete(container));
    }
  }

  get all(): readonly LeftContainer[] {
    return [...this.#free];
  }

  /** The values of parameters that an endpoint's containers have in this version, each once. */
  parametersOf(endpoint: string, version: number): string[] {
    const records = this.all.map(({ record }) => record);
    const own = records.filter((record) => record.endpoint === endpoint);
    const sets = own.flatMap((record) =>
      record.version === version ? (record.parameters ?? []) : [],
    );
    return [...new Set(sets)];
  }

  /** Takes the containers of a pool. Ends those of its version that it would start otherwise now. */
  take(wanted: WantedContainer): LeftContainer[] {
    const taken: LeftContainer[] = [];
    for (const container of this.#free) {
      const { endpoint, version, parameters } = container.record;
      if (endpoint !== wanted.endpoint || version !== wanted.version) continue;
      if (parameters !== wanted.parameters) continue;
      const change = changeOf(container, wanted);
      if (change !== undefined) this.#end(container, change);
      else {
        this.#free.delete(container);
        taken.push(container);
      }
    }
    return taken;
  }

  /** Ends those of versions that are not to run here any more. */
  retain(isWanted: (endpoint: string, version: number) => boolean): void {
    for (const container of this.#free) {
      const { endpoint, version } = container.record;
      if (!isWanted(endpoint, version)) this.#end(container, "this version is not to run here");
    }
  }

  #end(container: LeftContainer, reason: string): void {
    this.#free.delete(container);
    this.#notice(
      `[${container.source}] postern: ends ${container.id}, which the last agent left running: ${reason}`,
    );
    container.end();
  }
}

/** @returns words for the operator; undefined where it would be started the same now */
function changeOf(
  { record, key }: Pick<LeftContainer, "record" | "key">,
  { directory, user, variables }: WantedContainer,
): string | undefined {
  if (record.directory !== directory) return "its code is in another directory now";
  if (record.user !== user) return "another user runs it now";
  const changed = changedVariable(record.variables, variables, key);
  return changed === undefined ? undefined : `its variable ${changed} has changed`;
}
