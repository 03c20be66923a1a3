/** Containers as a box describes them, page by page. */
import * as z from "zod";
import { CONTAINER_ID } from "./container-logs.ts";

/** A page of them must fit the initial window. */
const MAX_LISTED_CONTAINERS = 50;

const MAX_LISTED_CARDS = 16;

/** Of a set of parameters, characters. */
const MAX_LISTED_PARAMETERS = 256;

/** origin-gpu/core/container-states.ts has what each means. One that is gone is not listed. */
export const LISTED_CONTAINER_STATES = [
  "claiming",
  "preparing",
  "starting",
  "ready",
  "asleep",
  "draining",
  "stopping",
  "stuck",
] as const;

const CONTAINER_DESCRIPTION = z.object({
  container: CONTAINER_ID,
  /** `<environment>/<app>/<function>`. */
  endpoint: z.string().max(512),
  /** 0 for an app that the box announces itself. */
  version: z.int().min(0),
  state: z.enum(LISTED_CONTAINER_STATES),
  /** When its process began, in milliseconds of the epoch; absent before. */
  startedAt: z.number().exactOptional(),
  /** Those that it works on. */
  calls: z.int().min(0),
  /** The GPUs that it has, or has a share of, as `CUDA_VISIBLE_DEVICES` names them. */
  cards: z.array(z.string().max(64)).max(MAX_LISTED_CARDS),
  /** One that is its endpoint's own; absent where each container gets a free one. */
  port: z.int().exactOptional(),
  /** The values of its set of parameters, as JSON, perhaps cut; absent where the endpoint has none. */
  parameters: z.string().max(MAX_LISTED_PARAMETERS).exactOptional(),
});

export const CONTAINER_PAGE_REQUEST = z.object({
  limit: z.int().min(1).max(MAX_LISTED_CONTAINERS),
  /** The last one of the page before. */
  after: CONTAINER_ID.exactOptional(),
});

/** By id. */
export const CONTAINER_PAGE = z.object({
  containers: z.array(CONTAINER_DESCRIPTION).max(MAX_LISTED_CONTAINERS),
  hasMore: z.boolean(),
});

export type ContainerDescription = z.output<typeof CONTAINER_DESCRIPTION>;
