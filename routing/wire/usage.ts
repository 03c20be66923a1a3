/** The use of a box by tokens, as its agent reports it. */
import * as z from "zod";

/** Rows of one batch. An agent with more sends several. */
export const MAX_USAGE_ROWS = 1_000;

/** A report of a day and longer is a mistake: agents report every few seconds, and a batch waits for its gateway. */
const MAX_CONTAINER_MS = 1_000_000_000_000;

const USAGE_ROW = z.object({
  token: z.string().regex(/^wk-[a-z2-7]{1,64}$/),
  /** `<environment>/<app>/<function>`. */
  endpoint: z.string().min(1).max(512),
  /** Calls that got a place in a container. */
  requests: z.int().min(0),
  /** Of containers, shared by the calls that each had at a time. */
  containerMs: z.int().min(0).max(MAX_CONTAINER_MS),
});

/** The use since the batch before. */
export const USAGE_BATCH = z.object({
  /** Counts from 1, for each agent process. A batch that is sent again keeps its number, and counts once. */
  batch: z.int().min(1),
  rows: z.array(USAGE_ROW).max(MAX_USAGE_ROWS),
});

export type UsageRow = Readonly<z.output<typeof USAGE_ROW>>;
export type UsageBatch = Readonly<z.output<typeof USAGE_BATCH>>;
