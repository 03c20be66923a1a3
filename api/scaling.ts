/** Changes of how many containers a function has, as the API takes and shows them. */
import * as z from "zod";
import { SCALING_VALUES } from "../routing/wire/scaling.ts";
import { TIME } from "./schemas.ts";

const WINDOW = SCALING_VALUES.scaledown_window.meta({
  description: "Seconds without a call after which a container ends",
});

/** A function's settings, as they hold. */
export const WHOLE_SCALING = z.strictObject({ ...SCALING_VALUES, scaledown_window: WINDOW });

/** Some of them. */
export const SCALING_CHANGE = z.strictObject({
  min_containers: SCALING_VALUES.min_containers.exactOptional(),
  max_containers: SCALING_VALUES.max_containers.exactOptional(),
  buffer_containers: SCALING_VALUES.buffer_containers.exactOptional(),
  scaledown_window: WINDOW.exactOptional(),
});

/** By function: its settings that are not those of its configuration. */
export const SCALING_BY_FUNCTION = z.record(z.string(), SCALING_CHANGE).default({}).meta({
  description: "By function: settings that were changed since the version was deployed",
});

const SCALING = z.object({
  function: z.string(),
  change: SCALING_CHANGE,
  created_at: TIME,
  created_by: z.string().meta({ description: "The API token that did it" }),
  created_by_name: z.string().meta({ description: "The token's name" }),
});

/** A change, as the API shows it. */
export type ApiScaling = z.output<typeof SCALING>;

/** Older gateways know of none. */
export const SCALINGS = z.array(SCALING).default([]).meta({
  description: "Those changes, newest first: the last 20 of each function",
});
