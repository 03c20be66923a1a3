/**
 * How many containers a function has: the settings that `postern app scale` changes without a deployment, by their
 * names in postern.toml. The file, the API and the command go by the same ranges, defaults and sentences.
 */
import * as z from "zod";
import { integer, seconds } from "./number-schemas.ts";

const MOST_CONTAINERS = 10_000;

export const SCALING_VALUES = {
  min_containers: integer(0, MOST_CONTAINERS),
  max_containers: integer(1, MOST_CONTAINERS),
  buffer_containers: integer(0, MOST_CONTAINERS),
  scaledown_window: seconds(2, 1_200),
};

/** Some of the settings, as a gateway tells them to an agent. A newer gateway may have more; an agent ignores them. */
export const SCALING = z.object({
  min_containers: SCALING_VALUES.min_containers.exactOptional(),
  max_containers: SCALING_VALUES.max_containers.exactOptional(),
  buffer_containers: SCALING_VALUES.buffer_containers.exactOptional(),
  scaledown_window: SCALING_VALUES.scaledown_window.exactOptional(),
});

/** Some of the settings; the others are what they were. */
export type Scaling = z.output<typeof SCALING>;

/** All of the settings, as they hold. */
export type WholeScaling = Required<Scaling>;

/** Where postern.toml says nothing. */
export const SCALING_DEFAULTS: WholeScaling = {
  min_containers: 0,
  max_containers: 1,
  buffer_containers: 0,
  scaledown_window: 60,
};

/** An endpoint's settings, those that stand in postern.toml. */
type ScaledTable = {
  readonly [Name in keyof Scaling | "port"]?: number | undefined;
};

/** Settings that are impossible together: the one to blame, and what would be right. */
interface ScalingCombination {
  readonly key: keyof ScaledTable;
  /** Those that it is judged by, besides its own. */
  readonly by: readonly (keyof ScaledTable)[];
  readonly wrong: (table: ScaledTable) => boolean;
  readonly message: (table: ScaledTable) => string;
}

const mostOf = ({ max_containers: max = SCALING_DEFAULTS.max_containers }: ScaledTable) => max;

export const SCALING_COMBINATIONS: readonly ScalingCombination[] = [
  {
    key: "port",
    by: ["min_containers", "max_containers"],
    wrong: (table) => Math.max(mostOf(table), table.min_containers ?? 0) > 1,
    message: () =>
      'is one fixed port, which several containers can\'t share; put "$PORT" into the command instead, or set max_containers = 1',
  },
  ...(["min_containers", "buffer_containers"] as const).map((key) => ({
    key,
    by: ["max_containers"] as const,
    wrong: (table: ScaledTable) => (table[key] ?? 0) > mostOf(table),
    message: ({ max_containers: max }: ScaledTable) =>
      `must not be more than max_containers, which is ${max ?? "1 where it is not set"}`,
  })),
];

/** Of a setting that has to do with processes, where the endpoint is a server that runs already. */
export const OF_NO_PROCESS =
  "has no effect here, since this endpoint starts no process of its own; leave it out";
