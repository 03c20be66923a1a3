/** How many requests a container may have at once, as an endpoint's keys say it. */
import type { EndpointTable } from "./keys.ts";

/** A container that takes batches has room for a full one. */
export function maxInputsOf({ max_inputs: max, batch }: EndpointTable): number {
  return max ?? batch?.max_batch_size ?? 1;
}
